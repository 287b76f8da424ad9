/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "connhist/store/store.h"
#include "connhist/store/upkeep.h"

#define EVENTS_LATE_MS 200
#define FIRST_TICK_MS  7313 /* nothing on a host happens on the full minute */
#define UP_SINCE_MS    (INT64_C(40) * DAY_MS)
#define NONE           WORLD_NOBODY

int64_t world_tick_ms(const struct world *world, uint32_t tick)
{
    return world->options.begin_ms + FIRST_TICK_MS % world->options.interval_ms +
           (int64_t)tick * world->options.interval_ms;
}

uint32_t world_tick_behind(const struct world *world, int64_t at_ms)
{
    int64_t ms = at_ms - world_tick_ms(world, 0), interval_ms = world->options.interval_ms;
    int64_t tick = (ms + interval_ms - 1) / interval_ms;

    return tick > world->n_ticks ? world->n_ticks : (uint32_t)tick;
}

/* From tick to tick. */

static void boot(struct world *world, int64_t at_ms)
{
    world->boot++;
    world->boot_ms = at_ms;
    world->pool.n = 0;
    world->free = NONE;
    memset(world->turns, 0xff, ((size_t)world->n_ticks + 1) * sizeof(*world->turns));
    memset(world->now, 0, sizeof(world->now));
    memset(world->waits, 0, sizeof(world->waits));
    memset(world->counters, 0, sizeof(world->counters));
    memset(world->starts, 0, sizeof(world->starts));
    for (int i = 0; i < PROGRAM_COUNT; i++)
        world_start(world, (enum program)i, at_ms + 9000 + 310 * i);
}

static void begin_run(struct world *world, int64_t at_ms)
{
    struct recording recording = {
        .boot_base_ms = world->boot_ms,
        .started_ms = at_ms,
        .interval_ms = world->options.interval_ms,
        .events_asked = 8 << 20,
        .detail = "on",
        .version = "generated",
    };
    struct err err = {0};

    snprintf(recording.boot_id, sizeof(recording.boot_id), "%08llx-0000-4000-8000-%012u",
             (unsigned long long)world->options.seed & 0xffffffff, world->boot);
    if (store_begin_recording(world->store, &recording, NULL, 0, &err) < 0)
        bench_die("%s", err.text);
    world->runs = world->fresh = true;
    world->counted_ms = -1;
    world->closings = 0;
}

static void end_run(struct world *world, int64_t at_ms)
{
    struct err err = {0};

    if (world->runs && store_end_recording(world->store, at_ms, &err) < 0)
        bench_die("%s", err.text);
    world->runs = false;
}

/* What the recorder says when it comes back. */
static void note_absence(struct world *world, const struct incident *incident)
{
    struct loss loss = {.from_ms = incident->from_ms - EVENTS_LATE_MS,
                        .until_ms = incident->until_ms,
                        .kind = LOSS_EVENTS,
                        .text = "the recorder was not running"};

    world->deaf = true;
    if (vec_push(&world->batch->losses, loss) < 0)
        bench_die("out of memory");
}

static void come_back(struct world *world)
{
    bool new_boot = world->outage == &world->incidents[INCIDENT_REBOOT];

    if (new_boot) {
        boot(world, world->outage->until_ms - 40000);
        world->next_tick = world->tick;
    }
    begin_run(world, world->outage->until_ms);
    world_begin_batch(world);
    note_absence(world, world->outage);
    if (!new_boot)
        return;
    for (int i = 0; i < TRAFFIC_COUNT; i++)
        if (traffics[i].role == ROLE_SERVER)
            world_listen(world, (enum traffic_id)i);
}

static void keep_up(struct world *world)
{
    struct err err = {0};
    int r;

    while ((r = store_upkeep(world->store, world->now_ms, &err)) > 0)
        ;
    if (r < 0)
        bench_die("%s", err.text);
}

bool world_step(struct world *world)
{
    const struct incident *outage;
    bool first = world->tick == 0;

    if (world->tick >= world->n_ticks)
        return false;
    world->now_ms = world_tick_ms(world, world->tick);
    outage = incidents_outage(world, world->before_ms, world->now_ms);
    if (outage && world->runs) {
        end_run(world, world->before_ms + 500);
        world->outage = outage;
    }
    if (incidents_down(world, world->now_ms)) {
        world->tick++;
        return true;
    }
    world->deaf = false;
    if (world->runs)
        world_begin_batch(world);
    else
        come_back(world);
    for (int i = 0; first && i < TRAFFIC_COUNT; i++)
        if (traffics[i].role == ROLE_SERVER)
            world_listen(world, (enum traffic_id)i);
    world_take_turns(world);
    if (!world->fresh) {
        incidents_act(world);
        world_arrive_ordinary(world);
    }
    world_write_batch(world);
    keep_up(world);
    world->fresh = false;
    world->before_ms = world->now_ms;
    world->tick++;
    return true;
}

/* Nothing comes to the first snapshot of a run. */
static void sum_up_rhythm(struct world *world)
{
    int64_t before_ms = world_tick_ms(world, 0);

    for (uint32_t tick = 1; tick < world->n_ticks; tick++) {
        int64_t ms = world_tick_ms(world, tick);

        if (incidents_down(world, ms))
            continue;
        if (!incidents_outage(world, before_ms, ms))
            world->due_all += server_rhythm(ms);
        before_ms = ms;
    }
}

static void set_retention(struct world *world)
{
    /* those of config/connhist.yaml */
    static const struct store_retention defaults = {
        .age_ms = {90 * DAY_MS, 7 * DAY_MS, 60 * DAY_MS, 730 * DAY_MS, 0}};

    if (world->options.prune)
        store_set_retention(world->store, &defaults);
}

void world_begin(struct world *world, const struct world_options *options)
{
    const struct store_options where = {.path = options->path};
    struct err err = {0};

    *world = (struct world){
        .options = *options,
        .free = NONE,
        .next_owner = 1,
        .next_life = 1,
        .random = options->seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
        .n_ticks = (uint32_t)((int64_t)options->days * DAY_MS / options->interval_ms),
    };
    for (int i = 0; i < TRAFFIC_COUNT; i++)
        world->programs[i] = traffics[i].program;
    world->turns = malloc(((size_t)world->n_ticks + 1) * sizeof(*world->turns));
    if (!world->turns)
        bench_die("out of memory");
    incidents_plan(options->begin_ms, options->incidents ? options->days : 0, world->incidents);
    sum_up_rhythm(world);
    if (store_open(&where, &world->store, &err) < 0)
        bench_die("%s", err.text);
    set_retention(world);
    boot(world, options->begin_ms - UP_SINCE_MS);
    begin_run(world, options->begin_ms);
    world->before_ms = options->begin_ms;
}

void world_end(struct world *world)
{
    end_run(world, world->before_ms + 500);
    store_close(world->store);
    vec_finish(&world->pool);
    free(world->turns);
}
