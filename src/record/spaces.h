/* SPDX-License-Identifier: MIT */
/* The network namespaces that the live source records: found, opened, listened to, let go.
 *
 * Each but the own one is held by its netlink sockets, that for events and that for changes of its
 * tables, which keep it alive with its devices. A dump opens a second one and closes it (see spaces_enter()). */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/kernel/netns.h"
#include "connhist/kernel/sock_events.h"
#include "connhist/record/source.h"

struct space {
    struct netns_ref ref;
    struct sock_events *events; /* NULL: not listened to, or let go; owned */
    size_t buffer_wished;       /* bytes */
    uint64_t n_heard;           /* events so far */
    uint64_t n_heard_before;    /* at the last dump */
    struct netns_found found;   /* what shows it; meaningless for the own one */
    int changes_fd;             /* tells that interfaces or routes changed; -1: none, or let go */
    bool leaving;               /* it is let go: read what waits, then close */
    uint8_t standing;           /* enum netns_standing: if leaving, why */
};

struct spaces {
    struct source_live_options options;
    struct sock_events_reader *reader; /* owned */
    struct {
        VEC_FIELDS(struct space *);
    } items; /* owned; [0]: the own one; sorted by id */
    struct {
        VEC_FIELDS(struct netns_ref);
    } refs;                 /* of those that are not leaving */
    struct netns_list list; /* the latest search */
    struct {
        VEC_FIELDS(uint64_t);
    } passed; /* inodes that the search showed and that were not opened */
    struct {
        VEC_FIELDS(uint64_t);
    } known;              /* cookies of those that were let go though they may be there */
    pthread_mutex_t lock; /* guards items and what is in them but `found`, against drain() */
    char lack[160];       /* why some were not opened */
    unsigned lacks;       /* enum netns_lack */
    uint32_t next_id;
    int home_fd;
    int epoll_fd;
    bool may_search; /* others are wanted and allowed */
    bool searched;   /* for new ones, at least once */
    bool whole;      /* the latest such search saw all */
    bool away;       /* this thread could not come home */
};

int spaces_new(const struct source_live_options *options, struct spaces **ret, struct err *err);
void spaces_free(struct spaces *spaces);

/* Looks for namespaces: marks those that have gone as leaving, opens new ones if that is asked,
 * shares the buffers out. 0; negative errno: the search failed and all stays as it is. */
int spaces_search(struct spaces *spaces, bool want_new, struct err *err);

/* Whether all namespaces still show, each by what showed it last. */
bool spaces_all_show(const struct spaces *spaces);

/* Frees those that are gone and read to the end. */
void spaces_reap(struct spaces *spaces);

/* The one with that number; NULL. */
struct space *spaces_get(const struct spaces *spaces, uint32_t id);

/* This thread is in that namespace from now on. -ENOENT: it has gone; others as netns_enter(). */
int spaces_enter(struct spaces *spaces, struct space *space, struct err *err);

/* Back home; also to be called first where something went wrong before. */
int spaces_return(struct spaces *spaces, struct err *err);

/* As source_ops.drain. */
int spaces_drain(struct spaces *spaces, source_closing_fn fn, void *arg, size_t max,
                 struct source_drained *ret, struct err *err);

/* Names a namespace by what shows it. */
void spaces_name_it(struct netns_ref *ref, const struct netns_found *found);

/* Whether it shall be recorded, by its name and number; found: what shows it. */
bool spaces_is_wanted(const struct spaces *spaces, const struct netns_ref *ref,
                      const struct netns_found *found);

/* Whether a list has another namespace that is called so. */
bool spaces_is_taken(const struct netns_list *list, const struct netns_ref *ref);

/* As source_ops.absence, by the latest search. */
enum netns_standing spaces_absence(const struct spaces *spaces, const struct netns_ref *netns);
