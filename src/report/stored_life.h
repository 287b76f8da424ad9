/* SPDX-License-Identifier: MIT */
/* Lives as the file holds them, open and closed ones alike. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/address.h"
#include "connhist/model/life.h"
#include "connhist/store/file.h"
#include "lookup.h"

struct db;
struct stmt;

/* The end of a life that is open. */
#define LIFE_OPEN INT64_MAX

/* One row of `open` or `closed`; times are record time. */
struct stored_life {
    int64_t row;                         /* open.life or closed.key */
    int64_t number;                      /* number of the life; 0: not kept */
    const struct known_service *service; /* what it counts for */
    int64_t local;                       /* addresses.id */
    struct file_remote remote;           /* its bytes are valid until the next row */
    uint16_t local_port;                 /* host byte order */
    uint16_t remote_port;                /* host byte order */
    uint32_t scope_ifindex;              /* 0: none */
    int64_t owner;                       /* owners.id; 0: not known */
    int64_t since_ms;                    /* first instant it existed */
    int64_t ended_ms;                    /* first instant it was gone; LIFE_OPEN */
    unsigned traits;                     /* see store/file.h */
    const uint8_t *states;               /* see model/history.h; valid until the next row */
    size_t n_states;                     /* bytes in states */
    uint8_t closed_by;                   /* enum closed_by; of closed lives */
    int64_t sampled_ms;                  /* facts are of this snapshot, lower bounds; TIME_UNKNOWN:
                                          * they are final */
    struct life_facts facts;             /* of closed lives */
    bool end_told;                       /* its event told when it ended, and did not come late */
};

/* Whether the kernel told when a closed life ended. Of what is left in FIN_WAIT2 it told only when that
 * began. */
bool stored_life_end_is_exact(const struct stored_life *life);

/* The ends of a socket. */
struct endpoints {
    uint8_t family;        /* of the socket: AF_INET or AF_INET6 */
    struct address local;  /* network byte order */
    struct address remote; /* network byte order, IPv4-mapped where the socket is IPv6's */
};

enum lives_which { LIVES_OPEN = 1, LIVES_CLOSED = 2, LIVES_ALL = 3 };

typedef int (*stored_life_fn)(void *arg, const struct stored_life *life, struct err *err);

/* A time in which lives are looked for, record time. */
struct visit {
    int64_t from_ms;
    int64_t until_ms; /* included */
};

/* Closed lives that may be left out without reading more of them: whoever asks looks at the others
 * himself. */
struct life_choice {
    const struct visit
        *visits;     /* those alive in none of these; ascending, none upon another; not owned */
    size_t n_visits; /* 0: none is left out for that */
    const struct visit *skips; /* those that closed in one of these, by the time in their key; as
                                  visits; see hours.h */
    size_t n_skips;            /* 0: none is left out for that */
    bool ports;                /* those without a port in [low, high] ... */
    bool either_end;           /* ... as service, or at either end; false: as service */
    uint16_t low;
    uint16_t high;
    int32_t mask; /* those without a remote address of IPv4 that is network under this; 0: none */
    int32_t network; /* host byte order */
};

/* What a filter leaves out of services; of sockets. */
struct life_choice life_choice_services(const struct filter *filter);
struct life_choice life_choice_sockets(const struct filter *filter);

/* Gives each life alive at some instant of [from_ms, until_ms], in no order, but for closed ones that
 * choice leaves out. An error of fn ends it. */
int stored_life_each(struct db *db, const struct lookup *lookup, unsigned which,
                     const struct life_choice *choice, int64_t from_ms, int64_t until_ms,
                     stored_life_fn fn, void *arg, struct err *err);

/* Statements that fetch lives again by `row`. */
struct life_reader {
    struct stmt *open;   /* owned */
    struct stmt *closed; /* owned */
};

int life_reader_init(struct life_reader *reader, struct db *db, struct err *err);
void life_reader_finish(struct life_reader *reader);

/* The row is valid until the next call. -ENOENT: no such row. */
int life_reader_get(struct life_reader *reader, const struct lookup *lookup, bool open, int64_t row,
                    struct stored_life *ret, struct err *err);

int stored_life_endpoints(const struct stored_life *life, struct lookup *lookup,
                          struct endpoints *ret, struct err *err);
