/* SPDX-License-Identifier: MIT */
#include "live_queued.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int by_port(const void *left, const void *right)
{
    const struct socket_row *a = left, *b = right;

    return (a->local_port > b->local_port) - (a->local_port < b->local_port);
}

void live_queued_sort(struct socket_row_vec *listeners)
{
    if (listeners->n > 1)
        qsort(listeners->items, listeners->n, sizeof(*listeners->items), by_port);
}

bool live_is_queued(const struct socket_row *row)
{
    return row->protocol == PROTOCOL_TCP &&
           (row->state == STATE_SYN_RECV ||
            (!row->inode && (row->state == STATE_ESTABLISHED || row->state == STATE_CLOSE_WAIT)));
}

/* The kernel reports what came by IPv4 to a listener of IPv6 with addresses of IPv6. */
static bool matches(const struct socket_row *listener, const struct socket_row *row)
{
    if (listener->family != row->family ||
        (listener->scope_ifindex && listener->scope_ifindex != row->scope_ifindex) ||
        (listener->v6only > 0 && address_is_mapped(row->family, &row->local)))
        return false;
    return address_is_any(listener->family, &listener->local) ||
           memcmp(&listener->local, &row->local, sizeof(row->local)) == 0;
}

static size_t first_of_port(const struct socket_row_vec *listeners, uint16_t port)
{
    size_t low = 0, high = listeners->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (listeners->items[middle].local_port < port)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct socket_row *live_next_listener(const struct socket_row_vec *listeners,
                                            const struct socket_row *row, size_t *at)
{
    *at = *at == SIZE_MAX ? first_of_port(listeners, row->local_port) : *at + 1;
    for (; *at < listeners->n && listeners->items[*at].local_port == row->local_port; (*at)++)
        if (matches(&listeners->items[*at], row))
            return &listeners->items[*at];
    return NULL;
}

static bool came_to_root(const struct socket_row_vec *listeners, const struct socket_row *row)
{
    const struct socket_row *listener;
    size_t at = SIZE_MAX;
    bool any = false;

    while ((listener = live_next_listener(listeners, row, &at))) {
        if (listener->uid != 0)
            return false;
        any = true;
    }
    return any;
}

void live_queued_uids(struct socket_row_vec *rows, const struct socket_row_vec *listeners)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct socket_row *row = &rows->items[i];

        /* what is half open is nobody's yet */
        if (row->uid < 0 && row->state != STATE_SYN_RECV && live_is_queued(row) &&
            came_to_root(listeners, row))
            row->uid = 0;
    }
}
