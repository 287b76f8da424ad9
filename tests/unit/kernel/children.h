/* SPDX-License-Identifier: MIT */
/* Real processes for a test to look at. Whatever is left of them ends with the test. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    int wire; /* our end of a socket pair with it */
};

/* Forks a child that runs func(wire, arg), tells us a byte itself when it is ready, and lives until its
 * wire is closed. */
struct child child_start(void (*func)(int wire, void *arg), void *arg);

/* Ends it and waits for it. */
void child_end(struct child *child);

/* One byte over a wire, to say "ready" or "go on"; both fail the test when the other end is gone. */
void wire_tell(int wire);
void wire_await(int wire);

/* In the child: stays until the other end is closed, then ends. */
_Noreturn void wire_stay(int wire);

/* A descriptor over a wire. */
void wire_give(int wire, int fd);
int wire_take(int wire);

/* A UDP socket, and the number of one. */
int new_socket(void);
uint32_t inode_of_fd(int fd);
