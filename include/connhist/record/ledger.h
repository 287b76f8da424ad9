/* SPDX-License-Identifier: MIT */
/* The ledger: the recorder's memory of all sockets that are alive, and of what became of them since
 * the last snapshot. Samples go in, batches come out. It does no I/O and reads no clock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/batch.h"
#include "connhist/model/closing.h"
#include "connhist/model/life.h"
#include "connhist/model/owner.h"
#include "connhist/model/sample.h"
#include "connhist/model/service.h"
#include "connhist/record/ledger_netns.h"

struct ledger;

enum ledger_detail {
    LEDGER_DETAIL_ON,        /* every life is told */
    LEDGER_DETAIL_ANONYMOUS, /* peers are cut to a prefix before anything is kept */
    LEDGER_DETAIL_OFF,       /* listeners alone are told; counts are exact all the same */
};

struct ledger_options {
    enum ledger_detail detail;
    unsigned anonymous_ipv4_bits; /* kept of IPv4 and mapped peers */
    unsigned anonymous_ipv6_bits; /* kept of other peers */
    uint32_t max_client_services; /* client services told apart at a time; the rest is `other` */
    uint32_t max_services;        /* of a namespace told apart over the file's life; 0: no bound */
    uint32_t max_syn_recv;        /* SYN_RECV sockets kept as lives; the rest is tallied alone */
    struct port_range ephemeral;
    bool owners;         /* ledger_find_owners() will be called */
    bool events;         /* destroy events will be told by ledger_closing() */
    int64_t interval_ms; /* planned distance of snapshots */
    int64_t base_ms;     /* record time = base_ms + CLOCK_BOOTTIME in ms; for samples' timers */
    uint64_t next_life;  /* the first number to give; never 0 */
};

/* 0 or -ENOMEM. */
int ledger_new(const struct ledger_options *options, struct ledger **ret);
void ledger_free(struct ledger *ledger);
DEFINE_CLEANUP(struct ledger *, ledger_free)

/* A service that the file has, of a namespace of this run. Before ledger_resume(). 0 or -ENOMEM. */
int ledger_know_service(struct ledger *ledger, const struct service_key *key);

/* A life that the file holds as open, from an earlier run in the same boot; before the first
 * snapshot. life->service.netns must be this run's id. Its number must be below next_life. 0 or
 * -ENOMEM. */
int ledger_resume(struct ledger *ledger, const struct life *life);

/* The instant of the last complete snapshot of an earlier run in the same boot (or the latest
 * record time of another boot): lower bound for what ended or began meanwhile. Only to be called
 * before the first snapshot. */
void ledger_resume_at(struct ledger *ledger, int64_t last_complete_ms);

/* Begins a snapshot at start_ms, which must be later than the one before. batch gets what it
 * changes (all but losses, epochs and netns), sealed by the caller after ledger_end(); it must stay
 * until then. */
void ledger_begin(struct ledger *ledger, int64_t start_ms, struct batch *batch);

/* This snapshot's samples carry facts of connections, which are told where they changed; to be
 * called after ledger_begin(). again: those that did not change, too, for a batch with them may be
 * lost. */
void ledger_sampling(struct ledger *ledger, bool again);

/* One sample of this snapshot; a second one of the same socket is dropped. 0 or -ENOMEM (the
 * snapshot must then be ended as interrupted). */
int ledger_sample(struct ledger *ledger, uint32_t netns, const struct sample *sample);

/* New TCP sockets since the last call whose tcp_info could tell the role: *ret points to at most
 * max samples that the caller may complete (sample.opener) in place until the next ledger_sample()
 * or ledger_end(). Returns how many; those beyond max are decided without. To be called after each
 * namespace's TCP. */
size_t ledger_unsure(struct ledger *ledger, size_t max, struct sample **ret);

/* A destroy event, at any time between ledger_end() and the next one; at best as soon as it is
 * read, and all that wait before ledger_begin() and before ledger_end(). -ENOBUFS: one snapshot
 * after the other was interrupted, and too many events wait for a complete one. 0, or -ENOMEM,
 * -ENOBUFS (the event is lost). */
int ledger_closing(struct ledger *ledger, uint32_t netns, const struct closing *closing);

/* An event that is given LEDGER_EXPECT_AHEAD events later: what it is looked for in is fetched into
 * the cache meanwhile. */
#define LEDGER_EXPECT_AHEAD 8
void ledger_expect(const struct ledger *ledger, uint32_t netns, const struct closing *closing);

/* Some events were lost: what came and went since the snapshot before is not known. */
void ledger_events_lost(struct ledger *ledger);

/* The kernel dropped TIME_WAIT sockets of a namespace (table full, or reused) since the snapshot
 * before: that none is there proves nothing. To be called before ledger_end(). 0 or -ENOMEM. */
int ledger_time_wait_lost(struct ledger *ledger, uint32_t netns);

/* This snapshot is the last one of this run, which ends with its start: all events that came before
 * are told, even if it was interrupted. To be called before ledger_end(). */
void ledger_last(struct ledger *ledger);

/* A life that an earlier run in the same boot closed in the file with an end that is still to come
 * (life->planned_ms); as ledger_resume(). */
int ledger_resume_planned(struct ledger *ledger, const struct life *life);

/* Fills in the answers of n wants; 0: nothing is wanted any more. recheck: owners are known, and held against what is now: a
 * little work is enough. What the answers point to stays until the next call. */
typedef void (*ledger_look_fn)(void *arg, struct owner_want *wants, size_t n, bool recheck);

/* Whether a process is still what it was: 0; else it has ended (-ESRCH) or changed its name (1). */
typedef int (*ledger_check_fn)(void *arg, const struct owner *owner);

/* Looks for owners of lives that have none, and looks after some that have one. Once before
 * ledger_end() of each snapshot, with the same status. 0 or -ENOMEM (the snapshot must then be
 * ended). */
int ledger_find_owners(struct ledger *ledger, enum snapshot_status status, ledger_look_fn look,
                       ledger_check_fn check, void *arg);

/* Ends the snapshot: roles are decided, lives that were not seen have ended and counts are compared,
 * where it is complete: if status says interrupted, everywhere but in the namespaces that failed
 * (ledger_netns_failed()), and if none was named, nowhere. full: lives are told in full. anchor:
 * tallies are told in full, where it is not complete as they were. -ENOMEM: batch is unusable and
 * must be dropped; the next one must be full and an anchor, as after any batch that was lost. */
int ledger_end(struct ledger *ledger, enum snapshot_status status, bool anchor, bool full);

/* Counters for status. */
struct ledger_stats {
    size_t lives;            /* alive now */
    size_t services;         /* in use now */
    uint64_t services_other; /* lives so far that count for `other`, their client service being
                                beyond the bound */
    uint64_t roles_guessed;  /* lives so far whose role rests on the port class alone */
    uint64_t closings;       /* events so far of sockets that were connected */
    uint64_t unconnected;    /* … of sockets that never were */
    uint32_t owners_later;   /* sockets of the last snapshot without a known owner: not looked for
                                to the end yet */
    uint32_t owners_absent;  /* … no process has them, or none could */
    uint32_t owners_denied;  /* … some processes could not be looked into */
    bool offload_told;       /* the kernel told what holds a connection */
    uint64_t unresolved;     /* … of aborted sockets whose endpoints nobody knows */
    size_t bytes;            /* memory held */
};

void ledger_stats(const struct ledger *ledger, struct ledger_stats *ret);
