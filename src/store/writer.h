/* SPDX-License-Identifier: MIT */
/* The inside of struct store, for the files that write. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "closed_rows.h"
#include "connhist/store/store.h"
#include "connhist/store/upkeep.h"
#include "dictionary.h"
#include "hours_build.h"
#include "owners.h"
#include "pauses.h"
#include "retention.h"
#include "rollup.h"
#include "serials.h"

#define WRITER_BUSY_MS 500 /* how long somebody else's lock is waited for */

/* Statements that are kept: each is prepared when it is first needed. */
enum writer_stmt {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_FIND_NETNS,
    STMT_ADD_NETNS,
    STMT_RENAME_NETNS,
    STMT_ADD_SPAN,
    STMT_END_SPAN,
    STMT_ADD_INCOMPLETE,
    STMT_LIST_OPEN_NETNS,
    STMT_FIND_SERVICE,
    STMT_ADD_SERVICE,
    STMT_FIND_OWNER,
    STMT_ADD_OWNER,
    STMT_FIND_PROCESS,
    STMT_ADD_PROCESS,
    STMT_FIND_PROGRAM,
    STMT_ADD_PROGRAM,
    STMT_FIND_CGROUP,
    STMT_ADD_CGROUP,
    STMT_ADD_HOLDER,
    STMT_DROP_HOLDERS,
    STMT_ADD_OWNER_CHANGE,
    STMT_PUT_OFFLOAD,
    STMT_DROP_OWNER_CHANGES,
    STMT_FIND_ADDRESS,
    STMT_ADD_ADDRESS,
    STMT_LAST_KEY,
    STMT_PUT_OPEN,
    STMT_DROP_OPEN,
    STMT_ADD_CLOSED,
    STMT_ADD_CLOSED_MANY,
    STMT_DROP_CLOSED,
    STMT_LIST_PLANNED,
    STMT_SHORTEN_CLOSED,
    STMT_ADD_LATE,
    STMT_PUT_FACTS,
    STMT_DROP_FACTS,
    STMT_KEEP_FACTS,
    STMT_LIST_OPEN,
    STMT_GET_OPEN,
    STMT_MOVE_CLOSED,
    STMT_ADD_EPOCH,
    STMT_ADD_SNAPSHOT,
    STMT_ADD_TALLY,
    STMT_ADD_QUEUE,
    STMT_GET_RATE,
    STMT_PUT_RATE,
    STMT_NEXT_RATE,
    STMT_LIST_RATES,
    STMT_NEXT_TALLY,
    STMT_LIST_TALLIES,
    STMT_NEXT_ROLLUP,
    STMT_LIST_ROLLUPS,
    STMT_PUT_ROLLUP,
    STMT_NEXT_EITHER,
    STMT_LIST_NETNS,
    STMT_PUT_NETNS,
    STMT_GET_SERVICE_NETNS,
    STMT_NEXT_SNAPSHOT,
    STMT_NEXT_COVER,
    STMT_GET_OFFSET,
    STMT_ADD_PAUSE,
    STMT_ADD_LOSS,
    STMT_SET_COST,
    STMT_SET_PROGRAM,
    STMT_PAGE_COUNT,
    STMT_FREE_COUNT,
    STMT_PRUNE_CLOSED,
    STMT_PRUNE_LATE,
    STMT_PRUNE_HOLDERS,
    STMT_PRUNE_QUEUES,
    STMT_PRUNE_CHANGES,
    STMT_PRUNE_OFFLOADS,
    STMT_GROUP_QUEUE,
    STMT_THIN_QUEUE,
    STMT_PRUNE_SNAPSHOTS,
    STMT_GROUP_TALLY,
    STMT_PRUNE_TALLY,
    STMT_GROUP_ROLLUP,
    STMT_PRUNE_ROLLUP,
    STMT_GROUP_RATE,
    STMT_PRUNE_RATE,
    STMT_PRUNE_COVER,
    STMT_GROUP_NETNS,
    STMT_PRUNE_NETNS,
    STMT_PRUNE_NETNS_COVER,
    STMT_PRUNE_LOSSES,
    STMT_PRUNE_PAUSES,
    STMT_PRUNE_RUNS,
    STMT_PRUNE_SPANS,
    STMT_PRUNE_INCOMPLETE,
    STMT_OLDEST_CLOSED,
    STMT_FIND_COUNTER,
    STMT_ADD_COUNTER_NAME,
    STMT_COUNTER_KIND,
    STMT_COUNTED_INTERFACE,
    STMT_ADD_COUNTER,
    STMT_ADD_COUNTER_ROLLUP,
    STMT_LAST_COUNTERS,
    STMT_NETNS_BIRTH,
    STMT_ADD_COUNTER_COVER,
    STMT_ADD_READING,
    STMT_ADD_READING_LACK,
    STMT_KEEP_INTERFACE,
    STMT_ADD_INTERFACE,
    STMT_END_INTERFACE,
    STMT_END_INTERFACES,
    STMT_FIND_ROUTE,
    STMT_LIST_WAYS,
    STMT_KEEP_ROUTE,
    STMT_KEEP_WAYS,
    STMT_ADD_ROUTE,
    STMT_ADD_ROUTE_WAY,
    STMT_END_ROUTE,
    STMT_END_ROUTES,
    STMT_GROUP_COUNTER_COVER,
    STMT_PRUNE_COUNTER_COVER,
    STMT_PRUNE_READINGS,
    STMT_PRUNE_READING_LACKS,
    STMT_GROUP_COUNTER,
    STMT_PRUNE_COUNTER,
    STMT_GROUP_COUNTER_ROLLUP,
    STMT_PRUNE_COUNTER_HOURS,
    STMT_PRUNE_COUNTER_DAYS,
    STMT_GROUP_INTERFACE,
    STMT_GROUP_ROUTE,
    STMT_GROUP_SPAN,
    STMT_PRUNE_INTERFACES,
    STMT_PRUNE_ROUTES,
    STMT_PRUNE_ROUTE_WAYS,
    STMT_LAST_HOURS,
    STMT_DROP_HOURS,
    STMT_PUT_HOURS,
    STMT_PRUNE_HOURS,
    STMT_HOURS_ROWS,
    STMT_HOURS_CHANGES,
    STMT_PRUNE_EPOCHS,
    STMT_SET_TIER,
    STMT_FIND_PRUNING,
    STMT_ADD_PRUNING,
    STMT_EXTEND_PRUNING,
    STMT_COUNT_PRUNING,
    STMT_SWEEP_READ, /* as many as enum sweep_phase has */
    STMT_SWEEP_LAST = STMT_SWEEP_READ + 40,
    STMT_COUNT
};

