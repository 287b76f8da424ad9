/* SPDX-License-Identifier: MIT */
/* What goes wrong on the made-up server, and when. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define INCIDENTS_DAYS 14 /* fewer days have none */

enum incident_id {
    INCIDENT_DEPLOY,
    INCIDENT_SCAN,
    INCIDENT_PILE_UP,
    INCIDENT_LEAK,
    INCIDENT_REBOOT,
    INCIDENT_GAP,
    INCIDENT_LOST,
    INCIDENT_COUNT,
};

struct incident {
    const char *name, *text;
    int64_t from_ms, until_ms; /* record time; both 0: it does not happen */
};

struct world;

/* When they are in so many days. */
void incidents_plan(int64_t begin_ms, uint32_t days, struct incident ret[INCIDENT_COUNT]);

/* One line for each: its name, begin and end, what it is. */
void incidents_print(const struct incident incidents[INCIDENT_COUNT], FILE *out);

/* Whether the host or the recorder is down then. */
bool incidents_down(const struct world *world, int64_t at_ms);

/* The one by which host or recorder went down after from_ms and not after until_ms; NULL: none. */
const struct incident *incidents_outage(const struct world *world, int64_t from_ms,
                                        int64_t until_ms);

/* What they do since the snapshot before; within a tick, before what comes anyway. */
void incidents_act(struct world *world);
