/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <math.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"

#define REGULARS 20000 /* clients that come again, the most of them rarely */

/* New ones come as often as they end, so the shares are those of short connections; what is long is
 * seen more often. */
const struct traffic traffics[TRAFFIC_COUNT] = {
    [TRAFFIC_HTTPS] = {620, 8000, 24000, 1800, 443, PROTOCOL_TCP, ROLE_SERVER, 55, 36, 7,
                       PROGRAM_NGINX, PEERS_WORLD},
    [TRAFFIC_HTTP] = {80, 300, 600, 400, 80, PROTOCOL_TCP, ROLE_SERVER, 80, 15, 4, PROGRAM_NGINX,
                      PEERS_WORLD},
    [TRAFFIC_DATABASE] = {70, 60000, 90000, 9000, 5432, PROTOCOL_TCP, ROLE_SERVER, 5, 93, 2,
                          PROGRAM_POSTGRES, PEERS_SHOP_HOSTS},
    [TRAFFIC_BACKEND] = {120, 20000, 2500, 30000, 8080, PROTOCOL_TCP, ROLE_CLIENT, 60, 36, 3,
                         PROGRAM_SHOP, PEERS_BACKENDS},
    [TRAFFIC_DNS] = {95, 20, 0, 0, 53, PROTOCOL_UDP, ROLE_CLIENT, 0, 0, 0, PROGRAM_RESOLVED,
                     PEERS_RESOLVERS},
    [TRAFFIC_SSH] = {5, 60000, 9000, 5000, 22, PROTOCOL_TCP, ROLE_SERVER, 30, 60, 5, PROGRAM_SSHD,
                     PEERS_ADMINS},
    [TRAFFIC_SMTP] = {10, 4000, 12000, 700, 25, PROTOCOL_TCP, ROLE_CLIENT, 90, 5, 3, PROGRAM_SMTP,
                      PEERS_MAIL},
};

const struct program_kind program_kinds[PROGRAM_COUNT] = {
    [PROGRAM_NGINX] = {"nginx", "/usr/sbin/nginx", "nginx.service", "/system.slice/nginx.service",
                       33, 1210, 4},
    [PROGRAM_HAPROXY] = {"haproxy", "/usr/sbin/haproxy", "haproxy.service",
                         "/system.slice/haproxy.service", 108, 70100, 1},
    [PROGRAM_SSHD] = {"sshd", "/usr/sbin/sshd", "ssh.service", "/system.slice/ssh.service", 0, 840,
                      0},
    [PROGRAM_POSTGRES] = {"postgres", "/usr/lib/postgresql/15/bin/postgres",
                          "postgresql@15-main.service",
                          "/system.slice/system-postgresql.slice/postgresql@15-main.service", 114,
                          990, 4},
    [PROGRAM_SHOP] = {"shop-api", "/opt/shop/bin/shop-api", "shop-api.service",
                      "/system.slice/shop-api.service", 1002, 1530, 2},
    [PROGRAM_RESOLVED] = {"systemd-resolve", "/usr/lib/systemd/systemd-resolved",
                          "systemd-resolved.service", "/system.slice/systemd-resolved.service", 102,
                          610, 1},
    [PROGRAM_SMTP] = {"smtp", "/usr/lib/postfix/sbin/smtp", "postfix@-.service",
                      "/system.slice/system-postfix.slice/postfix@-.service", 110, 1890, 2},
};

double server_draw(uint64_t *random)
{
    return (double)(bench_random(random) >> 11) / (double)(UINT64_C(1) << 53);
}

double server_draw_around(uint64_t *random, double median, double decades)
{
    double off = server_draw(random) + server_draw(random) - 1;

    return median * exp2(off * decades * 3.3219280948873623);
}

double server_rhythm(int64_t at_ms)
{
    int64_t day = at_ms / DAY_MS,
            weekday = (day + 4) % 7; /* 1970-01-01 was a Thursday; 0: Sunday */
    double hour = (double)(at_ms % DAY_MS) / (double)HOUR_MS;
    double of_day = 1 - 0.8 * cos((hour - 3) * M_PI / 12);
    double weather = 0.9 + 0.2 * (double)((uint64_t)day * UINT64_C(0x9e3779b97f4a7c15) >> 56) / 255;

    return of_day * weather * (weekday == 0 || weekday == 6 ? 0.55 : 1.18);
}

enum traffic_id server_draw_traffic(uint64_t *random)
{
    uint32_t draw = (uint32_t)(server_draw(random) * 1000), i = 0;

    while (i + 1 < TRAFFIC_COUNT && draw >= traffics[i].share)
        draw -= traffics[i++].share;
    return (enum traffic_id)i;
}

static uint64_t scatter(uint64_t number)
{
    number *= UINT64_C(0x9e3779b97f4a7c15);
    number ^= number >> 29;
    return number * UINT64_C(0xbf58476d1ce4e5b9);
}

static void set_ends(struct life *life, uint8_t family, const uint8_t *local, const uint8_t *remote)
{
    size_t n = address_bytes(family);

    life->family = family;
    life->local = life->remote = (struct address){0};
    memcpy(life->local.bytes, local, n);
    memcpy(life->remote.bytes, remote, n);
}

