/* SPDX-License-Identifier: MIT */
/* Sockets that come, change and go. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "world.h"

#define TIME_WAIT_MS 60000
#define BACKLOG      511
#define NONE         WORLD_NOBODY

/* Who is who. */

void world_start(struct world *world, enum program program, int64_t at_ms)
{
    const struct program_kind *kind = &program_kinds[program];

    world->started[program] = (struct started){
        .at_ms = at_ms,
        .first_number = world->next_owner,
        .first_pid = kind->first_pid + 20011 * world->starts[program]++,
    };
    world->next_owner += kind->workers + 1;
}

/* The process that listens: that of worker 0. */
static struct holder holder_of(const struct world *world, enum program program, uint32_t worker)
{
    const struct started *started = &world->started[program];

    return (struct holder){
        .start_ms = started->at_ms,
        .number = started->first_number + worker,
        .pid = started->first_pid + worker,
        .program = (uint8_t)program,
    };
}

static struct holder draw_holder(struct world *world, enum program program, int64_t at_ms)
{
    uint32_t workers = program_kinds[program].workers;
    struct holder holder = holder_of(world, program, 0);

    if (workers > 1)
        return holder_of(world, program,
                         1 + (uint32_t)(server_draw(&world->random) * (double)workers));
    if (workers == 1)
        return holder;
    holder.session = true;
    holder.start_ms = at_ms;
    holder.number = world->next_owner++;
    holder.pid = 3000 + holder.number * 37 % 60000;
    return holder;
}

/* Sockets that snapshots see. */

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

static void give_place(struct world *world, uint32_t place)
{
    world->pool.items[place] = (struct open_life){.next = world->free, .dead = true};
    world->free = place;
}

static void plan(struct world *world, uint32_t place, int64_t at_ms)
{
    uint32_t at = world_tick_behind(world, at_ms);

    world->pool.items[place].end_ms = at_ms;
    world->pool.items[place].next = world->turns[at];
    world->turns[at] = place;
}

static void set_state(struct open_life *open, uint8_t state, int64_t lasted_ms)
{
    if (open->life.history_bytes)
        open->life.history_bytes += (uint8_t)history_put_number(
            open->history + open->life.history_bytes, (uint64_t)lasted_ms);
    open->history[open->life.history_bytes++] = state;
    open->life.state = state;
}

static void close_life(struct world *world, struct open_life *open, int64_t at_ms)
{
    world->now[open->traffic][open->life.state]--;
    open->life.ended_ms = at_ms;
    world_put(world, &world->batch->closed, open);
}

static bool leaves_time_wait(const struct open_life *open)
{
    return open->life.closed_by == CLOSED_BY_LOCAL && open->life.service.protocol == PROTOCOL_TCP &&
           open->life.state == STATE_ESTABLISHED;
}

/* What an event tells of it. */
static void hear(struct world *world, struct open_life *open, int64_t at_ms)
{
    struct life *life = &open->life;
    bool tcp = life->service.protocol == PROTOCOL_TCP;

    if (world->deaf) {
        life->late_facts = tcp && !leaves_time_wait(open);
        if (!leaves_time_wait(open))
            life->closed_by = CLOSED_BY_UNKNOWN;
    } else {
        life->facts = server_draw_facts(&world->random, &traffics[open->traffic], life);
        world->counters[COUNTER_RETRANSMITTED] += life->facts.retrans;
        world->closings++;
    }
    world_rate_closed(world, open, at_ms, at_ms - life->since_ms);
}

static void turn_established(struct world *world, uint32_t place)
{
    struct open_life *open = &world->pool.items[place];
    int64_t lived_ms = open->end_ms - open->life.since_ms;

    if (open->leaks || leaves_time_wait(open)) {
        world->now[open->traffic][open->life.state]--;
        if (!open->leaks)
            hear(world, open, open->end_ms);
        set_state(open, open->leaks ? STATE_CLOSE_WAIT : STATE_TIME_WAIT, lived_ms);
        world->now[open->traffic][open->life.state]++;
        if (open->leaks) {
            open->next = NONE; /* nobody's turn */
        } else if (open->end_ms + TIME_WAIT_MS > world->now_ms) {
            plan(world, place, open->end_ms + TIME_WAIT_MS);
        } else {
            close_life(world, open, open->end_ms + TIME_WAIT_MS);
            give_place(world, place);
            return;
        }
        world_put(world, &world->batch->changed, open);
        return;
    }
    hear(world, open, open->end_ms);
    close_life(world, open, world->deaf ? world->now_ms : open->end_ms);
    give_place(world, place);
}

/* It ended while the recorder did not run. */
static void miss_end(struct world *world, uint32_t place)
{
    struct open_life *open = &world->pool.items[place];

    open->life.closed_by = CLOSED_BY_UNKNOWN;
    hear(world, open, world->now_ms);
    close_life(world, open, world->now_ms);
    give_place(world, place);
}

