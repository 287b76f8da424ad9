/* SPDX-License-Identifier: MIT */
#include "connhist/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS 20000

static int *new_item(int value)
{
    int *item = malloc(sizeof(*item));

    if (!item)
        abort();
    *item = value;
    return item;
}

static int pop_value(struct queue *queue, int timeout_ms)
{
    void *item = NULL;
    int value, r = queue_pop(queue, timeout_ms, &item);

    if (r < 0)
        return r;
    value = *(int *)item;
    free(item);
    return value;
}

static void items_come_out_in_their_order(void **state)
{
    struct queue *queue = NULL;

    (void)state;
    assert_int_equal(queue_new(100, free, &queue), 0);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(queue_push(queue, new_item(i), 10), 0);
    assert_int_equal(queue_bytes(queue), 30);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(pop_value(queue, -1), i);
    assert_int_equal(queue_bytes(queue), 0);
    assert_int_equal(queue_peak_bytes(queue), 30);
    assert_int_equal(queue_push(queue, new_item(4), 10), 0); /* after it ran empty */
    assert_int_equal(pop_value(queue, 0), 4);
    queue_free(queue);
}

static void a_full_queue_refuses_and_an_empty_one_takes_anything(void **state)
{
    struct queue *queue = NULL;
    int *item = new_item(9);

    (void)state;
    assert_int_equal(queue_new(100, free, &queue), 0);
    assert_int_equal(queue_push(queue, new_item(1), 500), 0);
    assert_int_equal(queue_push(queue, item, 1), -ENOBUFS);
    assert_int_equal(*item, 9); /* still ours */
    assert_int_equal(pop_value(queue, 0), 1);
    assert_int_equal(queue_push(queue, new_item(2), 60), 0);
    assert_int_equal(queue_push(queue, item, 41), -ENOBUFS);
    assert_int_equal(queue_push(queue, item, 40), 0);
    assert_int_equal(queue_peak_bytes(queue), 500);
    queue_free(queue); /* frees both */
}

static void a_pop_from_an_empty_queue_times_out(void **state)
{
    struct queue *queue = NULL;
    void *item = &queue;

    (void)state;
    assert_int_equal(queue_new(100, free, &queue), 0);
    assert_int_equal(queue_pop(queue, 0, &item), -ETIMEDOUT);
    assert_int_equal(queue_pop(queue, 5, &item), -ETIMEDOUT);
    assert_ptr_equal(item, &queue);
    queue_free(queue);
    queue_free(NULL);
}

static void a_closed_queue_gives_what_is_left_and_takes_nothing(void **state)
{
    struct queue *queue = NULL;
    int *item = new_item(2);

    (void)state;
    assert_int_equal(queue_new(100, free, &queue), 0);
    assert_int_equal(queue_push(queue, new_item(1), 1), 0);
    queue_close(queue);
    queue_close(queue);
    assert_int_equal(queue_push(queue, item, 1), -EPIPE);
    assert_int_equal(pop_value(queue, -1), 1);
    assert_int_equal(pop_value(queue, -1), -EPIPE);
    queue_free(queue);
    free(item);
}

static void *produce(void *arg)
{
    struct queue *queue = arg;

    for (int i = 0; i < ITEMS; i++) {
        int *item = new_item(i);

        while (queue_push(queue, item, sizeof(*item)) == -ENOBUFS)
            sched_yield();
    }
    queue_close(queue);
    return NULL;
}

static void between_two_threads_nothing_is_lost_or_swapped(void **state)
{
    struct queue *queue = NULL;
    pthread_t producer;
    int value, expected = 0;

    (void)state;
    assert_int_equal(queue_new(64 * sizeof(int), free, &queue), 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, queue), 0);
    while ((value = pop_value(queue, -1)) >= 0)
        assert_int_equal(value, expected++);
    assert_int_equal(value, -EPIPE);
    assert_int_equal(expected, ITEMS);
    pthread_join(producer, NULL);
    assert_true(queue_peak_bytes(queue) <= 64 * sizeof(int));
    queue_free(queue);
}

static void *wait_for_close(void *arg)
{
    void *item;

    return queue_pop(arg, -1, &item) == -EPIPE ? arg : NULL;
}

static void closing_wakes_who_waits(void **state)
{
    struct queue *queue = NULL;
    pthread_t first, second;
    void *result = NULL;

    (void)state;
    assert_int_equal(queue_new(64, free, &queue), 0);
    assert_int_equal(pthread_create(&first, NULL, wait_for_close, queue), 0);
    assert_int_equal(pthread_create(&second, NULL, wait_for_close, queue), 0);
    queue_close(queue);
    pthread_join(first, &result);
    assert_ptr_equal(result, queue);
    pthread_join(second, &result);
    assert_ptr_equal(result, queue);
    queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_their_order),
        cmocka_unit_test(a_full_queue_refuses_and_an_empty_one_takes_anything),
        cmocka_unit_test(a_pop_from_an_empty_queue_times_out),
        cmocka_unit_test(a_closed_queue_gives_what_is_left_and_takes_nothing),
        cmocka_unit_test(between_two_threads_nothing_is_lost_or_swapped),
        cmocka_unit_test(closing_wakes_who_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
