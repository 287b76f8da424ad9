/* SPDX-License-Identifier: MIT */
/* generate FILE [SOCKETS [DAYS [INTERVAL-S]]]: makes a record such as a web server's over some
 * days would be, through the store's own interface; the same for the same arguments.
 * Prints the first and the last instant, in seconds since 1970. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "connhist/model/history.h"
#include "connhist/store/store.h"
#include "connhist/store/upkeep.h"

#define CLOCK_FROM   INT64_C(1767225600000) /* 2026-01-01 */
#define DAY_MS       INT64_C(86400000)
#define HOUR_MS      INT64_C(3600000)
#define TIME_WAIT_MS 60000
#define PEERS        20000 /* clients that come, the most of them rarely */
#define NONE         UINT32_MAX

/* What runs on the host. */
static const struct traffic {
    uint32_t share;     /* of 1000 new connections */
    uint32_t median_ms; /* half of them last longer; a few much longer */
    uint16_t port;      /* of the service */
    uint8_t protocol, role;
} traffics[] = {
    {620, 8000, 443, PROTOCOL_TCP, ROLE_SERVER},   {80, 3000, 80, PROTOCOL_TCP, ROLE_SERVER},
    {120, 15000, 5432, PROTOCOL_TCP, ROLE_CLIENT}, {90, 5000, 8080, PROTOCOL_TCP, ROLE_CLIENT},
    {60, 5000, 53, PROTOCOL_UDP, ROLE_CLIENT},     {20, 600000, 22, PROTOCOL_TCP, ROLE_SERVER},
    {10, 60000, 25, PROTOCOL_TCP, ROLE_CLIENT},
};

#define N_TRAFFICS (sizeof(traffics) / sizeof(traffics[0]))

/* A connection that is open. Its next turn is the tick at which it changes or ends. */
struct open_life {
    struct life life;
    uint8_t history[2 + HISTORY_CHANGE_MAX];
    uint32_t traffic; /* index */
    uint32_t next;    /* of the same turn, or free */
};

struct world {
    struct store *store;
    int64_t interval_ms;
    uint32_t n_ticks;
    uint32_t tick;   /* now */
    uint32_t *turns; /* for each tick the first life whose turn it is */
    struct {
        VEC_FIELDS(struct open_life);
    } pool;
    uint32_t free; /* first place of pool that is free */
    uint64_t random, next_life;
    uint32_t now[N_TRAFFICS][STATE_COUNT], told[N_TRAFFICS][STATE_COUNT];
};

static double unit(struct world *world)
{
    return (double)(bench_random(&world->random) >> 11) / (double)(UINT64_C(1) << 53);
}

static int64_t now_ms(const struct world *world)
{
    return CLOCK_FROM + (int64_t)(world->tick + 1) * world->interval_ms;
}

static void set_peer(struct world *world, struct life *life)
{
    double often = unit(world);
    uint32_t peer = (uint32_t)(often * often * often * PEERS); /* few come often */

    if (life->service.role == ROLE_CLIENT)
        peer %= 8; /* few backends */
    life->family = peer % 5 == 4 ? AF_INET6 : AF_INET;
    if (life->family == AF_INET) {
        memcpy(life->local.bytes, (uint8_t[]){192, 0, 2, 7}, 4);
        memcpy(life->remote.bytes,
               (uint8_t[]){10, (uint8_t)(peer >> 16), (uint8_t)(peer >> 8), (uint8_t)peer}, 4);
    } else {
        memcpy(life->local.bytes, (uint8_t[]){0x20, 0x01, 0x0d, 0xb8, [15] = 7}, 16);
        memcpy(life->remote.bytes, (uint8_t[]){0x20, 0x01, 0x0d, 0xb8, 1}, 5);
        memcpy(life->remote.bytes + 12, &peer, sizeof(peer));
    }
}

static struct life new_life(struct world *world, const struct traffic *traffic)
{
    uint16_t ephemeral = (uint16_t)(32768 + bench_random(&world->random) % 28232);
    bool serves = traffic->role == ROLE_SERVER;
    struct life life = {
        .number = world->next_life++,
        .since_ms = now_ms(world),
        .ended_ms = TIME_UNKNOWN,
        .local_port = serves ? traffic->port : ephemeral,
        .remote_port = serves ? ephemeral : traffic->port,
        .uid = serves ? 33 : 1000,
        .service = {.port = traffic->port, .protocol = traffic->protocol, .role = traffic->role},
        .state = STATE_ESTABLISHED,
        .role_source = ROLE_BY_TCP_INFO,
        .opened_known = true,
        .history_bytes = 1,
    };

