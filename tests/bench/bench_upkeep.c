/* SPDX-License-Identifier: MIT */
/* What the bound of the file costs: the look at the -wal while statements run, what is removed between ticks when
 * the file is as large as it may be, and the way down to a size that was made smaller. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "connhist/store/store.h"
#include "connhist/store/upkeep.h"

#define MIB         (INT64_C(1) << 20)
#define INTERVAL_MS 10000
#define CLOCK_FROM  INT64_C(1767225600000) /* 2026-01-01 */
#define ROUNDS      31

struct file {
    struct store *store;
    char *path;     /* of bench_enter() */
    int64_t ticks;  /* written so far */
    uint64_t lives; /* likewise */
    uint64_t dice;
};

static void open_file(struct file *file, int64_t max_bytes)
{
    struct store_options options = {.path = bench_enter()};
    struct store_retention wanted = {.max_bytes = max_bytes, .wal_bytes = 16 * MIB};
    struct recording recording = {
        .boot_id = "00000000-0000-0000-0000-000000000000",
        .boot_base_ms = CLOCK_FROM,
        .started_ms = CLOCK_FROM,
        .interval_ms = INTERVAL_MS,
        .detail = "on",
        .version = "bench",
    };
    struct err err = {0};

    *file = (struct file){.path = (char *)options.path, .dice = 7};
    if (store_open(&options, &file->store, &err) < 0 ||
        store_begin_recording(file->store, &recording, NULL, 0, &err) < 0)
        bench_die("%s", err.text);
    if (max_bytes)
        store_set_retention(file->store, &wanted);
}

static void close_file(struct file *file)
{
    store_close(file->store);
    bench_leave(file->path);
}

