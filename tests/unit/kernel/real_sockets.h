/* SPDX-License-Identifier: MIT */
/* Sockets on loopback made by a test, and what others than us say about them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "connhist/kernel/sock_diag.h"

/* How a pair of sockets speaks. */
enum tongue {
    TONGUE_IPV4,
    TONGUE_IPV6,   /* v6only */
    TONGUE_MAPPED, /* an IPv4 client, a dual-stack server */
    TONGUE_COUNT,
};

struct pair {
    int listener;
    int client;
    int server;           /* accepted */
    uint16_t port;        /* the listener's */
    uint16_t client_port; /* the client's */
};

/* A group setup: where it may (as root), moves the test to a network namespace of its own with
 * nothing but loopback, so that nobody else's sockets can have the same ports. */
int enter_own_network(void **state);

/* A bound socket on loopback (the wildcard for a mapped server); fails the test when it can't. */
int bound_socket(enum tongue tongue, int type);
uint16_t local_port(int fd);
uint64_t cookie_of(int fd);
uint64_t inode_of(int fd);

/* Connects fd to a port of loopback; the kernel's answer, 0 or a negative errno. */
int connect_to(enum tongue tongue, int fd, uint16_t port);

/* A connected client of any free port. */
int client_of(enum tongue tongue, uint16_t port);

struct pair connected_pair(enum tongue tongue);
void pair_close(struct pair *pair);

/* A dump, kept. */
struct table {
    struct sample *items; /* owned */
    size_t n, capacity;
};

/* Dumps all of a protocol into the table; fails the test when it can't. */
void table_read(struct table *table, struct sock_diag *diag, const struct sock_diag_dump *dump);
void table_finish(struct table *table);

/* The socket with these ports, NULL when there is none; fails the test when there are several. */
struct sample *table_find(struct table *table, uint16_t local, uint16_t remote);

/* Whether /proc/net has a line with the sample's endpoints and state. */
bool proc_has(const struct sample *sample);
