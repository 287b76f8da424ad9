/* SPDX-License-Identifier: MIT */
#include "connhist/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "connhist/base/clock.h"

struct node {
    struct node *next;
    void *item;
    size_t bytes;
};

struct queue {
    pthread_mutex_t lock;   /* guards all that follows */
    pthread_cond_t changed; /* an item came, or the queue was closed */
    struct node *first;
    struct node **last;
    size_t bytes, peak_bytes, max_bytes;
    bool closed;
    void (*free_item)(void *item);
};

int queue_new(size_t max_bytes, void (*free_item)(void *item), struct queue **ret)
{
    struct queue *queue = calloc(1, sizeof(*queue));
    pthread_condattr_t attr;

    if (!queue)
        return -ENOMEM;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &attr);
    pthread_condattr_destroy(&attr);
    queue->last = &queue->first;
    queue->max_bytes = max_bytes;
    queue->free_item = free_item;
    *ret = queue;
    return 0;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    while (queue->first) {
        struct node *node = queue->first;

        queue->first = node->next;
        queue->free_item(node->item);
        free(node);
    }
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static int push_locked(struct queue *queue, struct node *node)
{
    if (queue->closed)
        return -EPIPE;
    if (queue->first && queue->bytes + node->bytes > queue->max_bytes)
        return -ENOBUFS;
    *queue->last = node;
    queue->last = &node->next;
    queue->bytes += node->bytes;
    if (queue->bytes > queue->peak_bytes)
        queue->peak_bytes = queue->bytes;
    pthread_cond_signal(&queue->changed);
    return 0;
}

int queue_push(struct queue *queue, void *item, size_t bytes)
{
    struct node *node = malloc(sizeof(*node));
    int r;

    if (!node)
        return -ENOMEM;
    *node = (struct node){.item = item, .bytes = bytes};
    pthread_mutex_lock(&queue->lock);
    r = push_locked(queue, node);
    pthread_mutex_unlock(&queue->lock);
    if (r < 0)
        free(node);
    return r;
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec at;
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &at);
    ns = at.tv_nsec + timeout_ms * NS_PER_MS;
    at.tv_sec += ns / NS_PER_SEC;
    at.tv_nsec = ns % NS_PER_SEC;
    return at;
}

static struct node *take_first(struct queue *queue)
{
    struct node *node = queue->first;

    queue->first = node->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->bytes -= node->bytes;
    return node;
}

int queue_pop(struct queue *queue, int timeout_ms, void **ret)
{
    struct timespec deadline = deadline_after(timeout_ms < 0 ? 0 : timeout_ms);
    struct node *node = NULL;
    int r = 0;

    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->closed && r == 0)
        r = timeout_ms < 0 ? pthread_cond_wait(&queue->changed, &queue->lock)
                           : pthread_cond_timedwait(&queue->changed, &queue->lock, &deadline);
    if (queue->first)
        node = take_first(queue);
    r = queue->closed ? -EPIPE : -ETIMEDOUT;
    pthread_mutex_unlock(&queue->lock);
    if (!node)
        return r;
    *ret = node->item;
    free(node);
    return 0;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

size_t queue_bytes(struct queue *queue)
{
    size_t bytes;

    pthread_mutex_lock(&queue->lock);
    bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}

size_t queue_peak_bytes(struct queue *queue)
{
    size_t bytes;

    pthread_mutex_lock(&queue->lock);
    bytes = queue->peak_bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}
