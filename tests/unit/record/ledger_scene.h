/* SPDX-License-Identifier: MIT */
/* A ledger that hears of events, driven snapshot by snapshot: for the tests of the joining. */
#pragma once

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/base/clock.h"
#include "connhist/record/ledger.h"

#define BASE_MS  INT64_C(1700000000000)
#define FIRST_MS (BASE_MS + 100000)
#define STEP_MS  10000

/* A ledger that hears of events, and the batch of its last snapshot. */
struct scene {
    struct ledger *ledger;
    struct batch *batch;
    int64_t start_ms;
};

static inline void open_scene_as(struct scene *scene, bool owners)
{
    struct ledger_options options = {.max_client_services = 64,
                                     .max_syn_recv = 100,
                                     .ephemeral = {32768, 60999},
                                     .events = true,
                                     .owners = owners,
                                     .interval_ms = STEP_MS,
                                     .base_ms = BASE_MS,
                                     .next_life = 1};

    *scene = (struct scene){.start_ms = FIRST_MS};
    assert_int_equal(ledger_new(&options, &scene->ledger), 0);
}

static inline void open_scene(struct scene *scene)
{
    open_scene_as(scene, false);
}

static inline void open_scene_with_owners(struct scene *scene)
{
    open_scene_as(scene, true);
}

static inline void close_scene(struct scene *scene)
{
    batch_free(scene->batch);
    ledger_free(scene->ledger);
}

static inline struct sample tcp(uint64_t cookie, unsigned state)
{
    return (struct sample){.cookie = cookie,
                           .inode = state == STATE_TIME_WAIT ? 0 : (uint32_t)cookie,
                           .family = AF_INET,
                           .protocol = PROTOCOL_TCP,
                           .state = (uint8_t)state,
                           .local = {{192, 0, 2, 1}},
                           .remote = {{198, 51, 100, 7}},
                           .local_port = 80,
                           .remote_port = 40000,
                           .uid = 1000,
                           .has_uid = state != STATE_TIME_WAIT,
                           .opener = OPENER_REMOTE,
                           .timer = state == STATE_TIME_WAIT ? SAMPLE_TIMER_TIME_WAIT : 0};
}

static inline struct closing event(uint64_t cookie, int64_t at_ms)
{
    return (struct closing){.cookie = cookie,
                            .received_ns = (at_ms - BASE_MS) * NS_PER_MS,
                            .local = {{192, 0, 2, 1}},
                            .remote = {{198, 51, 100, 7}},
                            .local_port = 80,
                            .remote_port = 40000,
                            .family = AF_INET,
                            .protocol = PROTOCOL_TCP,
                            .opener = OPENER_REMOTE,
                            .bytes_sent = 100,
                            .bytes_received = 1000,
                            .rtt_us = 60,
                            .known_age_ms = 5,
                            .has_info = true,
                            .established = true,
                            .fin_acked = true};
}

static inline void hear(struct scene *scene, const struct closing *closing)
{
    assert_int_equal(ledger_closing(scene->ledger, 0, closing), 0);
}

static inline void snapshot(struct scene *scene, const struct sample *samples, size_t n)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
    for (size_t i = 0; i < n; i++) {
        struct sample sample = samples[i];

        sample.sampled_ns = (scene->start_ms - BASE_MS) * NS_PER_MS;
        assert_int_equal(ledger_sample(scene->ledger, 0, &sample), 0);
    }
    assert_int_equal(ledger_end(scene->ledger, SNAPSHOT_COMPLETE, false, false), 0);
    batch_seal(scene->batch);
    scene->start_ms += STEP_MS;
}