struct store {
    sqlite3 *db;                     /* the one connection that writes; NULL: none now */
    char *path;                      /* as SQLite resolved it */
    int lock_fd;                     /* see lock.h; -1: none */
    int db_fd, wal_fd;               /* O_PATH: the files last opened, so that their inode numbers
                                        are not given to others; -1: none */
    int64_t file_bytes, wal_bytes;   /* sizes of database and -wal after the last own write */
    bool suspect;                    /* it was found cut off or written over: to be looked through
                                        before it is used again */
    gid_t gid;                       /* group that was asked for, or GID_UNCHANGED */
    int64_t recording;               /* recordings.id of the one that runs; 0: none */
    int64_t boot;                    /* its boots.id */
    int64_t boot_base_ms;            /* record time at the boot clock's zero */
    int64_t interval_ms;             /* its planned distance of snapshots */
    struct pauses pauses;            /* the complete snapshot written last */
    struct rollup rollup;            /* what is being added up */
    struct hours_build hours;        /* hours whose numbers are being looked through */
    struct retention retention;      /* what is kept, and how the removal of the rest stands */
    struct dictionary dictionary;    /* numbers of what was looked up lately */
    struct serials serials;          /* serials given lately in keys of `closed` */
    struct closed_rows closed_rows;  /* told in this transaction, and not in the file yet */
    sqlite3_stmt *stmts[STMT_COUNT]; /* NULL: not prepared yet */
};

/* Opens or makes the database at path, brings it in shape and remembers which files it has
 * (open.c). On error there is no connection. */
int writer_connect(struct store *store, const char *path, struct err *err);

/* Closes the connection with all that was prepared and looked up on it. */
void writer_disconnect(struct store *store);

/* Remembers how large database and -wal are, after something wrote to them. */
void writer_note_sizes(struct store *store);

/* Whether the database begins as one does, or is empty. */
bool writer_has_head(struct store *store);

/* Whether path names the file that fd (O_PATH) has open. */
bool writer_same_file(int fd, const char *path);

/* A kept statement, ready to be bound. */
int writer_stmt(struct store *store, enum writer_stmt which, const char *sql, sqlite3_stmt **ret,
                struct err *err);

/* Prepares, binds integers from index 1 on, and runs a kept statement. */
int writer_run(struct store *store, enum writer_stmt which, const char *sql, const int64_t *values,
               size_t n, struct err *err);

