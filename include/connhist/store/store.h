/* SPDX-License-Identifier: MIT */
/* The recorder's side of the file: the one connection that writes and checkpoints. One object
 * belongs to one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"
#include "connhist/model/batch.h"
#include "connhist/model/life.h"

struct store;

struct store_options {
    const char *path;  /* the database; its folder is made if missing (mode 2750) */
    const char *group; /* group that may read the file; NULL: the folder's */
};

/* Opens or makes the file: locks out a second recorder (lock file PATH-recorder), checks what it
 * is, brings it to the newest edition, and sets modes so that the group can read database, -wal and
 * -shm whatever the umask is. -EBUSY: another recorder writes it (err names its pid); -EMEDIUMTYPE,
 * -EPROTO, -EBADMSG as db_open(); -EACCES, -EROFS, -ENOSPC …: err names the path. */
int store_open(const struct store_options *options, struct store **ret, struct err *err);

/* Checkpoints, closes (-wal and -shm stay, for readers without write permission), unlocks. */
void store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close)

/* What the file knows from earlier runs. */
struct store_past {
    bool same_boot;           /* boot_base_ms and open lives are of the boot asked for */
    bool has_snapshot;        /* last_snapshot_ms is meaningful */
    int64_t boot_base_ms;     /* record time at the boot clock's zero; only if same_boot */
    int64_t last_ms;          /* latest record time in the file but planned ends; 0: none */
    int64_t last_snapshot_ms; /* start of the latest snapshot, complete or not */
    int64_t last_complete_ms; /* start of the latest snapshot that was complete, at least in some
                                 namespaces; TIME_UNKNOWN: none */
    int64_t ended_ms;         /* how far the run before recorded: its closing note, or without one
                                 the latest snapshot, or its start; TIME_UNKNOWN: no run ever heard events */
    int64_t offset_ms;        /* offset of the latest epoch; 0: none */
    uint64_t next_life;       /* the next life's number */
};

int store_read_past(struct store *store, const char *boot_id, struct store_past *ret,
                    struct err *err);

struct recording {
    char boot_id[40];
    int64_t boot_base_ms; /* record time at the boot clock's zero */
    int64_t started_ms;   /* record time */
    int64_t interval_ms;
    int64_t events_asked; /* bytes of receive buffer for events that were asked for; 0: none */
    const char *detail;   /* "on", "anonymous", "off" */
    const char *version;  /* of the program */
};

struct service_name {
    uint16_t port;
    uint8_t protocol; /* enum protocol */
    char name[64];
};

/* Begins a recording: notes it, closes lives that another boot left open, or whose planned end it
 * did not live to see (right behind that boot's last snapshot), replaces the configured service
 * names. One transaction. Also to be called when interval, detail or names change. */
int store_begin_recording(struct store *store, const struct recording *recording,
                          const struct service_name *names, size_t n_names, struct err *err);

/* Gives each open life; history is valid during the call; facts and closed_by are there where the
 * connection is over, and only its remains are open. netns ids are those of `netns` as matched
 * by inode and name; lives of namespaces not in it are not given but counted in *ret_skipped. fn returns 0 or a negative errno
 * that ends it. */
int store_each_open(struct store *store, const struct netns_ref *netns, size_t n_netns,
                    int (*fn)(void *arg, const struct life *life), void *arg, size_t *ret_skipped,
                    struct err *err);

/* Gives each closed life whose end was planned for a time after the last snapshot (a TIME_WAIT that
 * goes on): planned_ms = ended_ms = that end, cookie and inode 0, number 0 where none was kept,
 * closed_by and facts as written. Those of namespaces not in `netns` are counted in
 * *ret_skipped. For a boot that goes on, before its first batch; else as store_each_open(). */
int store_each_planned(struct store *store, const struct netns_ref *netns, size_t n_netns,
                       int (*fn)(void *arg, const struct life *life), void *arg,
                       size_t *ret_skipped, struct err *err);

/* Gives each namespace in which the latest complete snapshot (store_past.last_complete_ms) was not:
 * its id in `netns`, and the last one that was, of the latest thousand; else TIME_UNKNOWN. Before
 * the first batch. fn as in store_each_open(). */
int store_each_incomplete(struct store *store, const struct netns_ref *netns, size_t n_netns,
                          int (*fn)(void *arg, uint32_t netns, int64_t last_complete_ms), void *arg,
                          struct err *err);

/* Ends the recording of namespaces of this boot that the file takes for recorded and that are not
 * in `netns`, with the last snapshot; why() tells the reason. Lives of those that may still be there
 * are closed right behind it, counted nowhere. Before the first batch. */
int store_leave_netns(struct store *store, const struct netns_ref *netns, size_t n_netns,
                      enum netns_standing (*why)(void *arg, const struct netns_ref *netns),
                      void *arg, struct err *err);

/* Writes a batch in one transaction: all of it or nothing. On error the same batch may be written
 * again later. -ENOSPC: disk full; -EBUSY: locked by another process; -EBADMSG: file damaged;
 * -EROFS, -EIO … A batch with snapshot.full closes all open lives that are not in it; what is
 * closed already stays as it is. */
int store_write(struct store *store, const struct batch *batch, struct err *err);

/* The recording's closing note. */
int store_end_recording(struct store *store, int64_t ended_ms, struct err *err);

/* Whether the path still names the file that is open: it and its -wal may have been removed or
 * replaced. False, too, after store_disconnect() or a store_reopen() that failed. */
bool store_is_in_place(const struct store *store);

/* Gives up the connection as it is, without a checkpoint: what it saw of the file may be wrong. */
void store_disconnect(struct store *store);

/* Opens what the path names now with a new connection, and makes it if it is missing; the lock is
 * kept, or taken again if its file is gone. A -wal that belonged to a removed file is moved out of
 * the new one's way (PATH.removed-YYYYMMDDTHHMMSS-wal, unless it is empty). *ret_same: it is the
 * file that was open before, and the recording goes on; else store_begin_recording() is due.
 * On error there is no connection, and it may be tried again. Errors as store_open(). */
int store_reopen(struct store *store, bool *ret_same, struct err *err);

/* Moves the file with its -wal and -shm out of the way, to PATH.damaged-YYYYMMDDTHHMMSS (UTC), for
 * store_reopen() to begin a new one. *ret: the new name; the caller frees it.
 * -ESTALE: the path names another file by now, which is left alone. */
int store_set_aside(struct store *store, char **ret, struct err *err);
