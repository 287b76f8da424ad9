/* SPDX-License-Identifier: MIT */
/* Which sockets a question is about. A zeroed filter matches everything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/model/address.h"
#include "connhist/model/service.h"
#include "connhist/model/state.h"

#define FILTER_PORTS_MAX 64

struct port_choice {
    uint16_t low;  /* first port */
    uint16_t high; /* last port, included */
};

/* Word for the recorder's own namespace, or that of a question to the kernel. */
#define FILTER_NETNS_OWN "own"

struct filter {
    struct port_choice ports[FILTER_PORTS_MAX];
    size_t n_ports;      /* 0: any port */
    uint8_t protocol;    /* enum protocol; 0: any */
    uint8_t family;      /* AF_INET, AF_INET6; 0: any */
    uint16_t states;     /* bit 1 << enum sock_state; 0: any */
    uint8_t role;        /* enum role; 0: any */
    bool no_listeners;   /* leave out LISTEN, bound CLOSE, and unconnected UDP */
    bool has_peer;       /* peer is meaningful */
    bool has_local;      /* local is meaningful */
    struct prefix peer;  /* remote address */
    struct prefix local; /* local address */
    uint32_t pid;        /* process id of the owner; 0: any */
    const char *
        netns; /* name, "inode:N", "net:[N]" or FILTER_NETNS_OWN; NULL: any; not owned, like what follows */
    const char *process; /* the owner's name, base name of its program, or path if there is a '/' in
                            it; wildcards as in fnmatch(3); NULL: any */
    const char *unit;    /* its systemd unit, ".service" may lack; wildcards; NULL: any */
    const char *container; /* its container: "docker:ID", or the first characters of it or of the
                              id alone; NULL: any */
};

struct err;   /* base/err.h */
struct owner; /* model/owner.h */
struct names; /* report/names.h */
struct db;    /* store/db.h */

/* Adds ports from text: "80", "80,443", "8000-8010", "http", in any mixture, with an optional
 * "/tcp" or "/udp" at the end of each, which must agree. names may be NULL. -EINVAL: err says which
 * part. */
int filter_add_ports(struct filter *filter, const char *text, const struct names *names,
                     struct err *err);

/* Adds states from text: "TIME_WAIT,close-wait". -EINVAL: err says which part. */
int filter_add_states(struct filter *filter, const char *text, struct err *err);

/* Whether a port is chosen. */
bool filter_port(const struct filter *filter, int32_t port);

/* Whether a service's tallies belong to the answer (ports, protocol, role). */
bool filter_service(const struct filter *filter, const struct service_key *service);

/* Whether a state belongs to the answer (states, no_listeners; an unconnected UDP socket is in
 * CLOSE). */
bool filter_state(const struct filter *filter, unsigned state);

/* Whether a socket's addresses belong to the answer (family, local, peer). */
bool filter_endpoints(const struct filter *filter, uint8_t family, const struct address *local,
                      const struct address *remote);

/* Whether the filter asks for an owner at all. */
bool filter_by_owner(const struct filter *filter);

/* Whether a socket's owner belongs to the answer; NULL: not known, which no owner asked for is. */
bool filter_owner(const struct filter *filter, const struct owner *owner);

/* Reads "inode:N", or "net:[N]" as readlink(1) shows it: 1; 0: it is a name; -EINVAL: neither. */
int filter_netns_number(const char *text, uint64_t *ret);

/* Whether a namespace belongs to the answer. */
bool filter_netns(const struct filter *filter, const char *name, uint64_t inode);

/* How many of the namespaces whose sockets a file has belong to the answer; those of one name count
 * as one. */
int filter_count_netns(const struct filter *filter, struct db *db, size_t *ret, struct err *err);

/* Whether the filter's namespace is in a file at all: 0, also when nothing is recorded yet;
 * -ENOENT: it was never recorded. */
int filter_check_netns(const struct filter *filter, struct db *db, struct err *err);