    life.cookie = life.number;
    life.inode = (uint32_t)life.number;
    set_peer(world, &life);
    return life;
}

static uint32_t take_place(struct world *world)
{
    uint32_t place = world->free;

    if (place != NONE) {
        world->free = world->pool.items[place].next;
        return place;
    }
    if (vec_push(&world->pool, (struct open_life){0}) < 0)
        bench_die("out of memory");
    return (uint32_t)world->pool.n - 1;
}

/* It will be this life's turn at the first tick at or after `after_ms` from now. */
static void plan(struct world *world, uint32_t place, double after_ms)
{
    double ticks = ceil(after_ms / (double)world->interval_ms);
    uint32_t at = world->tick + (ticks < 1 ? 1 : (uint32_t)fmin(ticks, world->n_ticks));

    if (at >= world->n_ticks)
        at = world->n_ticks; /* stays open */
    world->pool.items[place].next = world->turns[at];
    world->turns[at] = place;
}

static void put(struct batch *batch, struct life_vec *to, struct open_life *open)
{
    open->life.history = open->history;
    if (batch_add_life(batch, to, &open->life) < 0)
        bench_die("out of memory");
}

static void open_one(struct world *world, struct batch *batch)
{
    uint32_t draw = (uint32_t)(unit(world) * 1000), traffic = 0, place = take_place(world);
    struct open_life *open = &world->pool.items[place];

    while (draw >= traffics[traffic].share)
        draw -= traffics[traffic++].share;
    *open = (struct open_life){.life = new_life(world, &traffics[traffic]), .traffic = traffic};
    open->history[0] = open->life.state;
    put(batch, &batch->opened, open);
    world->now[traffic][open->life.state]++;
    plan(world, place, traffics[traffic].median_ms * pow(10, (unit(world) - 0.5) * 2));
}

/* The end that closes first keeps a TIME_WAIT: here the clients of TCP, and half of our peers. */
static bool waits(const struct open_life *open)
{
    return open->life.service.protocol == PROTOCOL_TCP && open->life.state == STATE_ESTABLISHED &&
           (open->life.service.role == ROLE_CLIENT || open->life.number % 2);
}

static void take_turn(struct world *world, struct batch *batch, uint32_t place)
{
    struct open_life *open = &world->pool.items[place];

    world->now[open->traffic][open->life.state]--;
    if (waits(open)) {
        int64_t lived_ms = now_ms(world) - open->life.since_ms;

        open->life.state = STATE_TIME_WAIT;
        open->life.history_bytes +=
            (uint8_t)history_put_number(open->history + 1, (uint64_t)lived_ms);
        open->history[open->life.history_bytes++] = STATE_TIME_WAIT;
        put(batch, &batch->changed, open);
        world->now[open->traffic][STATE_TIME_WAIT]++;
        plan(world, place, TIME_WAIT_MS);
        return;
    }
    open->life.ended_ms = now_ms(world);
    put(batch, &batch->closed, open);
    open->next = world->free;
    world->free = place;
}

static void put_tallies(struct world *world, struct batch *batch)
{
    for (size_t i = 0; i < N_TRAFFICS; i++)
        for (uint8_t state = 1; state < STATE_COUNT; state++) {
            uint32_t now = world->now[i][state];
            struct tally_change change = {
                .service = {.port = traffics[i].port,
                            .protocol = traffics[i].protocol,
                            .role = traffics[i].role},
                .count = now,
                .state = state,
            };

            if (batch->snapshot.anchor ? now == 0 : now == world->told[i][state])
                continue;
            if (vec_push(&batch->tallies, change) < 0)
                bench_die("out of memory");
        }
    memcpy(world->told, world->now, sizeof(world->told));
}

static struct batch *begin_batch(const struct world *world)
{
    struct batch *batch = batch_new();
    struct netns_ref own = {.inode = 4026531840};
    int64_t ms = now_ms(world);

    if (!batch || vec_push(&batch->netns, own) < 0)
        bench_die("out of memory");
    batch->has_snapshot = true;
    batch->snapshot = (struct snapshot){
        .start_ms = ms,
        .took_us = 500,
        .anchor = world->tick == 0 || ms / HOUR_MS != (ms - world->interval_ms) / HOUR_MS,
    };
    return batch;
}

