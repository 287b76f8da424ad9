/* SPDX-License-Identifier: MIT */
/* A crowd of real sockets in a network namespace of its own. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Puts the calling process into a network namespace of its own with lo up, or skips. */
void crowd_namespace(void);

enum crowd_state {
    CROWD_ESTABLISHED, /* both ends of each connection; stand until crowd_end() */
    CROWD_TIME_WAIT,   /* what the end that closed first leaves; gone after 60 s */
};

#define CROWD_HOLDERS 128

/* The processes that hold the sockets: each may have a limited number of descriptors. */
struct crowd {
    struct holder {
        pid_t pid;      /* of the process */
        int release_fd; /* closed: it ends */
    } holders[CROWD_HOLDERS];
    size_t n; /* processes */
};

/* Forks processes that hold n TCP sockets over loopback in this state, besides two listeners
 * each, and waits until they stand. */
void crowd_make(struct crowd *crowd, enum crowd_state state, size_t n);

/* Ends them, which closes their sockets. */
void crowd_end(struct crowd *crowd);
