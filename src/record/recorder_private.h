/* SPDX-License-Identifier: MIT */
/* What the recorder's threads share. `dump` (tick.c, or the caller of recorder_tick()) owns source,
 * ledger and timeline; `disk` (disk.c) owns the store; the queue and the atomics stand between
 * them. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "connhist/base/queue.h"
#include "connhist/record/recorder.h"
#include "connhist/record/timeline.h"
#include "counting.h"
#include "events.h"
#include "namespaces.h"

#define HOUR_MS           INT64_C(3600000)
#define WRITE_ERRORS_TOLD 4 /* kinds of failure told in a row */

struct recorder {
    struct recorder_options options;
    struct source source;
    struct timeline timeline;
    struct ledger *ledger;
    struct store *store;
    struct queue *queue;   /* of struct batch */
    struct events *events; /* NULL: the source has none */
    struct recording recording;
    int64_t cpu_base_ms; /* the process's CPU time when this recorder began */

    /* dump */
    int64_t last_start_ms;  /* record time of the last snapshot */
    int64_t before_ms;      /* record time of the snapshot before it */
    int64_t first_start_ms; /* record time of the first snapshot; 0: none yet */
    int64_t heard_ms;       /* record time up to which all events are told; 0: not ended yet */
    int64_t next_ns;        /* boot time of the next planned tick; 0: the first is due */
    int64_t watch_ns;       /* boot time of the next look whether namespaces have gone */
    int64_t last_extra_ns;  /* boot time of the last snapshot out of turn */
    int64_t anchor_hour;    /* hour of record time of the last anchor */
    uint64_t ticks_missed;  /* in this recording */
    struct namespaces namespaces;
    struct counting_state counting; /* counters, interfaces and routes as they were told last */
    struct loss_vec losses;         /* not in a batch yet */
    struct epoch_vec epochs;        /* not in a batch yet */
    struct loss dropped;            /* batches that did not fit; count 0: none */
    struct loss failing; /* snapshots whose dump failed in a row; count 0: none since it was told */
    unsigned lacks_told; /* enum netns_lack that a person was told of */
    int64_t sampled_ns;  /* boot time of the last snapshot that sampled tcp_info; 0: none */
    bool sampling;       /* this snapshot samples tcp_info */
    bool full_next;      /* the file must be told everything again */
    bool info_next;      /* ask for tcp_info of all sockets, there are many new ones */
    bool ending;         /* this snapshot is the last one */
    bool first_done;     /* the first snapshot was taken */
    bool is_failing;     /* the last dump failed */
    bool extra_due;      /* events were lost: a snapshot out of turn is due */
    bool events_lost;    /* that was told once */
    bool events_failing; /* the last look for events failed */
    bool had_udp;        /* the kernel dumped UDP in this recording */
    bool lacks_udp;      /* it could not, and that was said */

    /* disk */
    struct batch *held; /* taken from the queue, not written yet */
    struct loss lost;   /* snapshots that did not fit, while awaits_full */
    int64_t written_ms; /* record time of the snapshot written last; 0: none */
    int64_t again_ms;   /* while awaits_full: its snapshot began at this record time or later */
    int write_errors[WRITE_ERRORS_TOLD]; /* how writing failed since it last went well; 0: no more
                                          */
    int upkeep_error;                    /* how upkeep of the file failed last; 0: it went well */
    unsigned upkeep_waits;               /* batches written since its last step */
    unsigned tries;                      /* writes in a row that failed for a lasting reason */
    unsigned full_pause; /* snapshots between two that tell all, as long as those don't fit */
    unsigned full_waits; /* of these, how many are left */
    struct loss thin;    /* detail that is not written, while lacks_detail */
    struct store_retention retention; /* as asked for last; under retention_lock, like the next */
    pthread_mutex_t retention_lock;
    struct {
        VEC_FIELDS(struct batch *);
    } parked;             /* what waits without its detail for the -wal to be begun anew; owned */
    size_t parked_bytes;  /* what that takes */
    int64_t max_bytes;    /* as the store was told last */
    int64_t full_sockets; /* at the last that told all and did not fit */
    bool upkeep_due;      /* there may be something to do */
    bool retention_new;   /* the store was not told of retention yet */
    bool lacks_detail;    /* the file lacks sockets: only a full batch mends that */
    bool held_thin;       /* held was stripped of its detail */
    bool held_tells_thin; /* thin is the last of held's losses */
    bool set_aside;       /* a damaged file was moved away, none is there now */
    bool awaits_full;     /* the file lacks what was told before: only a full batch fits */
    bool held_tells_lost; /* lost is among held's losses */