static void take_turn(struct world *world, uint32_t place)
{
    struct open_life *open = &world->pool.items[place];

    if (open->dead) {
        give_place(world, place);
        return;
    }
    switch (open->life.state) {
    case STATE_ESTABLISHED:
        if (world->fresh)
            miss_end(world, place);
        else
            turn_established(world, place);
        return;
    case STATE_SYN_RECV: /* no event tells of it */
        world_rate_closed(world, open, world->now_ms, world->now_ms - open->life.since_ms);
        close_life(world, open, world->now_ms);
        break;
    default:
        close_life(world, open, open->end_ms);
    }
    give_place(world, place);
}

void world_take_turns(struct world *world)
{
    for (; world->next_tick <= world->tick; world->next_tick++) {
        uint32_t slot = world->next_tick % WAIT_TICKS;

        for (uint32_t i = 0; i < TRAFFIC_COUNT; i++) {
            world->now[i][STATE_TIME_WAIT] -= world->waits[i][slot];
            world->waits[i][slot] = 0;
        }
        for (uint32_t place = world->turns[world->next_tick], next; place != NONE; place = next) {
            next = world->pool.items[place].next;
            take_turn(world, place);
        }
    }
}

/* What comes. */

static struct open_life new_life(struct world *world, const struct arrival *arrival)
{
    const struct traffic *traffic = &traffics[arrival->traffic];
    struct open_life open = {.traffic = arrival->traffic, .leaks = arrival->leaks};

    open.life = (struct life){
        .number = world->next_life++,
        .since_ms = arrival->at_ms,
        .ended_ms = TIME_UNKNOWN,
        .planned_ms = TIME_UNKNOWN,
        .uid = UID_UNKNOWN,
        .service = {.port = traffic->port, .protocol = traffic->protocol, .role = traffic->role},
        .role_source = traffic->protocol == PROTOCOL_UDP ? ROLE_BY_STATE : ROLE_BY_TCP_INFO,
        .closed_by = arrival->closed_by,
    };
    open.life.cookie = open.life.number;
    server_draw_ends(&world->random, traffic, &open.life);
    if (arrival->peer)
        server_set_peer(&open.life, arrival->peer);
    set_state(&open, arrival->state, 0);
    return open;
}

/* That of the program that listens there is the best that is known of a socket nobody saw. */
static void hold_by_listener(const struct world *world, struct open_life *open)
{
    if (traffics[open->traffic].role != ROLE_SERVER)
        return;
    open->holder = holder_of(world, (enum program)world->programs[open->traffic], 0);
    open->life.owner_source = OWNER_BY_LISTENER;
}

static void see(struct world *world, struct open_life *open, int64_t end_ms)
{
    uint32_t place = take_place(world);

    open->life.since_ms = world->now_ms;
    world->now[open->traffic][open->life.state]++;
    world_put(world, &world->batch->opened, open);
    world->pool.items[place] = *open;
    plan(world, place, end_ms);
}

/* It is over before a snapshot sees it open. */
static void pass_by(struct world *world, struct open_life *open, int64_t closed_ms)
{
    bool waits = leaves_time_wait(open);
    int64_t end_ms = waits ? closed_ms + TIME_WAIT_MS : closed_ms;

    if (open->life.state == STATE_SYN_RECV)
        return;
    hold_by_listener(world, open);
    if (world->deaf) { /* nobody knows what the TIME_WAIT is of */
        if (!waits || end_ms <= world->now_ms)
            return;
        open->life.history_bytes = 0;
        set_state(open, STATE_TIME_WAIT, 0);
        see(world, open, end_ms);
        return;
    }
    world_rate_opened(world, open);
    hear(world, open, closed_ms);
    if (waits)
        set_state(open, STATE_TIME_WAIT, closed_ms - open->life.since_ms);
    open->life.untold = true;
    open->life.ended_ms = end_ms;
    world_put(world, &world->batch->closed, open);
    if (end_ms > world->now_ms) {
        world->now[open->traffic][STATE_TIME_WAIT]++;
        world->waits[open->traffic][world_tick_behind(world, end_ms) % WAIT_TICKS]++;
    }
}

void world_arrive(struct world *world, const struct arrival *arrival)
{
    struct open_life open = new_life(world, arrival);
    int64_t end_ms = arrival->at_ms + (arrival->lasts_ms > 0 ? arrival->lasts_ms : 1);
    enum program program = (enum program)world->programs[arrival->traffic];

    world->counters[traffics[arrival->traffic].role == ROLE_SERVER ? COUNTER_PASSIVE_OPENS
                                                                   : COUNTER_ACTIVE_OPENS] +=
        arrival->state == STATE_ESTABLISHED && open.life.service.protocol == PROTOCOL_TCP;
    if (end_ms <= world->now_ms) {
        pass_by(world, &open, end_ms);
        return;
    }
    open.life.opened_known = true;
    if (arrival->state == STATE_SYN_RECV) {
        open.life.role_source = ROLE_BY_STATE;
        hold_by_listener(world, &open);
    } else {
        open.holder = draw_holder(world, program, arrival->at_ms);
        open.life.owner_source = OWNER_BY_INODE;
        open.life.inode = (uint32_t)open.life.number;
        open.life.uid = program_kinds[program].uid;
    }
    open.life.since_ms = world->now_ms;
    world_rate_opened(world, &open);
    see(world, &open, end_ms);
}

