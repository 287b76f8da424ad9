/* SPDX-License-Identifier: MIT */
/* Socket tables: now from the kernel, then from the record. The answers of `connhist netstat` and
 * `connhist list`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/address.h"
#include "connhist/model/coverage.h"
#include "connhist/model/owner.h"
#include "connhist/report/filter.h"
#include "connhist/report/walltime.h"

struct db;

/* One socket. Times are wall times in ms or TIME_UNKNOWN. */
struct socket_row {
    char netns[80];     /* name of its namespace; "" for the recorder's own */
    char interface[16]; /* name of the interface scope_ifindex, in that namespace and then; "": not
                           known, or there is none */
    uint8_t protocol;
    uint8_t family;
    uint8_t state; /* at the instant asked for; list: now, or the last one */
    uint8_t role;  /* 0: not known (live table) */
    uint8_t role_source;
    uint8_t owner_source; /* enum owner_source */
    uint8_t offload;      /* enum offload; 0: not known; live table: not asked for */
    int8_t v6only;        /* of IPv6 sockets in LISTEN and CLOSE: 1: takes IPv6 alone; 0: IPv4, too;
                             -1: not known */
    struct address local;
    struct address remote;
    uint16_t local_port;
    uint16_t remote_port;
    uint32_t scope_ifindex;     /* of the interface that it is bound to, or of a link-local end;
                                   0: none */
    int64_t recv_queue;         /* bytes, for LISTEN connections waiting; -1: not recorded */
    int64_t send_queue;         /* bytes, for LISTEN the limit; -1: not recorded */
    int64_t uid;                /* -1: not known */
    int64_t process_started_ms; /* when the owner's process started */
    const struct owner *owner;  /* the owner as far as it is known (start_ms is not set); NULL;
                                   valid during the call */
    const struct owner *const *earlier; /* list: those that were seen to have it before, in order,
                                           each once in a row; NULL: none; likewise valid */
    uint32_t n_earlier;                 /* how many */
    uint32_t holders;        /* processes that hold it, up to 65; 0: not known, or nobody asked */
    int64_t opened_ms;       /* opened at this instant or up to one interval before; TIME_UNKNOWN
                              * also for what no snapshot saw: it came and went between two */
    int64_t opened_after_ms; /* the last complete snapshot before first_seen_ms, of the same boot */
    int64_t first_seen_ms;   /* first instant it is known to have existed */
    int64_t closed_ms;       /* gone at this instant; TIME_UNKNOWN: was open at the last snapshot */
    int64_t closed_after_ms; /* was there then, and ended in a gap; TIME_UNKNOWN: in no gap */
    int64_t duration_ms;     /* from its opening to its end, without TIME_WAIT; -1: not known */
    int64_t close_wait_ms;   /* when it entered CLOSE_WAIT last */
    int64_t time_wait_ms;    /* when it entered TIME_WAIT */
    int64_t state_since_ms;  /* when `state` began */
    uint64_t cgroup;         /* live table: id of its cgroup v2; 0: not known */
    uint32_t inode;          /* live table: the socket's; 0: none */
    uint8_t closed_by;       /* enum closed_by; meaningless where closed_ms is not known, but for
                              * TIME_WAIT */
    bool has_facts;          /* tcp_info told: what follows is known */
    bool rx_uncertain;       /* rx_bytes may be 1 too many */
    int64_t tx_bytes;        /* payload sent, each byte once */
    int64_t rx_bytes;        /* payload received */
    int64_t tx_segs;         /* segments sent, with retransmissions and pure ACKs */
    int64_t rx_segs;         /* segments received */
    int64_t retrans;         /* segments sent again */
    int64_t rtt_us;          /* smoothed round trip; 0: none measured */
    int64_t sampled_ms;      /* list, open ones: the last sampling within the span that this is
                              * known by; of one that closed: the numbers are of this snapshot,
                              * lower bounds; TIME_UNKNOWN: none, or they are final */
    int64_t idle_ms;         /* from the last payload in either direction, or else the opening, to
                              * sampled_ms; -1: not known */
};