    pthread_t dump_thread, disk_thread;
    bool dump_started, disk_started;
    bool held_was_full;    /* held told all before it was stripped */
    int wake_fd;           /* eventfd: events were lost, or fill the queue */
    int stop_fd;           /* eventfd: readable when threads shall end */
    int done_fd;           /* the caller's; -1 */
    atomic_bool failed;    /* the dump thread ended by a failure */
    atomic_int disk_error; /* how writing fails now, negative errno; 0: it goes well */
    atomic_bool resync;    /* disk asks dump to tell everything in the next batch */
    atomic_uint_fast64_t ticks;
    atomic_int_fast64_t busy_since_ns; /* boot time at which the tick at work began; 0: none */
    atomic_int_fast64_t
        give_up_ns; /* boot time at which disk gives up on what waits; 0: not ending */
};

/* Tells a person. */
__attribute__((format(printf, 3, 4))) void recorder_notice(const struct recorder *recorder,
                                                           int level, const char *format, ...);

/* Takes one snapshot and queues what it changed (tick.c). Failures are recorded, none is returned.
 */
void tick_take(struct recorder *recorder);

/* Dumps all namespaces into the ledger. What can be had is had, also after a failure, which is
 * returned (dumping.c). */
int dump_all(struct recorder *recorder, struct batch *batch, struct err *err);

/* Hands all events that are known to the ledger (feed.c). True: some were lost, which was noted. */
bool feed_events(struct recorder *recorder);

/* Tells the ledger which sockets of the namespace that was entered are the kernel's, if one may be (feed.c). */
void feed_kernel_ports(struct recorder *recorder);

/* Lets the ledger look for owners (feed.c). */
void feed_owners(struct recorder *recorder, enum snapshot_status status);

/* Notes that no events were heard since the run before ended; TIME_UNKNOWN: there was none (feed.c).
 */
void feed_note_absence(struct recorder *recorder, int64_t ended_ms);

/* Notes a loss for the next batch (tick.c). */
void tick_add_loss(struct recorder *recorder, const struct loss *loss);

/* What does not fit into the file (fitting.c), on the disk thread. Hands what was asked for to the
 * store; writes what waits, and then held, if need be without its detail. 1: held waits, too, and is
 * no longer held; -EXFULL: there is no room to wait. */
void fitting_take_retention(struct recorder *recorder);
int fitting_write_held(struct recorder *recorder, struct err *err);
int fitting_write_parked(struct recorder *recorder, struct err *err);

/* The snapshot up to which all is in the file, or waits for it. */
int64_t fitting_told_ms(const struct recorder *recorder);

/* Held was written; or all that waits is lost. */
void fitting_written(struct recorder *recorder);
void fitting_lose_parked(struct recorder *recorder);

/* Body of the dump thread: ticks until stop_fd or max_ticks (tick.c). */
void *tick_main(void *recorder);

/* Writes the batch that is held, if any. 0, or the store's error: it is kept (disk.c). */
int disk_write_held(struct recorder *recorder, struct err *err);

/* One short step of upkeep, if it is due. True: there is more to do (disk.c). */
bool disk_upkeep(struct recorder *recorder);

/* Writes all that waits, and the closing note. On error the rest still waits (disk.c). */
int disk_end(struct recorder *recorder, struct err *err);

/* Body of the disk thread: writes until the queue is closed and empty (disk.c). */
void *disk_main(void *recorder);
