/* SPDX-License-Identifier: MIT */
/* The order of series in an answer. */
#include <stdlib.h>
#include <string.h>

#include "trend_rows.h"

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_labels(const struct labels *labels, const struct label_set *a,
                          const struct label_set *b)
{
    int r = labels_compare(labels, a->netns, b->netns);

    if (r == 0)
        r = labels_compare(labels, a->container, b->container);
    if (r == 0)
        r = labels_compare(labels, a->unit, b->unit);
    return r ? r : labels_compare(labels, a->process, b->process);
}

static int by_key(const void *left, const void *right, void *labels)
{
    const struct series_key *a = &((const struct counted *)left)->key;
    const struct series_key *b = &((const struct counted *)right)->key;
    int r = compare_numbers(a->port, b->port);

    if (r == 0)
        r = compare_numbers(a->protocol, b->protocol);
    if (r == 0)
        r = compare_numbers(a->role, b->role);
    if (r == 0)
        r = compare_numbers(a->state, b->state);
    if (r == 0)
        r = compare_labels(labels, &a->labels, &b->labels);
    if (r == 0)
        r = compare_numbers(a->uid, b->uid);
    if (r == 0)
        r = compare_numbers(a->peer_family, b->peer_family);
    return r ? r : memcmp(&a->peer, &b->peer, sizeof(a->peer));
}

static int by_maximum(const void *left, const void *right, void *labels)
{
    const struct counted *a = left, *b = right;

    if (a->max != b->max)
        return a->max > b->max ? -1 : 1;
    return by_key(left, right, labels);
}

void trend_order(struct counted *items, size_t n, bool ranked, struct labels *labels)
{
    if (n > 1)
        qsort_r(items, n, sizeof(*items), ranked ? by_maximum : by_key, labels);
}
