/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "connhist/store/store.h"
#include "world.h"

#define MINUTE_MS INT64_C(60000)

static bool is_named(const struct batch *batch, uint32_t number)
{
    for (size_t i = batch->owners.n; i > 0; i--)
        if (batch->owners.items[i - 1].number == number)
            return true;
    return false;
}

static void name_holder(struct world *world, const struct holder *holder)
{
    const struct program_kind *kind = &program_kinds[holder->program];
    char unit[64], cgroup[128];
    struct owner owner = {
        .start_ms = holder->start_ms - world->boot_ms,
        .pid = holder->pid,
        .uid = kind->uid,
        .comm = kind->comm,
        .exe = kind->exe,
        .unit = kind->unit,
        .container = "",
        .cgroup = kind->cgroup,
    };

    if (!holder->number || is_named(world->batch, holder->number))
        return;
    if (holder->session) {
        snprintf(unit, sizeof(unit), "session-%u.scope", holder->number);
        snprintf(cgroup, sizeof(cgroup), "/user.slice/user-1000.slice/%s", unit);
        owner.unit = unit;
        owner.cgroup = cgroup;
    }
    if (batch_add_owner(world->batch, holder->number, &owner) < 0)
        bench_die("out of memory");
}

void world_put(struct world *world, struct life_vec *to, struct open_life *open)
{
    open->life.history = open->history;
    open->life.owner = open->holder.number;
    name_holder(world, &open->holder);
    if (batch_add_life(world->batch, to, &open->life) < 0)
        bench_die("out of memory");
}

static struct rate_change *rate_at(struct world *world, const struct life *life, int64_t at_ms)
{
    struct rate_vec *rates = &world->batch->rates;
    struct rate_change fresh = {.service = life->service, .period_ms = at_ms - at_ms % MINUTE_MS};

    for (size_t i = rates->n; i > 0; i--)
        if (rates->items[i - 1].period_ms == fresh.period_ms &&
            rates->items[i - 1].service.port == fresh.service.port)
            return &rates->items[i - 1];
    if (vec_push(rates, fresh) < 0)
        bench_die("out of memory");
    return &rates->items[rates->n - 1];
}

void world_rate_opened(struct world *world, const struct open_life *open)
{
    rate_at(world, &open->life, open->life.since_ms)->opened++;
}

void world_rate_closed(struct world *world, const struct open_life *open, int64_t at_ms,
                       int64_t lived_ms)
{
    const struct life_facts *facts = &open->life.facts;
    struct rate_change *rate = rate_at(world, &open->life, at_ms);

    rate->closed[open->life.closed_by]++;
    rate->duration_ms.counts[histogram_bucket((uint64_t)lived_ms)]++;
    if (!facts->known)
        return;
    rate->sent_bytes += facts->sent_bytes;
    rate->received_bytes += facts->received_bytes;
    if (facts->rtt_us)
        rate->rtt_us.counts[histogram_bucket(facts->rtt_us)]++;
}

void world_begin_batch(struct world *world)
{
    struct netns_ref own = {.inode = 4026531840, .cookie = 1};
    struct netns_change recorded = {.at_ms = world->now_ms, .standing = NETNS_RECORDED};
    struct batch *batch = batch_new();

    if (!batch || vec_push(&batch->netns, own) < 0 ||
        (world->fresh && vec_push(&batch->standing, recorded) < 0))
        bench_die("out of memory");
    batch->has_snapshot = true;
    batch->snapshot.start_ms = world->now_ms;
    batch->snapshot.anchor = world->fresh || world->now_ms / HOUR_MS != world->before_ms / HOUR_MS;
    world->batch = batch;
}

