/* SPDX-License-Identifier: MIT */
/* A service: what a count of sockets belongs to; and the classes of ports. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/state.h"

enum role {
    ROLE_SERVER = 1, /* the local port is (or was, at the time) listened on */
    ROLE_CLIENT = 2, /* the remote port is the service */
};

/* How a role was found out; the order is that of trust. */
enum role_source {
    ROLE_BY_STATE = 1,      /* LISTEN, SYN_SENT or SYN_RECV seen; UDP: connected or not */
    ROLE_BY_TCP_INFO = 2,   /* the byte counters' parity */
    ROLE_BY_LISTENER = 3,   /* a listener matches address, family, v6only and device */
    ROLE_BY_PORT_CLASS = 4, /* guessed from the ports alone */
};

/* The port of a service that stands for all beyond the bound on services. */
#define SERVICE_PORT_OTHER (-1)

struct service_key {
    uint32_t netns;   /* number given by the recorder, see struct netns_ref */
    int32_t port;     /* 0-65535; 0: unconnected UDP client; SERVICE_PORT_OTHER */
    uint8_t protocol; /* enum protocol */
    uint8_t role;     /* enum role */
};

#define NETNS_NAME_MAX 64

/* A network namespace as the recorder numbers it within one run. */
struct netns_ref {
    uint64_t inode; /* st_ino of its /proc/PID/ns/net; the kernel gives it again to a later one */
    uint64_t
        cookie;  /* never given twice within a boot; 0: the kernel does not tell (before 5.14) */
    uint32_t id; /* number within this run, never given twice; 0: the recorder's own */
    bool is_new; /* it was not there at the search before: no socket in it is older than that */
    char name[NETNS_NAME_MAX]; /* of `ip netns`, Docker's, or "net:[INODE]"; "" for the recorder's
                                  own. Data of others: may hold anything but NUL */
};

/* Whether a namespace is recorded; numbers are those in the file. */
enum netns_standing {
    NETNS_RECORDED = 0,
    NETNS_GONE = 1,     /* it is no more */
    NETNS_EXCLUDED = 2, /* the configuration does not want it any more */
    NETNS_DENIED = 3,   /* it can't be entered any more */
    NETNS_UNSEEN = 4,   /* nothing shows it any more; what may not be seen may still be in it */
};

/* That it is recorded from then on, or no longer. */
struct netns_change {
    int64_t at_ms;    /* the snapshot from which on it is, or up to which it was */
    uint32_t netns;   /* id, in batch.netns */
    uint8_t standing; /* enum netns_standing */
    bool is_new;      /* if it is: it came into being since the snapshot before */
};

/* Why namespaces are not recorded: bits. */
enum netns_lack {
    NETNS_LACKS_ADMIN = 1,  /* no CAP_SYS_ADMIN: only the own one is */
    NETNS_LACKS_PTRACE = 2, /* no CAP_SYS_PTRACE: those that only others' processes show are not */
    NETNS_LACKS_SOME = 4,   /* some could not be opened, or are too many */
};

/* Port classes of IANA (RFC 6335). */
enum port_class {
    PORT_WELL_KNOWN, /* 0-1023 */
    PORT_REGISTERED, /* 1024-49151 */
    PORT_DYNAMIC,    /* 49152-65535 */
};

enum port_class port_class(uint16_t port);

/* "well-known", "registered" or "dynamic". */
const char *port_class_name(enum port_class class);

/* The host's ephemeral range, from net.ipv4.ip_local_port_range: both ends included. */
struct port_range {
    uint16_t low;
    uint16_t high;
};

static inline bool port_in_range(const struct port_range *range, uint16_t port)
{
    return port >= range->low && port <= range->high;
}

/* The role guessed from the ports of a connection: the end whose port is ephemeral or of a higher
 * class is the client; where both look alike the lower number is the service's. */
enum role role_by_ports(uint16_t local_port, uint16_t remote_port,
                        const struct port_range *ephemeral);

/* "server" or "client"; "?" otherwise. */
const char *role_name(unsigned role);

/* -EINVAL when text is neither server nor client. */
int role_parse(const char *text, enum role *ret);

/* "state", "tcp_info", "listener", "port_class"; "?" otherwise. */
const char *role_source_name(unsigned source);