#define WRITER_RUN(store, which, sql, err, ...)                         \
    writer_run((store), (which), (sql), (const int64_t[]){__VA_ARGS__}, \
               sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (err))

/* A transaction: writer_end() commits if r >= 0, else rolls back and forgets what was cached since;
 * it returns r or the commit's error. */
int writer_begin(struct store *store, struct err *err);
int writer_end(struct store *store, int r, struct err *err);

/* Raises program.next_life and program.last_ms. */
int writer_set_program(struct store *store, uint64_t next_life, int64_t last_ms, struct err *err);

/* Inside a transaction. */
int writer_add_loss(struct store *store, const struct loss *loss, struct err *err);

/* Lives, inside a transaction. The dictionary's numbers by the recorder's. */
struct batch_ids {
    const struct netns_ref *refs; /* the batch's namespaces */
    const int64_t *ids;           /* as many */
    size_t n;
    const struct owner_ids *owners; /* its owners, ascending by number */
    size_t n_owners;
};
int lives_put_open(struct store *store, const struct batch_ids *ids, const struct life *life,
                   struct err *err);

/* The row is in the file after lives_flush_closed(); the life and its history must stay until then. */
int lives_add_closed(struct store *store, const struct batch_ids *ids, const struct life *life,
                     struct err *err);
int lives_flush_closed(struct store *store, struct err *err);

/* Writes life in place of the row that told life->planned_ms as its end, or if there is none
 * besides what there is. */
int lives_amend_closed(struct store *store, const struct batch_ids *ids, const struct life *life,
                       struct err *err);
int lives_add_late(struct store *store, const struct late_facts *late, struct err *err);

/* What was sampled at at_ms of lives that are open takes the place of what was before. */
/* Writes what holds the batch's lives, where that is not the ordinary case and changed. */
int offloads_write(struct store *store, const struct batch *batch, struct err *err);

int sampled_put(struct store *store, const struct sampled_facts *sampled, int64_t at_ms,
                struct err *err);

/* Of a life that is open no more. */
int sampled_drop(struct store *store, int64_t number, struct err *err);

/* Copies them to the row of `closed` by its key, as final, or as those of their snapshot; nothing
 * where the life has none. */
int sampled_keep(struct store *store, int64_t number, int64_t key, struct err *err);

/* Closes at ended_ms all open lives of a namespace, by its number in the file. */
int lives_close_netns(struct store *store, int64_t netns, int64_t ended_ms, struct err *err);

/* Whether namespaces are recorded, and where the snapshot is not complete, inside a transaction
 * (standing.c). */
int standing_write(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                   struct err *err);

/* A boot is over, and with it all namespaces. */
int standing_end_boot(struct store *store, int64_t until_ms, struct err *err);

/* The file's number of a namespace of a batch; 0: it has none. */
int64_t lives_netns(const struct batch_ids *ids, uint32_t netns);

/* Closes at ended_ms all open lives whose numbers are not among the n, which are in order.
 * keep_numbers: facts of them may come later. */
int lives_close_others(struct store *store, const uint64_t *numbers, size_t n, int64_t ended_ms,
                       bool keep_numbers, struct err *err);

/* Ends closed lives at ended_ms whose end was planned for later. */
int planned_cut(struct store *store, int64_t ended_ms, struct err *err);

/* The keys of `closed` of one class in which all lives stand that end after last_ms. */
void planned_range(unsigned class, int64_t last_ms, int64_t *ret_first, int64_t *ret_last);

/* The dictionary's number of a service. */
int lives_find_service(struct store *store, const struct batch_ids *ids,
                       const struct service_key *service, int64_t *ret, struct err *err);

/* The number of an owner; *ret 0: nothing is known. uid: the socket's; number: the batch's, or 0. */
int lives_find_owner(struct store *store, const struct batch_ids *ids, uint32_t uid,
                     uint32_t number, int64_t *ret, struct err *err);

/* Adds what came and went at a service to what the file has of that minute, and of its hour and day
 * if these are added up already. */
int rates_add(struct store *store, const struct batch_ids *ids, const struct rate_change *rate,
              struct err *err);

/* For qsort() and bsearch() over uint64_t. */
int lives_compare_numbers(const void *a, const void *b);

/* A key of `closed` that is free. *ret_late_ms: by how much its time is after ended_ms. */
int serials_take(struct store *store, int64_t since_ms, int64_t ended_ms, int64_t *ret_key,
                 int64_t *ret_late_ms, struct err *err);
