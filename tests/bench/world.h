/* SPDX-License-Identifier: MIT */
/* The made-up server in time: its sockets, from tick to tick, told to the store as the ledger does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/batch.h"
#include "connhist/model/history.h"
#include "incidents.h"
#include "server.h"

#define WORLD_NOBODY UINT32_MAX /* in place of a place */
#define WAIT_TICKS   64         /* ticks at which a TIME_WAIT can end */

struct store;

/* Who holds a socket. */
struct holder {
    int64_t start_ms; /* when the process began, record time */
    uint32_t number;  /* by which batches name it; 0: nobody knows */
    uint32_t pid;
    uint8_t program; /* enum program */
    bool session;    /* a process of its own, for one connection */
};

/* A socket that a snapshot saw. Its next turn is the tick at which it changes or ends. */
struct open_life {
    struct life life;
    struct holder holder;
    int64_t end_ms; /* when it changes or ends */
    uint32_t traffic;
    uint32_t next; /* of the same turn, or free */
    uint8_t history[2 + 2 * HISTORY_CHANGE_MAX];
    bool leaks; /* its program will not close it */
    bool dead;  /* it is over before its turn */
};

/* A connection that comes. */
struct arrival {
    int64_t at_ms;
    int64_t lasts_ms;
    uint8_t traffic;   /* enum traffic_id */
    uint8_t state;     /* enum sock_state */
    uint8_t closed_by; /* enum closed_by */
    uint8_t peer;      /* 198.51.100.PEER; 0: anyone */
    bool leaks;
};

/* A start of a program. */
struct started {
    int64_t at_ms; /* record time */
    uint32_t first_number, first_pid;
};

enum world_counter {
    COUNTER_ACTIVE_OPENS,
    COUNTER_PASSIVE_OPENS,
    COUNTER_ESTABLISHED, /* a gauge */
    COUNTER_RETRANSMITTED,
    COUNTER_OVERFLOWS,
    COUNTER_DROPS,
    WORLD_COUNTERS,
};

struct world_options {
    const char *path;
    uint64_t connections, seed;
    int64_t begin_ms, interval_ms;
    uint32_t days;
    bool incidents;
    bool prune; /* as the default configuration does, but for the size */
};

struct world {
    struct store *store;
    struct world_options options;
    struct incident incidents[INCIDENT_COUNT];
    const struct incident *outage;     /* by which it was down last */
    struct batch *batch;               /* of this tick */
    int64_t now_ms;                    /* this tick's instant */
    int64_t before_ms;                 /* that of the snapshot before */
    int64_t boot_ms;                   /* when the host started */
    uint32_t n_ticks, tick, next_tick; /* next_tick: whose turns have not been taken */
    uint32_t boot;                     /* number, from 0 */
    bool runs;                         /* the recorder */
    bool fresh;                        /* this is its first snapshot */
    bool deaf;                         /* what closed since the snapshot before was not heard */
    uint32_t *turns;                   /* for each tick the first socket whose turn it is */
    struct {
        VEC_FIELDS(struct open_life);
    } pool;
    uint32_t free; /* first place of pool that is free */
    uint32_t next_owner;
    uint64_t random, next_life;
    struct started started[PROGRAM_COUNT];
    struct open_life listeners[TRAFFIC_COUNT][2]; /* of IPv4 and IPv6 */
    uint32_t now[TRAFFIC_COUNT][STATE_COUNT], told[TRAFFIC_COUNT][STATE_COUNT];
    uint32_t waits[TRAFFIC_COUNT][WAIT_TICKS]; /* TIME_WAITs of sockets no snapshot saw open */
    uint32_t waiting[TRAFFIC_COUNT];           /* for accept() */
    uint8_t programs[TRAFFIC_COUNT];           /* enum program: who serves or asks now */
    uint8_t starts[PROGRAM_COUNT];             /* how often it began since the host did */
    int64_t counters[WORLD_COUNTERS], counters_told[WORLD_COUNTERS];
    int64_t counted_ms;  /* minute of the last reading; -1: none in this run */
    double due, due_all; /* of all connections so far, and in the end; any unit */
    uint64_t arrived;    /* those that came so far */
    uint64_t closings;   /* told by the kernel in this run */
};

/* Makes the file and begins. Exits when that fails. */
void world_begin(struct world *world, const struct world_options *options);

/* One tick: world->tick moves on. False: there are no more. */
bool world_step(struct world *world);

void world_end(struct world *world);

/* For incidents, within a tick: */
void world_arrive(struct world *world, const struct arrival *arrival);

/* A program ends and starts anew at that instant, since the snapshot before: its sockets are over. */
void world_restart(struct world *world, enum program program, int64_t at_ms);

/* From that instant on another program listens there; the sockets of the one before are over. */
void world_hand_over(struct world *world, enum traffic_id traffic, enum program to, int64_t at_ms);

/* Connections that wait for accept(), at the IPv4 listener of that traffic. */
void world_queue(struct world *world, enum traffic_id traffic, uint32_t waiting);

int64_t world_tick_ms(const struct world *world, uint32_t tick);

/* The first tick that does not see any more what ends at that instant. */
uint32_t world_tick_behind(const struct world *world, int64_t at_ms);

/* world_sockets.c */
void world_start(struct world *world, enum program program, int64_t at_ms);
void world_listen(struct world *world, enum traffic_id traffic);
void world_take_turns(struct world *world);
void world_arrive_ordinary(struct world *world);

/* world_tell.c: what the batch says beside sockets. */
void world_put(struct world *world, struct life_vec *to, struct open_life *open);
void world_rate_opened(struct world *world, const struct open_life *open);
/* lived_ms -1: not known. */
void world_rate_closed(struct world *world, const struct open_life *open, int64_t at_ms,
                       int64_t lived_ms);
void world_begin_batch(struct world *world);
void world_write_batch(struct world *world);
