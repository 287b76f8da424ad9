/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "owners_private.h"

#define SLOTS_MIN 16

/* Fibonacci hashing: inodes come in series. */
static uint32_t first_slot(const struct pendings *pendings, uint32_t inode)
{
    return (uint32_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 32) & pendings->mask;
}

/* The slot that has it, or the empty one where it belongs. */
static uint32_t *find_slot(const struct pendings *pendings, uint32_t inode)
{
    uint32_t at = first_slot(pendings, inode);

    while (pendings->slots[at] && pendings->items[pendings->slots[at] - 1].inode != inode)
        at = (at + 1) & pendings->mask;
    return &pendings->slots[at];
}

struct pending *pending_find(const struct pendings *pendings, uint32_t inode)
{
    uint32_t slot = pendings->slots ? *find_slot(pendings, inode) : 0;

    return slot ? &pendings->items[slot - 1] : NULL;
}

static int make_room(struct pendings *pendings, size_t n)
{
    size_t slots = SLOTS_MIN;

    if (n > UINT32_MAX / 4)
        return -ENOMEM;
    while (slots < 2 * n)
        slots *= 2;
    pendings->slots = calloc(slots, sizeof(*pendings->slots));
    pendings->mask = (uint32_t)(slots - 1);
    return pendings->slots ? vec_reserve(pendings, n) : -ENOMEM;
}

bool pending_is_unsolved(const struct pending *pending)
{
    return pending->holders.n == 0 || pending->everywhere;
}

/* There is room. */
static void take(struct pendings *to, struct pendings *from, const struct owner_want *want,
                 uint64_t look)
{
    uint32_t *slot = find_slot(to, want->inode);
    struct pending *old = pending_find(from, want->inode);

    if (old && old->answered)
        old = NULL;
    if (*slot) {
        to->items[*slot - 1].all |= want->all_holders;
        to->items[*slot - 1].everywhere |= want->everywhere;
        return;
    }
    to->items[to->n] = old ? *old : (struct pending){.inode = want->inode, .first_asked = look};
    to->items[to->n].all = want->all_holders;
    to->items[to->n].everywhere |= want->everywhere;
    to->items[to->n].hint = want->hint;
    *slot = (uint32_t)++to->n;
    if (old)
        memset(&old->holders, 0, sizeof(old->holders)); /* handed on */
}

int pendings_renew(struct owner_finder *finder, const struct owner_want *wants, size_t n)
{
    struct pendings renewed = {0};
    int r = make_room(&renewed, n);

    if (r < 0) {
        pendings_finish(&renewed);
        return r;
    }
    for (size_t i = 0; i < n; i++)
        if (wants[i].inode)
            take(&renewed, &finder->pendings, &wants[i], finder->look);
    pendings_finish(&finder->pendings);
    finder->pendings = renewed;
    finder->unsolved = 0;
    for (size_t i = 0; i < renewed.n; i++)
        finder->unsolved += pending_is_unsolved(&renewed.items[i]);
    return 0;
}

void pendings_finish(struct pendings *pendings)
{
    for (size_t i = 0; i < pendings->n; i++)
        vec_finish(&pendings->items[i].holders);
    vec_finish(pendings);
    free(pendings->slots);
    pendings->slots = NULL;
    pendings->mask = 0;
}

static bool is_older(const struct holder *a, const struct holder *b)
{
    return a->start_ms != b->start_ms ? a->start_ms < b->start_ms : a->pid < b->pid;
}

/* Drops the youngest but the hint where there is no room for another. False: that would be the
 * youngest itself. */
static bool make_way(struct pending *pending, const struct holder *holder)
{
    struct holder *items = pending->holders.items;
    size_t last = pending->holders.n - 1;

    if (items[last].pid == pending->hint) {
        if (is_older(&items[last - 1], holder))
            return false;
        items[last - 1] = items[last];
        return true;
    }
    return holder->pid == pending->hint || !is_older(&items[last], holder);
}

/* The holders are kept in order, the oldest first. */
int pending_add_holder(struct pending *pending, struct holder holder)
{
    size_t at = pending->holders.n;
    struct holder *items;

    for (size_t i = 0; i < pending->holders.n; i++)
        if (pending->holders.items[i].pid == holder.pid &&
            pending->holders.items[i].start_ms == holder.start_ms)
            return 0;
    if (pending->holders.n < HOLDERS_MAX) {
        if (vec_push(&pending->holders, holder) < 0)
            return -ENOMEM;
    } else if (make_way(pending, &holder)) {
        at--;
    } else {
        return 0;
    }
    items = pending->holders.items;
    for (; at > 0 && is_older(&holder, &items[at - 1]); at--)
        items[at] = items[at - 1];
    items[at] = holder;
    return 0;
}