static const uint8_t own_ipv4[] = {192, 0, 2, 7};
static const uint8_t own_ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};

/* Of browsers every sixth comes by IPv6. Those that never came before have random addresses. */
static void draw_client(uint64_t *random, struct life *life)
{
    double often = server_draw(random);
    uint64_t who = (uint64_t)(often * often * often * REGULARS);
    uint8_t remote[16] = {0x20, 0x01, 0x0d, 0xb8, 0x10};
    uint64_t number = scatter(server_draw(random) < 0.25 ? bench_random(random) : who + 1);

    if (number % 6 == 0) {
        memcpy(remote + 6, &number, sizeof(number));
        set_ends(life, AF_INET6, own_ipv6, remote);
        return;
    }
    /* 100.64.0.0/10, which belongs to nobody */
    memcpy(remote,
           (uint8_t[]){100, (uint8_t)(64 | (number >> 40 & 63)), (uint8_t)(number >> 32),
                       (uint8_t)(number >> 24)},
           4);
    set_ends(life, AF_INET, own_ipv4, remote);
}

static void draw_peer(uint64_t *random, enum peers peers, struct life *life)
{
    uint8_t one = (uint8_t)(bench_random(random) >> 40);
    uint8_t admin[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0xad, [15] = (uint8_t)(1 + one % 3)};

    switch (peers) {
    case PEERS_WORLD:
        draw_client(random, life);
        break;
    case PEERS_ADMINS:
        set_ends(life, AF_INET6, own_ipv6, admin);
        break;
    case PEERS_SHOP_HOSTS:
        set_ends(life, AF_INET, own_ipv4, (uint8_t[]){10, 20, 0, (uint8_t)(11 + one % 4)});
        break;
    case PEERS_BACKENDS:
        set_ends(life, AF_INET, own_ipv4, (uint8_t[]){10, 30, 0, (uint8_t)(1 + one % 3)});
        break;
    case PEERS_RESOLVERS:
        set_ends(life, AF_INET, own_ipv4, (uint8_t[]){10, 0, 0, (uint8_t)(53 + one % 2)});
        break;
    case PEERS_MAIL:
        set_ends(life, AF_INET, own_ipv4, (uint8_t[]){203, 0, 113, one});
        break;
    }
}

void server_draw_ends(uint64_t *random, const struct traffic *traffic, struct life *life)
{
    uint16_t ephemeral = (uint16_t)(32768 + server_draw(random) * 28232);
    bool serves = traffic->role == ROLE_SERVER;

    life->local_port = serves ? traffic->port : ephemeral;
    life->remote_port = serves ? ephemeral : traffic->port;
    draw_peer(random, traffic->peers, life);
}

void server_set_peer(struct life *life, uint8_t last)
{
    set_ends(life, AF_INET, own_ipv4, (uint8_t[]){198, 51, 100, last});
}

uint8_t server_draw_end(uint64_t *random, const struct traffic *traffic)
{
    double percent = server_draw(random) * 100;

    if (traffic->protocol == PROTOCOL_UDP)
        return CLOSED_BY_UNKNOWN;
    if (percent < traffic->local)
        return CLOSED_BY_LOCAL;
    if (percent < traffic->local + traffic->remote)
        return CLOSED_BY_REMOTE;
    return percent < traffic->local + traffic->remote + traffic->reset ? CLOSED_BY_RESET
                                                                       : CLOSED_BY_TIMEOUT;
}

/* 0.3 ms to hosts of our own, 8 to 250 ms to others. */
static uint32_t round_trip_us(uint64_t *random, const struct life *life)
{
    uint64_t peer = 0;
    double base_us;

    memcpy(&peer, life->remote.bytes + (life->family == AF_INET ? 0 : 8),
           life->family == AF_INET ? 4 : 8);
    base_us = life->remote.bytes[0] == 10
                  ? 300
                  : 8000 * exp2((double)(scatter(peer) >> 40) / (double)(1 << 24) * 5);
    return (uint32_t)(base_us * (0.9 + 0.3 * server_draw(random)));
}

struct life_facts server_draw_facts(uint64_t *random, const struct traffic *traffic,
                                    const struct life *life)
{
    struct life_facts facts = {.known = traffic->protocol == PROTOCOL_TCP};

    if (!facts.known)
        return facts;
    facts.sent_bytes = (uint64_t)server_draw_around(random, traffic->sent_median, 2);
    facts.received_bytes = (uint64_t)server_draw_around(random, traffic->received_median, 1);
    facts.segs_out = 4 + (uint32_t)(facts.sent_bytes / 1400 + facts.received_bytes / 2900);
    facts.segs_in = 4 + (uint32_t)(facts.sent_bytes / 2900 + facts.received_bytes / 1400);
    facts.rtt_us = round_trip_us(random, life);
    if (server_draw(random) < 0.06)
        facts.retrans = 1 + (uint32_t)(server_draw(random) * 4);
    facts.segs_out += facts.retrans;
    return facts;
}