void world_arrive_ordinary(struct world *world)
{
    double lasted_ms = (double)(world->now_ms - world->before_ms);
    uint64_t wanted;

    world->due += server_rhythm(world->now_ms);
    wanted = (uint64_t)((double)world->options.connections * world->due / world->due_all + 0.5);
    for (; world->arrived < wanted; world->arrived++) {
        enum traffic_id traffic = server_draw_traffic(&world->random);
        const struct traffic *kind = &traffics[traffic];

        world_arrive(
            world,
            &(struct arrival){
                .at_ms = world->before_ms + 1 + (int64_t)(server_draw(&world->random) * lasted_ms),
                .lasts_ms = (int64_t)server_draw_around(&world->random, kind->median_ms, 2),
                .traffic = (uint8_t)traffic,
                .state = STATE_ESTABLISHED,
                .closed_by = server_draw_end(&world->random, kind),
            });
    }
}

/* Those that listen. */

static void listen_by(struct world *world, enum traffic_id traffic, uint8_t family)
{
    struct open_life *open = &world->listeners[traffic][family == AF_INET6];
    enum program program = (enum program)world->programs[traffic];
    struct queue_change queue = {.limit = BACKLOG};

    *open = new_life(world, &(struct arrival){
                                .at_ms = world->now_ms, .traffic = traffic, .state = STATE_LISTEN});
    open->life.family = family;
    open->life.local = open->life.remote = (struct address){0};
    open->life.remote_port = 0;
    open->life.role_source = ROLE_BY_STATE;
    open->life.inode = (uint32_t)open->life.number;
    open->life.uid = program_kinds[program].uid;
    open->life.owner_source = OWNER_BY_INODE;
    open->life.opened_known = !world->fresh;
    open->holder = holder_of(world, program, 0);
    world_put(world, &world->batch->opened, open);
    world->now[traffic][STATE_LISTEN]++;
    queue.life = open->life.number;
    if (vec_push(&world->batch->queues, queue) < 0)
        bench_die("out of memory");
}

void world_listen(struct world *world, enum traffic_id traffic)
{
    listen_by(world, traffic, AF_INET);
    listen_by(world, traffic, AF_INET6);
    world->waiting[traffic] = 0;
}

void world_queue(struct world *world, enum traffic_id traffic, uint32_t waiting)
{
    struct queue_change change = {
        .life = world->listeners[traffic][0].life.number, .waiting = waiting, .limit = BACKLOG};

    if (world->waiting[traffic] == waiting)
        return;
    world->waiting[traffic] = waiting;
    if (vec_push(&world->batch->queues, change) < 0)
        bench_die("out of memory");
}

/* What was there at the snapshot before and is of that program, with that kind of traffic. */
static void end_all(struct world *world, enum program program, enum traffic_id traffic,
                    int64_t at_ms)
{
    for (size_t i = 0; i < world->pool.n; i++) {
        struct open_life *open = &world->pool.items[i];
        bool closes = open->life.state == STATE_ESTABLISHED || open->life.state == STATE_CLOSE_WAIT;

        if (open->dead || !closes || open->holder.program != program || open->traffic != traffic ||
            open->life.since_ms >= at_ms)
            continue;
        if (open->life.state == STATE_ESTABLISHED)
            open->life.closed_by = CLOSED_BY_RESET;
        hear(world, open, at_ms);
        close_life(world, open, at_ms);
        if (open->life.state == STATE_CLOSE_WAIT)
            give_place(world, (uint32_t)i);
        else
            open->dead = true; /* its place is given at its turn */
    }
}

void world_restart(struct world *world, enum program program, int64_t at_ms)
{
    for (int i = 0; i < TRAFFIC_COUNT; i++)
        end_all(world, program, (enum traffic_id)i, at_ms);
    world_start(world, program, at_ms);
}

void world_hand_over(struct world *world, enum traffic_id traffic, enum program to, int64_t at_ms)
{
    end_all(world, (enum program)world->programs[traffic], traffic, at_ms);
    for (int i = 0; i < 2; i++)
        close_life(world, &world->listeners[traffic][i], at_ms);
    world->programs[traffic] = (uint8_t)to;
    world_start(world, to, at_ms);
    world_listen(world, traffic);
}
