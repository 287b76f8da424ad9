/* SPDX-License-Identifier: MIT */
/* What the recorder costs, and what it could not find out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The recorder's own cost, as of this batch. */
struct recorder_cost {
    int64_t cpu_ms;         /* CPU time of the process, user and system, in this recording */
    int64_t rss_bytes;      /* resident memory */
    int64_t queue_peak;     /* most bytes that ever waited for the disk */
    uint64_t ticks_missed;  /* in this recording */
    uint64_t roles_guessed; /* lives whose role rests on the port class alone, in this recording */
    uint64_t closings;      /* destroy events of sockets that were connected, in this recording */
    uint64_t unconnected;   /* … of sockets that never were: counted, not stored */
    uint64_t unresolved;    /* … of aborted ones whose endpoints nobody knows */
    int64_t event_buffer_others; /* … of each other namespace; 0: there is none */
    uint64_t netns;              /* namespaces recorded, with the own one */
    uint32_t netns_lacks;        /* why others are not: enum netns_lack */
    int64_t event_buffer;        /* bytes of receive buffer for events; 0: no events */
    uint64_t services_other;     /* lives that count for `other`, in this recording */
    int64_t owners_later;  /* sockets alive without a known owner: not looked for to the end yet */
    int64_t owners_absent; /* ... no process has them, or none could: half-open, orphans */
    int64_t owners_denied; /* ... some processes could not be looked into */
    bool offload_told;     /* the kernel tells what holds a connection: Linux 5.4 */
};