/* Gets each row; valid during the call. A negative return ends the query with it. */
typedef int (*socket_row_fn)(void *arg, const struct socket_row *row);

/* What a live table is to have beside the sockets: bits. */
enum live_bit {
    LIVE_OWNERS = 1,   /* owners: processes are looked into */
    LIVE_OFFLOADS = 2, /* offload: tcp_info is asked for */
};

/* The kernel's tables now, of this thread's network namespace or the one that the filter names; no
 * file, no recorder. Rows come
 * sorted: protocol, listeners (and unconnected UDP) first, local port, local, remote. 0: all; 1:
 * rows came, but err says what lacks (a kernel module for one protocol; the tables changed each of
 * the 3 times that they were read; owners: some were not found because processes can't be looked
 * into). -EOPNOTSUPP: the filter asks for a role. Others as sock_diag_dump(). */
int sockets_live(const struct filter *filter, unsigned which, socket_row_fn fn, void *arg,
                 struct err *err);

/* Whether sockets_live() can look into the filter's namespace: 0; -ENOENT: there is none; -EPERM:
 * CAP_SYS_ADMIN is missing. */
int sockets_live_check(const struct filter *filter, struct err *err);

/* Which snapshot stands for an instant. */
struct snapshot_choice {
    bool found;          /* a complete snapshot not later than the instant exists */
    int64_t snapshot_ms; /* its start, wall time */
    int64_t record_ms;   /* its start, record time */
    int64_t distance_ms; /* from snapshot_ms to the wall time asked for; below 0 where the clock was
                          * set back between them */
    bool in_gap;         /* more than 1.5 intervals of its recording away on the record's clock, or
                          * the wall time asked for was jumped over */
    int64_t resumes_ms;  /* record time: in_gap: first complete snapshot behind, or the instant */
    bool ambiguous;    /* the wall time happened twice (clock set back): the later one was taken */
    bool earlier;      /* the clock was set back and the record does not reach that wall time
                      * again: what was before is taken */
    int64_t unkept;    /* sockets that were counted at it, but not kept: they lack */
    int64_t pruned_ms; /* not found: before this wall time all is removed; TIME_UNKNOWN: else */
    char detail[16];   /* detail of its recording */
};

/* The latest complete snapshot not later than at_ms (wall time). */
int sockets_choose(struct db *db, const struct walltime *walltime, int64_t at_ms,
                   struct snapshot_choice *ret, struct err *err);

/* The same among the snapshots that are complete in the namespace that a filter names; in_gap, too,
 * where it was not recorded. NULL: none is named. */
int sockets_choose_in(struct db *db, const struct walltime *walltime, const struct filter *filter,
                      int64_t at_ms, struct snapshot_choice *ret, struct err *err);

/* The table as of a chosen snapshot; order as sockets_live(). No rows when none was found. Call
 * db_begin() before; it is ended before the first row is given, since who takes them may be slow.
 * -EBADMSG: the file is damaged. */
int sockets_at(struct db *db, const struct walltime *walltime, const struct snapshot_choice *choice,
               const struct filter *filter, socket_row_fn fn, void *arg, struct err *err);

struct list_question {
    struct filter filter; /* states: that it was ever in during the span */
    int64_t since_ms;     /* wall time */
    int64_t until_ms;     /* wall time, not included */
    bool open_only;       /* alive at the last snapshot */
    unsigned closed_by;   /* closed ones and TIME_WAIT alone: bit 1 << enum closed_by; 0: all */
    uint64_t limit;       /* at most so many rows, the first ones; 0: all */
};

/* Sockets alive at some instant of the span; in the order in which they were first seen. Call
 * db_begin() before; it is ended before the first row is given, and later ones are read in short
 * transactions: who takes them may be slow. All are as they were at the first instant.
 * A TIME_WAIT whose end lies ahead is written as closed already: until a later snapshot or another run
 * of the recorder comes, it counts as open. -EINVAL: the span ends before it begins, or open_only and
 * closed_by exclude each other; -EBADMSG: the file is damaged. */
int sockets_list(struct db *db, const struct walltime *walltime,
                 const struct list_question *question, socket_row_fn fn, void *arg,
                 struct err *err);
