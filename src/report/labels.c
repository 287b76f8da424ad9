/* SPDX-License-Identifier: MIT */
#include "labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/store/file.h"

/* In brackets, which no path of a program can be. */
#define KERNEL_NAME "(kernel)"

void labels_finish(struct labels *labels)
{
    for (size_t i = 0; i < labels->items.n; i++) {
        free(labels->items.items[i].name);
        free(labels->items.items[i].exe);
    }
    vec_finish(&labels->items);
    vec_finish(&labels->places);
    free(labels->memos);
    labels->memos = NULL;
}

const struct label *labels_get(const struct labels *labels, uint32_t number)
{
    return &labels->items.items[number - 1];
}

static int compare_text(const char *a, const char *b)
{
    if (!a || !b)
        return !!a - !!b;
    return strcmp(a, b);
}

static int compare(const struct label *a, const struct label *b)
{
    int r = compare_text(a->name, b->name);

    if (r == 0)
        r = compare_text(a->exe, b->exe);
    if (r == 0)
        r = (a->pid > b->pid) - (a->pid < b->pid);
    if (r == 0)
        r = (a->start_ms > b->start_ms) - (a->start_ms < b->start_ms);
    return r ? r : (a->kind > b->kind) - (a->kind < b->kind);
}

int labels_compare(const struct labels *labels, uint32_t a, uint32_t b)
{
    if (a == b || !a || !b)
        return (a > b) - (a < b);
    return compare(labels_get(labels, a), labels_get(labels, b));
}

/* FNV-1a. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash * UINT64_C(0x100000001b3);
}

static uint64_t hash_label(const struct label *label)
{
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325) + label->kind, label->name);

    hash = hash_text(hash, label->exe) ^ label->pid ^ (uint64_t)label->start_ms << 22;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* The place of a label: its own, or the free one where it belongs. */
static uint32_t *find_place(struct labels *labels, const struct label *label)
{
    size_t mask = labels->places.n - 1, i = hash_label(label) & mask;

    while (labels->places.items[i] &&
           compare(labels_get(labels, labels->places.items[i]), label) != 0)
        i = (i + 1) & mask;
    return &labels->places.items[i];
}

/* Keeps the hash table at most half full. */
static int make_room(struct labels *labels)
{
    size_t wanted = labels->places.n ? 2 * labels->places.n : 64;

    if (labels->places.n >= 2 * (labels->items.n + 1))
        return 0;
    if (vec_reserve(&labels->places, wanted - labels->places.n) < 0)
        return -ENOMEM;
    labels->places.n = wanted;
    memset(labels->places.items, 0, wanted * sizeof(*labels->places.items));
    for (size_t i = 0; i < labels->items.n; i++)
        *find_place(labels, &labels->items.items[i]) = (uint32_t)i + 1;
    return 0;
}

/* A copy whose strings are its own. */
static int copy(const struct label *label, struct label *ret)
{
    *ret = *label;
    ret->name = label->name ? strdup(label->name) : NULL;
    ret->exe = label->exe ? strdup(label->exe) : NULL;
    if ((!label->name || ret->name) && (!label->exe || ret->exe))
        return 0;
    free(ret->name);
    free(ret->exe);
    return -ENOMEM;
}

/* The number of a label; its strings are copied. */
static int take(struct labels *labels, const struct label *label, uint32_t *ret)
{
    struct label own;
    uint32_t *place;

    if (make_room(labels) < 0)
        return -ENOMEM;
    place = find_place(labels, label);
    if (!*place) {
        if (vec_reserve(&labels->items, 1) < 0 || copy(label, &own) < 0)
            return -ENOMEM;
        labels->items.items[labels->items.n++] = own;
        *place = (uint32_t)labels->items.n;
    }
    *ret = *place;
    return 0;
}

static int take_name(struct labels *labels, enum trend_by kind, const char *name, uint32_t *ret)
{
    const struct label label = {.name = (char *)name, .kind = kind};

    return take(labels, &label, ret);
}

int labels_of_service(struct labels *labels, unsigned by, const struct known_service *service,
                      struct label_set *ret)
{
    if (!(by & TREND_BY_NETNS))
        return 0;
    return take_name(labels, TREND_BY_NETNS, service->netns, &ret->netns);
}

/* Of a process the path is at least empty. */
bool labels_is_kernel(const struct label *process)
{
    return process->kind == TREND_BY_PROCESS && process->name && !process->exe;
}

static int take_process(struct labels *labels, unsigned by, bool kernel,
                        const struct known_owner *known, uint32_t *ret)
{
    struct label label = {.kind = TREND_BY_PROCESS};

    if (kernel) {
        label.name = (char *)KERNEL_NAME;
    } else if (known && (*known->owner.comm || *known->owner.exe || known->owner.pid)) {
        label.name = (char *)known->owner.comm;
        label.exe = (char *)known->owner.exe;
        if (by & TREND_BY_PID && known->owner.pid) {
            label.pid = known->owner.pid;
            label.start_ms = known->started_ms;
        }
    }
    return take(labels, &label, ret);
}

/* Where the cgroup is known, an empty name says that there is none. */
static const char *name_within(const struct known_owner *known, const char *name)
{
    return *name || *known->owner.cgroup ? name : NULL;
}

static int take_all(struct labels *labels, unsigned by, bool kernel,
                    const struct known_owner *known, struct label_set *ret)
{
    int r = 0;

    if (by & (TREND_BY_PROCESS | TREND_BY_PID))
        r = take_process(labels, by, kernel, known, &ret->process);
    if (r == 0 && by & TREND_BY_UNIT)
        r = take_name(labels, TREND_BY_UNIT, known ? name_within(known, known->owner.unit) : NULL,
                      &ret->unit);
    if (r == 0 && by & TREND_BY_CONTAINER)
        r = take_name(labels, TREND_BY_CONTAINER,
                      known ? name_within(known, known->owner.container) : NULL, &ret->container);
    return r;
}

int labels_of_owner(struct labels *labels, unsigned by, const struct stored_life *life,
                    const struct known_owner *known, struct label_set *ret)
{
    unsigned source = file_traits_owner_source(life->traits, known && known->owner.pid);
    struct label_memo *memo;
    uint32_t netns = ret->netns;
    int r;

    if (!labels->memos)
        labels->memos = calloc(LABEL_MEMO, sizeof(*labels->memos));
    if (!labels->memos)
        return -ENOMEM;
    memo = &labels->memos[(uint64_t)life->owner % LABEL_MEMO];
    if (source == OWNER_IS_KERNEL) {
        r = take_all(labels, by, true, known, ret);
    } else if (memo->used && memo->owner == life->owner) {
        *ret = memo->set;
        r = 0;
    } else {
        r = take_all(labels, by, false, known, ret);
        if (r == 0)
            *memo = (struct label_memo){.owner = life->owner, .used = true, .set = *ret};
    }
    ret->netns = netns;
    return r;
}