static int add_life(struct batch *batch, struct file *file, int64_t at_ms)
{
    uint64_t dice = bench_random(&file->dice);
    struct life life = {
        .number = ++file->lives,
        .cookie = file->lives,
        .since_ms = at_ms - 9000 + (int64_t)(dice % 4000),
        .ended_ms = at_ms - 4000 + (int64_t)(dice >> 16 & 2047),
        .service = {.port = 443, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
        .family = 2,
        .local_port = 443,
        .remote_port = (uint16_t)(dice >> 32),
        .state = STATE_ESTABLISHED,
        .role_source = ROLE_BY_LISTENER,
        .untold = true,
    };

    for (int i = 0; i < 4; i++)
        life.remote.bytes[i] = (uint8_t)(dice >> (8 * i));
    life.local.bytes[0] = 10;
    life.history = (const uint8_t[]){STATE_ESTABLISHED};
    life.history_bytes = 1;
    return batch_add_life(batch, &batch->closed, &life);
}

static double write_tick(struct file *file, int closed)
{
    struct batch *batch = batch_new();
    struct netns_ref own = {.inode = 4026531840};
    struct err err = {0};
    double before_ms;

    if (!batch || vec_push(&batch->netns, own) < 0)
        bench_die("out of memory");
    batch->has_snapshot = true;
    batch->snapshot.start_ms = CLOCK_FROM + ++file->ticks * INTERVAL_MS;
    batch->snapshot.anchor = file->ticks % 360 == 1;
    for (int i = 0; i < closed; i++)
        if (add_life(batch, file, batch->snapshot.start_ms) < 0)
            bench_die("out of memory");
    batch_seal(batch);
    before_ms = bench_cpu_ms();
    if (store_write(file->store, batch, &err) < 0)
        bench_die("%s", err.text);
    before_ms = bench_cpu_ms() - before_ms;
    batch_free(batch);
    return before_ms;
}

/* What upkeep takes until there is nothing left to do. */
struct cost {
    size_t steps;
    double cpu_ms, wall_ms;
    double longest_ms; /* time that went by in one step */
};

static void keep_up(struct file *file, struct cost *cost)
{
    int64_t now_ms = CLOCK_FROM + file->ticks * INTERVAL_MS;
    struct err err = {0};
    int r;

    do {
        double cpu_ms = bench_cpu_ms(), wall_ms = bench_wall_ms();

        r = store_upkeep(file->store, now_ms, &err);
        if (r < 0)
            bench_die("%s", err.text);
        wall_ms = bench_wall_ms() - wall_ms;
        cost->cpu_ms += bench_cpu_ms() - cpu_ms;
        cost->wall_ms += wall_ms;
        if (wall_ms > cost->longest_ms)
            cost->longest_ms = wall_ms;
        cost->steps += r > 0;
    } while (r > 0);
}

/* Batches alternate between a file with a bound and one without. */
static void measure_bound(void)
{
    double bound[ROUNDS], none[ROUNDS], bound_ms, none_ms;
    struct file files[2];

    open_file(&files[0], 1024 * MIB);
    open_file(&files[1], 0);
    for (int i = 0; i < ROUNDS; i++) {
        bound[i] = write_tick(&files[0], 10000);
        none[i] = write_tick(&files[1], 10000);
    }
    bound_ms = bench_median(bound, ROUNDS);
    none_ms = bench_median(none, ROUNDS);
    bench_tell("10,000 closed sockets written, no bound", none_ms, "ms", NULL);
    bench_tell("the same with a bound, to without", bound_ms / none_ms, "x", NULL);
    close_file(&files[0]);
    close_file(&files[1]);
}

/* As much goes as comes. */
static void measure_full(int closed)
{
    enum { SECONDS = 300 };
    struct cost filling = {0}, cost = {0};
    double written_ms = 0;
    struct file file;
    char name[96];

    open_file(&file, 32 * MIB);
    while (bench_size(file.path) < 11 * MIB) {
        write_tick(&file, 10000);
        keep_up(&file, &filling);
    }
    for (int i = 0; i < 30; i++) {
        write_tick(&file, closed);
        keep_up(&file, &filling);
    }
    for (int i = 0; i < SECONDS; i++) {
        written_ms += write_tick(&file, closed);
        keep_up(&file, &cost);
    }
    snprintf(name, sizeof(name), "full file, %d closed a tick: upkeep, CPU a tick", closed);
    bench_tell(name, cost.cpu_ms / SECONDS, "ms", NULL);
    snprintf(name, sizeof(name), "full file, %d closed a tick: to writing them", closed);
    bench_tell(name, cost.cpu_ms / written_ms, "x", NULL);
    snprintf(name, sizeof(name), "full file, %d closed a tick: steps a tick", closed);
    bench_tell(name, (double)cost.steps / SECONDS, "", NULL);
    snprintf(name, sizeof(name), "full file, %d closed a tick: longest step", closed);
    bench_tell(name, cost.longest_ms, "ms", NULL);
    close_file(&file);
}

static void measure_shrinking(int64_t mib)
{
    struct store_retention wanted = {.max_bytes = 32 * MIB, .wal_bytes = 4 * MIB};
    struct cost filling = {0}, cost = {0};
    struct file file;
    char name[96];

    open_file(&file, 4 * mib * MIB);
    while (bench_size(file.path) < mib * MIB) {
        write_tick(&file, 10000);
        keep_up(&file, &filling);
    }
    store_set_retention(file.store, &wanted);
    keep_up(&file, &cost);
    write_tick(&file, 10); /* the file is cut when the -wal is begun anew */
    keep_up(&file, &cost);
    snprintf(name, sizeof(name), "%lld MiB to 32: size then", (long long)mib);
    bench_tell(name, (double)bench_size(file.path) / (double)MIB, "MiB", NULL);
    snprintf(name, sizeof(name), "%lld MiB to 32: steps", (long long)mib);
    bench_tell(name, (double)cost.steps, "", NULL);
    snprintf(name, sizeof(name), "%lld MiB to 32: time", (long long)mib);
    bench_tell(name, cost.wall_ms, "ms", NULL);
    snprintf(name, sizeof(name), "%lld MiB to 32: CPU", (long long)mib);
    bench_tell(name, cost.cpu_ms, "ms", NULL);
    snprintf(name, sizeof(name), "%lld MiB to 32: longest step", (long long)mib);
    bench_tell(name, cost.longest_ms, "ms", NULL);
    close_file(&file);
}

int main(void)
{
    measure_bound();
    measure_full(100);
    measure_full(5000);
    measure_shrinking(96);
    return 0;
}
