/* SPDX-License-Identifier: MIT */
/* The made-up kernel: what its tables and its events have now. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/record/recorder.h"
#include "processes.h"

struct made_event {
    struct closing closing;
    int drains; /* it is read at this many drains from now */
};

struct stage {
    const char *path;
    char boot_id[40];
    int64_t boot_ns, real_ns;
    struct {
        VEC_FIELDS(struct sample);
    } samples;
    struct {
        VEC_FIELDS(struct made_event);
    } events;
    struct processes processes;
    bool has_events;
    bool lose_events;
    bool deaf;
    uint64_t time_wait_dropped;
    bool fail;
    bool lacks_tcp, lacks_udp;
    uint64_t netns_inode;
    struct netns_ref own;
    struct recorder *recorder;
    const char *detail;
    int64_t interval_ms;
    int64_t sampling_ms;
    uint32_t max_syn_recv;
};

/* Ends the program. */
_Noreturn void stage_die(const char *what, const char *why);

/* Commands of several words, see replay.c. */
void stage_read_sample(struct stage *stage, const char *line);
void stage_read_facts(struct stage *stage, const char *line);
void stage_read_event(struct stage *stage, const char *line);
