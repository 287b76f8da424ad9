/* SPDX-License-Identifier: MIT */
/* A bounded queue between two threads. The bound is in bytes, as told by the producer; a push that
 * would pass it is refused, and the producer records the loss. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

/* max_bytes: the bound over all items waiting. free_item destroys items left at queue_free().
 * 0 or -ENOMEM. */
int queue_new(size_t max_bytes, void (*free_item)(void *item), struct queue **ret);
void queue_free(struct queue *queue);

/* Appends item, which the queue then owns. An empty queue takes an item of any size.
 * -ENOBUFS: full; -EPIPE: closed; -ENOMEM. On error the caller keeps the item. Never waits. */
int queue_push(struct queue *queue, void *item, size_t bytes);

/* Takes the oldest item; waits until there is one. *ret is the caller's.
 * -EPIPE: closed and empty; -ETIMEDOUT after timeout_ms (negative: no limit). */
int queue_pop(struct queue *queue, int timeout_ms, void **ret);

/* No more pushes; poppers get what is left, then -EPIPE. */
void queue_close(struct queue *queue);

/* Bytes waiting now, and the most that ever waited. */
size_t queue_bytes(struct queue *queue);
size_t queue_peak_bytes(struct queue *queue);
