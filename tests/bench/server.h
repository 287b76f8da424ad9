/* SPDX-License-Identifier: MIT */
/* The made-up server: what runs on it, who comes, how much at what time, what a connection carries.
 * All that is drawn comes from a series of random numbers that is the same for the same seed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/model/address.h"
#include "connhist/model/life.h"

#define DAY_MS  INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

enum program {
    PROGRAM_NGINX,   /* ports 443 and 80 */
    PROGRAM_HAPROXY, /* port 443, from the deploy on */
    PROGRAM_SSHD,    /* port 22, a process for each session */
    PROGRAM_POSTGRES,
    PROGRAM_SHOP, /* asks the backends */
    PROGRAM_RESOLVED,
    PROGRAM_SMTP,
    PROGRAM_COUNT,
};

#define WORKERS_MAX 4

struct program_kind {
    const char *comm, *exe, *unit, *cgroup;
    uint32_t uid;
    uint32_t first_pid; /* of its first start */
    uint32_t workers;   /* processes that hold connections; 0: a new one for each */
};

/* Whom a kind of traffic comes from or goes to. */
enum peers {
    PEERS_WORLD,      /* browsers: some come again and again, a quarter never did before */
    PEERS_ADMINS,     /* a few, by IPv6 */
    PEERS_SHOP_HOSTS, /* those that use the database here */
    PEERS_BACKENDS,
    PEERS_RESOLVERS,
    PEERS_MAIL,
};

enum traffic_id {
    TRAFFIC_HTTPS,
    TRAFFIC_HTTP,
    TRAFFIC_DATABASE,
    TRAFFIC_BACKEND,
    TRAFFIC_DNS,
    TRAFFIC_SSH,
    TRAFFIC_SMTP,
    TRAFFIC_COUNT,
};

struct traffic {
    uint32_t share;       /* of 1000 new connections */
    uint32_t median_ms;   /* half of them last longer */
    uint32_t sent_median; /* bytes */
    uint32_t received_median;
    uint16_t port;                /* of the service */
    uint8_t protocol, role;       /* enum protocol, role */
    uint8_t local, remote, reset; /* percent that end so; the rest by timeout */
    uint8_t program, peers;       /* enum program, peers */
};

extern const struct traffic traffics[TRAFFIC_COUNT];
extern const struct program_kind program_kinds[PROGRAM_COUNT];

/* From 0 to below 1. */
double server_draw(uint64_t *random);

/* Around the median, a few much more and a few much less: `decades` powers of ten at most. */
double server_draw_around(uint64_t *random, double median, double decades);

/* How much comes at that time, 1 on the average of a week: little by night and on weekends. */
double server_rhythm(int64_t at_ms);

/* Which kind a new connection is of. */
enum traffic_id server_draw_traffic(uint64_t *random);

/* Sets family, addresses and ports of a connection. */
void server_draw_ends(uint64_t *random, const struct traffic *traffic, struct life *life);

/* The same with the peer 198.51.100.LAST. */
void server_set_peer(struct life *life, uint8_t last);

/* Who ends it: enum closed_by. */
uint8_t server_draw_end(uint64_t *random, const struct traffic *traffic);

/* What it carried; a round trip is that of its peer. */
struct life_facts server_draw_facts(uint64_t *random, const struct traffic *traffic,
                                    const struct life *life);
