/* SPDX-License-Identifier: MIT */
#include "spaces.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/host.h"
#include "connhist/kernel/rtnl_changes.h"

#define KNOWN_MAX        1024
#define DESCRIPTORS_KEPT 32 /* for dumps, owners and the file; the rest may hold namespaces */

static void space_free(struct space *space)
{
    if (!space)
        return;
    sock_events_close(space->events);
    cleanup_close(&space->changes_fd);
    free(space);
}

DEFINE_CLEANUP(struct space *, space_free)

static struct space *space_new(void)
{
    struct space *space = calloc(1, sizeof(*space));

    if (space)
        space->changes_fd = -1;
    return space;
}

int spaces_return(struct spaces *spaces, struct err *err)
{
    int r = spaces->away ? netns_return(spaces->home_fd, err) : 0;

    if (r == 0)
        spaces->away = false;
    return r;
}

/* Listens in the namespace that this thread is in. */
static int listen_here(struct spaces *spaces, struct space *space, size_t bytes, struct err *err)
{
    /* without it interfaces and routes are read once a minute */
    space->changes_fd = rtnl_changes_open(NULL);
    if (!spaces->options.event_buffer_bytes)
        return 0;
    space->buffer_wished = bytes;
    return sock_events_open(spaces->options.clock, bytes, &space->events, err);
}

/* From here on drain() may come upon it. The lock is held. */
static int add(struct spaces *spaces, struct space *space)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = space};

    if (vec_reserve(&spaces->items, 1) < 0)
        return -ENOMEM;
    if (space->events &&
        epoll_ctl(spaces->epoll_fd, EPOLL_CTL_ADD, sock_events_fd(space->events), &event) < 0)
        return -errno;
    spaces->items.items[spaces->items.n++] = space;
    return 0;
}

static int keep(struct spaces *spaces, struct space **space)
{
    int r;

    (*space)->ref.id = spaces->next_id;
    pthread_mutex_lock(&spaces->lock);
    r = add(spaces, *space);
    pthread_mutex_unlock(&spaces->lock);
    if (r < 0)
        return r;
    spaces->next_id++;
    *space = NULL;
    return 0;
}

static int open_own(struct spaces *spaces, struct err *err)
{
    _cleanup_(cleanup_space_free) struct space *own = space_new();
    int r;

    if (!own)
        return err_set(err, -ENOMEM, "out of memory");
    own->ref.cookie = netns_cookie();
    r = host_netns_inode(&own->ref.inode, err);
    if (r == 0)
        r = listen_here(spaces, own, spaces->options.event_buffer_bytes, err);
    if (r < 0)
        return r;
    r = keep(spaces, &own);
    return r < 0 ? err_errno(err, r, "listening for events") : 0;
}