static void open_listeners(struct world *world, struct batch *batch)
{
    for (uint32_t i = 0; i < N_TRAFFICS; i++) {
        struct open_life open = {.life = new_life(world, &traffics[i])};

        if (traffics[i].role != ROLE_SERVER)
            continue;
        open.life.family = AF_INET;
        open.life.local = open.life.remote = (struct address){0};
        open.life.remote_port = 0;
        open.life.state = open.history[0] = STATE_LISTEN;
        put(batch, &batch->opened, &open);
        world->now[i][STATE_LISTEN]++;
    }
}

/* More by day than by night. */
static uint64_t due(const struct world *world, uint64_t sockets)
{
    double done = (double)(world->tick + 1) / world->n_ticks;
    double days = done * world->n_ticks * (double)world->interval_ms / (double)DAY_MS;
    double wave = 0.8 * sin(days * 2 * M_PI) / (2 * M_PI) /
                  ((double)world->n_ticks * (double)world->interval_ms / (double)DAY_MS);

    return (uint64_t)fmin((double)sockets, (double)sockets * (done - wave));
}

static void take_tick(struct world *world, uint64_t sockets)
{
    struct batch *batch = begin_batch(world);
    struct err err = {0};
    int r;

    if (world->tick == 0)
        open_listeners(world, batch);
    for (uint32_t place = world->turns[world->tick], next; place != NONE; place = next) {
        next = world->pool.items[place].next;
        take_turn(world, batch, place);
    }
    while (world->next_life <= due(world, sockets))
        open_one(world, batch);
    put_tallies(world, batch);
    for (size_t i = 0; i < N_TRAFFICS; i++)
        for (size_t state = 1; state < STATE_COUNT; state++)
            batch->snapshot.sockets += world->now[i][state];
    batch_seal(batch);
    if (store_write(world->store, batch, &err) < 0)
        bench_die("%s", err.text);
    batch_free(batch);
    while ((r = store_upkeep(world->store, now_ms(world), &err)) > 0)
        ;
    if (r < 0)
        bench_die("%s", err.text);
}

static struct store *open_file(const char *path, int64_t interval_ms)
{
    struct store_options options = {.path = path};
    struct recording recording = {
        .boot_id = "00000000-0000-0000-0000-000000000000",
        .boot_base_ms = CLOCK_FROM - HOUR_MS,
        .started_ms = CLOCK_FROM,
        .interval_ms = interval_ms,
        .detail = "on",
        .version = "bench",
    };
    struct store *store = NULL;
    struct err err = {0};

    if (bench_size(path) > 0)
        bench_die("%s is there already", path);
    if (store_open(&options, &store, &err) < 0 ||
        store_begin_recording(store, &recording, NULL, 0, &err) < 0)
        bench_die("%s", err.text);
    return store;
}

static uint64_t argument(int argc, char **argv, int i, uint64_t otherwise)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    uint64_t sockets = argument(argc, argv, 2, 1000000), days = argument(argc, argv, 3, 30);
    struct world world = {
        .interval_ms = (int64_t)argument(argc, argv, 4, 10) * 1000,
        .free = NONE,
        .random = 42,
        .next_life = 1,
    };
    struct err err = {0};

    if (argc < 2 || days == 0 || world.interval_ms == 0)
        bench_die("usage: generate FILE [SOCKETS [DAYS [INTERVAL-S]]]");
    world.n_ticks = (uint32_t)((int64_t)days * DAY_MS / world.interval_ms);
    world.turns = malloc(((size_t)world.n_ticks + 1) * sizeof(*world.turns));
    if (!world.turns)
        bench_die("out of memory");
    memset(world.turns, 0xff, ((size_t)world.n_ticks + 1) * sizeof(*world.turns));
    world.store = open_file(argv[1], world.interval_ms);
    for (; world.tick < world.n_ticks; world.tick++)
        take_tick(&world, sockets);
    world.tick--;
    if (store_end_recording(world.store, now_ms(&world), &err) < 0)
        bench_die("%s", err.text);
    store_close(world.store);
    vec_finish(&world.pool);
    free(world.turns);
    printf("%lld %lld\n", (long long)CLOCK_FROM / 1000, (long long)now_ms(&world) / 1000);
    return EXIT_SUCCESS;
}
