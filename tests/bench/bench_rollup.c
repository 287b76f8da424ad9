/* SPDX-License-Identifier: MIT */
/* What it takes to add counts and rates up by minute, hour and day, between batches: a thousand
 * services in three states each, of which three in ten change at every snapshot, and thirty such. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "connhist/store/store.h"
#include "connhist/store/upkeep.h"

#define INTERVAL_MS 10000
#define HOUR_MS     3600000
#define CLOCK_FROM  INT64_C(1767225600000) /* 2026-01-01 */
#define STATES      3
#define STEPS_MAX   100000

/* What the steps took. */
struct cost {
    double *steps_ms; /* CPU time of each */
    size_t n;
    double sum_ms;
    double write_ms; /* of all batches */
};

static struct store *open_file(const char *path)
{
    struct store_options options = {.path = path};
    struct recording recording = {
        .boot_id = "00000000-0000-0000-0000-000000000000",
        .boot_base_ms = CLOCK_FROM,
        .started_ms = CLOCK_FROM,
        .interval_ms = INTERVAL_MS,
        .detail = "on",
        .version = "bench",
    };
    struct store *store = NULL;
    struct err err = {0};

    if (store_open(&options, &store, &err) < 0 ||
        store_begin_recording(store, &recording, NULL, 0, &err) < 0)
        bench_die("%s", err.text);
    return store;
}

static int add_service(struct batch *batch, uint16_t port, uint64_t *dice)
{
    static const uint8_t states[STATES] = {STATE_ESTABLISHED, STATE_CLOSE_WAIT, STATE_TIME_WAIT};
    struct service_key service = {.port = port, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER};
    int64_t at_ms = batch->snapshot.start_ms;
    struct rate_change rate = {.service = service, .period_ms = at_ms - at_ms % 60000, .opened = 3};
    int r = 0;

    for (size_t i = 0; i < STATES && r == 0; i++) {
        struct tally_change tally = {.service = service, .state = states[i]};

        tally.count = (uint32_t)(1 + bench_random(dice) % 50);
        if (batch->snapshot.anchor || bench_random(dice) % 10 < 3)
            r = vec_push(&batch->tallies, tally);
    }
    rate.duration_ms.counts[bench_random(dice) % 20] = 2;
    rate.rtt_us.counts[bench_random(dice) % 15] = 2;
    if (r == 0 && bench_random(dice) % 10 < 3)
        r = vec_push(&batch->rates, rate);
    return r;
}

static void write_snapshot(struct store *store, int64_t at_ms, int services, uint64_t *dice,
                           struct cost *cost)
{
    struct batch *batch = batch_new();
    struct netns_ref own = {.inode = 4026531840};
    struct err err = {0};
    double before_ms;

    if (!batch || vec_push(&batch->netns, own) < 0)
        bench_die("out of memory");
    batch->has_snapshot = true;
    batch->snapshot.start_ms = at_ms;
    batch->snapshot.anchor = at_ms % HOUR_MS == 0;
    for (int i = 1; i <= services; i++)
        if (add_service(batch, (uint16_t)i, dice) < 0)
            bench_die("out of memory");
    batch_seal(batch);
    before_ms = bench_cpu_ms();
    if (store_write(store, batch, &err) < 0)
        bench_die("%s", err.text);
    cost->write_ms += bench_cpu_ms() - before_ms;
    batch_free(batch);
}

static void keep_up(struct store *store, int64_t at_ms, struct cost *cost)
{
    struct err err = {0};
    int r;

    do {
        double before_ms = bench_cpu_ms(), took_ms;

        r = store_upkeep(store, at_ms, &err);
        took_ms = bench_cpu_ms() - before_ms;
        if (r < 0)
            bench_die("%s", err.text);
        if (r > 0 && cost->n < STEPS_MAX)
            cost->steps_ms[cost->n++] = took_ms;
        cost->sum_ms += took_ms;
    } while (r > 0);
}

static void measure(int services, int hours)
{
    char *path = bench_enter();
    struct store *store = open_file(path);
    struct cost cost = {.steps_ms = calloc(STEPS_MAX, sizeof(double))};
    uint64_t dice = 7;
    char name[96];

    if (!cost.steps_ms)
        bench_die("out of memory");
    for (int64_t ms = 0; ms <= (int64_t)hours * HOUR_MS; ms += INTERVAL_MS) {
        write_snapshot(store, CLOCK_FROM + ms, services, &dice, &cost);
        keep_up(store, CLOCK_FROM + ms, &cost);
    }
    snprintf(name, sizeof(name), "%d services: adding up, CPU for each recorded minute", services);
    bench_tell(name, cost.sum_ms / (hours * 60), "ms", NULL);
    snprintf(name, sizeof(name), "%d services: CPU of a step, median", services);
    bench_tell(name, bench_median(cost.steps_ms, cost.n), "ms", NULL);
    snprintf(name, sizeof(name), "%d services: longest step", services);
    bench_tell(name, cost.steps_ms[cost.n - 1], "ms", NULL); /* the median has sorted them */
    snprintf(name, sizeof(name), "%d services: adding up, to writing the snapshots", services);
    bench_tell(name, cost.sum_ms / cost.write_ms, "x", NULL);
    free(cost.steps_ms);
    store_close(store);
    bench_leave(path);
}

int main(void)
{
    measure(30, 25);
    measure(1000, 3);
    return 0;
}