static void put_tallies(struct world *world)
{
    struct batch *batch = world->batch;

    for (size_t i = 0; i < TRAFFIC_COUNT; i++)
        for (uint8_t state = 1; state < STATE_COUNT; state++) {
            uint32_t now = world->now[i][state];
            struct tally_change change = {
                .service = {.port = traffics[i].port,
                            .protocol = traffics[i].protocol,
                            .role = traffics[i].role},
                .count = now,
                .state = state,
            };

            batch->snapshot.sockets += now;
            if (batch->snapshot.anchor ? now == 0 : now == world->told[i][state])
                continue;
            if (vec_push(&batch->tallies, change) < 0)
                bench_die("out of memory");
        }
    memcpy(world->told, world->now, sizeof(world->told));
}

static void put_counter(struct world *world, enum world_counter which, bool full)
{
    static const struct {
        const char *name;
        uint16_t place;
        uint8_t kind;
    } names[WORLD_COUNTERS] = {
        [COUNTER_ACTIVE_OPENS] = {"Tcp.ActiveOpens", 52, COUNTER_TOTAL},
        [COUNTER_PASSIVE_OPENS] = {"Tcp.PassiveOpens", 53, COUNTER_TOTAL},
        [COUNTER_ESTABLISHED] = {"Tcp.CurrEstab", 56, COUNTER_GAUGE},
        [COUNTER_RETRANSMITTED] = {"Tcp.RetransSegs", 59, COUNTER_TOTAL},
        [COUNTER_OVERFLOWS] = {"TcpExt.ListenOverflows", 110, COUNTER_TOTAL},
        [COUNTER_DROPS] = {"TcpExt.ListenDrops", 111, COUNTER_TOTAL},
    };
    int64_t value = world->counters[which], before = world->counters_told[which];
    struct counter_change change = {
        .value = value,
        .grew = full || names[which].kind == COUNTER_GAUGE ? 0 : value - before,
        .place = names[which].place,
        .kind = names[which].kind,
        .turn = full ? COUNTER_FIRST : COUNTER_WENT_ON,
        .protocol = (uint8_t)counter_protocol_of(names[which].name),
    };

    world->counters_told[which] = value;
    if (full ? value == 0 : value == before)
        return;
    snprintf(change.name, sizeof(change.name), "%s", names[which].name);
    if (vec_push(&world->batch->counting.counters, change) < 0)
        bench_die("out of memory");
}

/* Once a minute. */
static void put_counters(struct world *world)
{
    struct counting *counting = &world->batch->counting;
    struct counted_netns one = {.full = world->counted_ms < 0 ? (uint8_t)COUNTED_ALL : 0};

    if (world->now_ms / MINUTE_MS == world->counted_ms)
        return;
    world->counters[COUNTER_ESTABLISHED] = 0;
    for (size_t i = 0; i < TRAFFIC_COUNT; i++)
        if (traffics[i].protocol == PROTOCOL_TCP)
            world->counters[COUNTER_ESTABLISHED] +=
                world->now[i][STATE_ESTABLISHED] + world->now[i][STATE_CLOSE_WAIT];
    for (int i = 0; i < WORLD_COUNTERS; i++)
        put_counter(world, (enum world_counter)i, one.full);
    one.n_counters = (uint32_t)counting->counters.n;
    if (vec_push(&counting->netns, one) < 0)
        bench_die("out of memory");
    counting->taken = true;
    world->counted_ms = world->now_ms / MINUTE_MS;
}

void world_write_batch(struct world *world)
{
    struct batch *batch = world->batch;
    struct err err = {0};

    put_tallies(world);
    put_counters(world);
    batch->snapshot.took_us =
        400 + 2 * (int64_t)batch->snapshot.sockets + (int64_t)(server_draw(&world->random) * 300);
    batch->cost = (struct recorder_cost){
        .cpu_ms = (world->now_ms - world->options.begin_ms) / 5000,
        .rss_bytes = 5 << 20,
        .closings = world->closings,
        .event_buffer = 8 << 20,
        .netns = 1,
    };
    batch_seal(batch);
    if (store_write(world->store, batch, &err) < 0)
        bench_die("%s", err.text);
    batch_free(batch);
    world->batch = NULL;
}