int spaces_new(const struct source_live_options *options, struct spaces **ret, struct err *err)
{
    struct spaces *spaces = calloc(1, sizeof(*spaces));
    int r = 0;

    if (!spaces)
        return err_set(err, -ENOMEM, "out of memory");
    spaces->options = *options;
    pthread_mutex_init(&spaces->lock, NULL);
    spaces->home_fd = netns_open_home(err);
    spaces->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (spaces->home_fd < 0)
        r = spaces->home_fd;
    else if (spaces->epoll_fd < 0)
        r = err_errno(err, -errno, "epoll_create1");
    else if (sock_events_reader_new(&spaces->reader) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = open_own(spaces, err);
    if (r < 0) {
        spaces_free(spaces);
        return r;
    }
    if (options->n_include && netns_try(spaces->home_fd) == 0)
        spaces->may_search = true;
    else if (options->n_include)
        spaces->lacks = NETNS_LACKS_ADMIN;
    *ret = spaces;
    return 0;
}

void spaces_free(struct spaces *spaces)
{
    if (!spaces)
        return;
    for (size_t i = 0; i < spaces->items.n; i++)
        space_free(spaces->items.items[i]);
    vec_finish(&spaces->items);
    vec_finish(&spaces->refs);
    vec_finish(&spaces->list);
    vec_finish(&spaces->passed);
    vec_finish(&spaces->known);
    sock_events_reader_free(spaces->reader);
    pthread_mutex_destroy(&spaces->lock);
    if (spaces->home_fd >= 0)
        close(spaces->home_fd);
    if (spaces->epoll_fd >= 0)
        close(spaces->epoll_fd);
    free(spaces);
}

struct space *spaces_get(const struct spaces *spaces, uint32_t id)
{
    size_t low = 0, high = spaces->items.n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (spaces->items.items[middle]->ref.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < spaces->items.n && spaces->items.items[low]->ref.id == id
               ? spaces->items.items[low]
               : NULL;
}

int spaces_enter(struct spaces *spaces, struct space *space, struct err *err)
{
    int r = netns_enter(NULL, &space->found, err);

    if (r == -ENOENT) { /* that process or mount is gone; others may be left */
        const struct netns_found *found;

        r = netns_find(NULL, &spaces->list, err);
        found = netns_in_list(&spaces->list, space->ref.inode);
        if (r < 0)
            return r;
        if (!found)
            return err_set(err, -ENOENT, "network namespace %" PRIu64 " is gone", space->ref.inode);
        space->found = *found;
        r = netns_enter(NULL, &space->found, err);
    }
    if (r < 0)
        return r;
    spaces->away = true;
    return 0;
}

static bool is_in(const uint64_t *items, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if (items[i] == number)
            return true;
    return false;
}

/* The share of each namespace but the own one: half of all for them together, in steps, so that a
 * newcomer seldom changes the others'. */
static size_t share_of_others(const struct spaces *spaces, size_t n_others)
{
    size_t steps = 1;

    while (steps < n_others)
        steps *= 2;
    return spaces->options.event_buffer_bytes / 2 / steps;
}

static void open_inside(struct spaces *spaces, struct space *space, size_t bytes, int *ret,
                        struct err *err)
{
    uint64_t cookie = netns_cookie();
    struct err back = {0};

    space->ref.cookie = cookie;
    space->ref.is_new &= !is_in(spaces->known.items, spaces->known.n, cookie);
    *ret = listen_here(spaces, space, bytes, err);
    if (spaces_return(spaces, &back) < 0) {
        *ret = back.code;
        if (err)
            *err = back;
    }
}

/* Opens what a search showed. -EEXIST: it is not wanted. */
static int open_found(struct spaces *spaces, const struct netns_found *found, bool is_new,
                      struct err *err)
{
    _cleanup_(cleanup_space_free) struct space *space = space_new();
    int r;

    if (!space)
        return err_set(err, -ENOMEM, "out of memory");
    space->found = *found;
    space->ref.inode = found->inode;
    space->ref.is_new = is_new;
    spaces_name_it(&space->ref, found);
    if (!spaces_is_wanted(spaces, &space->ref, found))
        return -EEXIST;
    if (!host_has_descriptors(spaces->home_fd, DESCRIPTORS_KEPT))
        return err_set(err, -EMFILE, "too few open files are allowed (ulimit -n, LimitNOFILE=)");
    r = netns_enter(NULL, found, err);
    if (r < 0)
        return r;
    spaces->away = true;
    open_inside(spaces, space, share_of_others(spaces, spaces->items.n), &r, err);
    if (r < 0)
        return r;
    r = keep(spaces, &space);
    return r < 0 ? err_errno(err, r, "listening for events") : 0;
}

static void note_failure(struct spaces *spaces, const struct err *err)
{
    spaces->lacks |= NETNS_LACKS_SOME;
    snprintf(spaces->lack, sizeof(spaces->lack), "%.159s", err->text);
}

static struct space *find_held(const struct spaces *spaces, uint64_t inode)
{
    for (size_t i = 0; i < spaces->items.n; i++)
        if (spaces->items.items[i]->ref.inode == inode && !spaces->items.items[i]->leaving)
            return spaces->items.items[i];
    return NULL;
}

/* One that may still be there is known again when it comes back. Without memory, or for an old
 * kernel, it is taken for one of unknown age all the same if a search missed it. */
static void let_go(struct spaces *spaces, struct space *space, enum netns_standing standing)
{
    if (standing != NETNS_GONE) {
        spaces->whole = false;
        if (spaces->known.n == KNOWN_MAX)
            vec_clear(&spaces->known);
        if (space->ref.cookie && vec_push(&spaces->known, space->ref.cookie) < 0)
            vec_clear(&spaces->known);
    }
    pthread_mutex_lock(&spaces->lock);
    space->leaving = true;
    space->standing = (uint8_t)standing;
    pthread_mutex_unlock(&spaces->lock);
    /* it would keep the namespace, and nobody reads it any more */
    cleanup_close(&space->changes_fd);
    space->changes_fd = -1;
}

/* One that is listened to can't lose its inode number to another. Without either socket
 * nothing holds it, and who has the number now is another if it has another name of the kernel's. What a list lacks that is not
 * whole is let go, too, unless its sign still stands, for it may be gone; but nobody knows. */
static void compare(struct spaces *spaces)
{
    bool whole = netns_list_is_whole(&spaces->list);

    for (size_t i = 1; i < spaces->items.n; i++) {
        struct space *space = spaces->items.items[i];
        const struct netns_found *found = netns_in_list(&spaces->list, space->ref.inode);

        if (space->leaving)
            continue;
        if (found) {
            space->found = *found;
            pthread_mutex_lock(&spaces->lock);
            if (found->sign == NETNS_BY_PROCESS && spaces_is_taken(&spaces->list, &space->ref))
                space->ref.name[0] = '\0';
            spaces_name_it(&space->ref, found);
            pthread_mutex_unlock(&spaces->lock);
        }
        if (found && !spaces_is_wanted(spaces, &space->ref, found))
            let_go(spaces, space, NETNS_EXCLUDED);
        else if (!found && (whole || !netns_shows(NULL, &space->found)))
            let_go(spaces, space, whole ? NETNS_GONE : NETNS_UNSEEN);
    }
}

static int open_new(struct spaces *spaces, bool whole_before, struct err *err)
{
    size_t n_passed = spaces->passed.n;
    int r = 0;

    for (size_t i = 0; i < spaces->list.n && r == 0; i++) {
        const struct netns_found *found = &spaces->list.items[i];
        bool is_new = whole_before && !is_in(spaces->passed.items, n_passed, found->inode);
        struct err one = {0};
        int opened;

        if (find_held(spaces, found->inode))
            continue;
        opened = open_found(spaces, found, is_new, &one);
        if (spaces->away)
            return err_set(err, opened, "%s", one.text);
        if (opened < 0 && opened != -EEXIST && opened != -ENOENT)
            note_failure(spaces, &one);
        if (opened < 0 && opened != -ENOENT)
            r = vec_push(&spaces->passed, found->inode);
    }
    if (r < 0)
        return err_set(err, r, "out of memory");
    /* what was passed over at the search before may be gone by now */
    spaces->passed.n -= n_passed;
    if (n_passed && spaces->passed.n)
        memmove(spaces->passed.items, spaces->passed.items + n_passed,
                spaces->passed.n * sizeof(spaces->passed.items[0]));
    return 0;
}

static void share_out(struct spaces *spaces, size_t n_others)
{
    size_t total = spaces->options.event_buffer_bytes;

    pthread_mutex_lock(&spaces->lock);
    for (size_t i = 0; i < spaces->items.n; i++) {
        struct space *space = spaces->items.items[i];
        size_t wished = i > 0 ? share_of_others(spaces, n_others) : n_others ? total / 2 : total;

        /* one that can't be had stays as it is, and the state tells its size */
        if (space->events && !space->leaving && space->buffer_wished != wished &&
            sock_events_resize(space->events, wished) == 0)
            space->buffer_wished = wished;
    }
    pthread_mutex_unlock(&spaces->lock);
}

static int list_refs(struct spaces *spaces)
{
    vec_clear(&spaces->refs);
    for (size_t i = 0; i < spaces->items.n; i++)
        if (!spaces->items.items[i]->leaving &&
            vec_push(&spaces->refs, spaces->items.items[i]->ref) < 0)
            return -ENOMEM;
    return 0;
}

static int search(struct spaces *spaces, bool want_new, struct err *err)
{
    bool whole_before = spaces->searched && spaces->whole;
    int r = netns_find(NULL, &spaces->list, err);

    if (r < 0)
        return r;
    compare(spaces);
    if (!want_new)
        return 0;
    /* not whole: one that was let go may come back, and is not new */
    whole_before = whole_before && spaces->whole;
    spaces->searched = true;
    spaces->whole = netns_list_is_whole(&spaces->list);
    spaces->lacks = spaces->list.n_hidden ? NETNS_LACKS_PTRACE : 0;
    if (spaces->list.closed) {
        spaces->lacks |= NETNS_LACKS_SOME;
        snprintf(spaces->lack, sizeof(spaces->lack),
                 "%s may not be read, CAP_DAC_READ_SEARCH is missing", spaces->list.closed);
    }
    if (spaces->list.n_unread) {
        spaces->lacks |= NETNS_LACKS_SOME;
        snprintf(spaces->lack, sizeof(spaces->lack), "what shows them could not all be read");
    }
    if (spaces->list.n_beyond) {
        spaces->lacks |= NETNS_LACKS_SOME;
        snprintf(spaces->lack, sizeof(spaces->lack), "there are more than %d", NETNS_FOUND_MAX);
    }
    return open_new(spaces, whole_before, err);
}

int spaces_search(struct spaces *spaces, bool want_new, struct err *err)
{
    struct err lack = {0};
    int r = spaces_return(spaces, err);

    if (r == 0 && spaces->may_search) {
        r = search(spaces, want_new, &lack);
        if (r < 0 && err)
            *err = lack;
    }
    if (r < 0) {
        spaces->whole = false;
        note_failure(spaces, &lack);
    }
    spaces_reap(spaces);
    if (list_refs(spaces) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    share_out(spaces, spaces->refs.n - 1);
    return r;
}

bool spaces_all_show(const struct spaces *spaces)
{
    for (size_t i = 1; i < spaces->items.n; i++)
        if (!spaces->items.items[i]->leaving && !netns_shows(NULL, &spaces->items.items[i]->found))
            return false;
    return true;
}

void spaces_reap(struct spaces *spaces)
{
    size_t kept = 0;

    pthread_mutex_lock(&spaces->lock);
    for (size_t i = 0; i < spaces->items.n; i++) {
        struct space *space = spaces->items.items[i];

        if (space->leaving && !space->events)
            space_free(space);
        else
            spaces->items.items[kept++] = space;
    }
    spaces->items.n = kept;
    pthread_mutex_unlock(&spaces->lock);
}
