/* SPDX-License-Identifier: MIT */
/* The made-up kernel: what its tables and its events have now. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/record/recorder.h"
#include "counted.h"
#include "processes.h"

#define STAGE_NETNS_MAX 4

struct made_sample {
    struct sample sample;
    uint32_t place; /* number of its namespace */
};

/* A namespace: places are numbered from 0, the recorder's own. */
struct made_netns {
    struct made_tables tables; /* stay when it goes and comes back */
    uint32_t id;               /* as the recorder has it now */
    uint32_t births;           /* how many others had that place before */
    uint8_t standing;          /* enum netns_standing */
    bool fail;                 /* the next dump fails */
    bool is_new;               /* it came since the snapshot before */
};

struct made_event {
    struct closing closing;
    uint32_t place;
    int drains; /* it is read at this many drains from now */
};

struct stage {
    const char *path;
    char boot_id[40];
    int64_t boot_ns, real_ns;
    struct {
        VEC_FIELDS(struct made_sample);
    } samples;
    struct {
        VEC_FIELDS(struct made_event);
    } events;
    struct processes processes;
    bool has_events;
    bool lose_events;
    bool deaf;
    uint64_t time_wait_dropped;
    struct made_netns places[STAGE_NETNS_MAX];
    struct netns_ref refs[STAGE_NETNS_MAX];
    uint32_t n_places;
    uint32_t entered; /* the place that the recorder is in */
    uint32_t into;    /* place of what follows */
    uint32_t next_id;
    bool lacks_tcp, lacks_udp;
    uint64_t netns_inode;
    struct recorder *recorder;
    const char *detail;
    int64_t interval_ms;
    int64_t sampling_ms;
    uint32_t max_syn_recv;
    uint32_t max_services;
    struct store_retention retention;
};

/* Ends the program. */
_Noreturn void stage_die(const char *what, const char *why);

/* The place of a namespace of the recorder's. */
uint32_t stage_place(const struct stage *stage, const struct netns_ref *netns);

/* Makes the list of namespaces that are recorded; returns how many. */
size_t stage_list(struct stage *stage);

/* The identity of a place. */
struct netns_ref stage_ref(const struct stage *stage, uint32_t place);

/* Whether a line is about places; it was obeyed then. */
bool stage_obey_places(struct stage *stage, const char *line);

/* Commands of several words, see replay.c. */
void stage_read_sample(struct stage *stage, const char *line);

/* Whether it is what tcp_info tells of the sample before. */
bool stage_obey_info(struct stage *stage, const char *line);
void stage_read_event(struct stage *stage, const char *line);
