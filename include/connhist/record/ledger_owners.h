/* SPDX-License-Identifier: MIT */
/* What the ledger and the finding of owners tell one another, beside ledger_find_owners(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;
struct tunnel_port;

/* Takes what is known of sockets that closed since the last call: their inodes, some at most. They stay
 * until the next call of the ledger. Returns how many. */
size_t ledger_gone(struct ledger *ledger, const uint32_t **ret);

/* Whether a socket of the namespace whose UDP was sampled last may be the kernel's. */
bool ledger_wants_kernel_ports(const struct ledger *ledger);

/* Tells the UDP ports of that namespace at which the kernel itself listens, before the
 * next one is sampled; none where that is not known. 0 or -ENOMEM. */
int ledger_kernel_ports(struct ledger *ledger, const struct tunnel_port *ports, size_t n);
