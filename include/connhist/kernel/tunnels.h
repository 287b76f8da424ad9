/* SPDX-License-Identifier: MIT */
/* The UDP ports on which the kernel itself listens, for tunnel devices. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

/* A port at which the kernel listens for a device, on all addresses. */
struct tunnel_port {
    uint16_t port; /* host byte order; 0: there is none */
    bool ipv4;     /* it has a socket of IPv4 there, or one of IPv6 that takes IPv4, too */
    bool ipv6;     /* it has a socket of IPv6 */
};

/* Reads the ports of the vxlan, geneve and bareudp devices in the calling thread's network namespace that are
 * up, with RTM_GETLINK (linux/if_link.h, IFLA_INFO_DATA); no privilege is needed. In no order, some maybe twice, `max` at most. Returns how many, or a negative errno as of socket(2), send(2) and
 * recv(2); -ETIMEDOUT, -EMSGSIZE, -EPROTO. */
int tunnels_read_ports(struct tunnel_port *ret, size_t max, struct err *err);
