/* SPDX-License-Identifier: MIT */
/* What the store takes for closed lives: time to write a million of them, and bytes each, all in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "connhist/model/history.h"
#include "connhist/store/store.h"

#define OWNERS     200 /* processes that the connections belong to */
#define BATCH      10000
#define PEERS      1000
#define CLOCK_FROM INT64_C(1767225600000) /* 2026-01-01 */

/* One of the two kinds of traffic that the budgets are for. */
struct kind {
    const char *name;
    const char *budget; /* bytes a row */
    uint8_t family;     /* of all addresses */
    bool repeated;      /* peers come again and again */
};

static struct store *open_file(const char *path)
{
    struct store_options options = {.path = path};
    struct recording recording = {
        .boot_id = "00000000-0000-0000-0000-000000000000",
        .boot_base_ms = CLOCK_FROM,
        .started_ms = CLOCK_FROM,
        .interval_ms = 10000,
        .detail = "on",
        .version = "bench",
    };
    struct store *store = NULL;
    struct err err = {0};

    if (store_open(&options, &store, &err) < 0 ||
        store_begin_recording(store, &recording, NULL, 0, &err) < 0)
        bench_die("%s", err.text);
    return store;
}

static void set_address(struct address *address, uint8_t family, uint64_t number)
{
    static const uint8_t ipv4[4] = {10}, ipv6[8] = {0x20, 0x01, 0x0d, 0xb8};

    if (family == AF_INET) {
        memcpy(address->bytes, ipv4, sizeof(ipv4));
        address->bytes[2] = (uint8_t)(number >> 8);
        address->bytes[3] = (uint8_t)number;
    } else {
        memcpy(address->bytes, ipv6, sizeof(ipv6));
        memcpy(address->bytes + 8, &number, sizeof(number));
    }
}

/* What a server of web pages sees: requests below a KiB, answers up to 64 KiB, round trips of 1 to 100
 * ms; one in 20 sends again. */
static struct life_facts make_facts(uint64_t *random)
{
    struct life_facts facts = {.known = true, .rtt_us = 1000};
    uint64_t answer = bench_random(random) % 4096 + 100;

    facts.sent_bytes = answer * (1 + bench_random(random) % 16);
    facts.received_bytes = 200 + bench_random(random) % 800;
    facts.segs_out = (uint32_t)(facts.sent_bytes / 1448) + 4;
    facts.segs_in = facts.segs_out / 2 + 4;
    facts.retrans = bench_random(random) % 20 ? 0 : 1 + (uint32_t)(bench_random(random) % 4);
    facts.rtt_us += (uint32_t)(bench_random(random) % 100000);
    return facts;
}

/* A short connection to port 443: some ms to some s, then a minute of TIME_WAIT. */
static void add_life(struct batch *batch, const struct kind *kind, uint64_t number, int64_t now_ms,
                     uint64_t *random)
{
    int64_t lived_ms = (int64_t)(bench_random(random) % 4000) + 5;
    uint8_t history[HISTORY_CHANGE_MAX + 1] = {STATE_ESTABLISHED};
    size_t n = 1 + history_put_number(history + 1, (uint64_t)lived_ms);
    struct life life = {
        .number = number,
        .cookie = number,
        .ended_ms = now_ms,
        .since_ms = now_ms - 60000 - lived_ms,
        .local_port = 443,
        .remote_port = (uint16_t)(32768 + bench_random(random) % 28000),
        .inode = (uint32_t)number,
        .uid = 33,
        .owner = 1 + (uint32_t)(number % OWNERS),
        .owner_source = number % 2 ? OWNER_BY_INODE : OWNER_BY_LISTENER,
        .service = {.port = 443, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
        .family = kind->family,
        .state = STATE_TIME_WAIT,
        .role_source = ROLE_BY_TCP_INFO,
        .closed_by = CLOSED_BY_LOCAL,
        .opened_known = true,
        .facts = make_facts(random),
        .history = history,
    };

    history[n++] = STATE_TIME_WAIT;
    life.history_bytes = (uint8_t)n;
    set_address(&life.local, kind->family, 1);
    set_address(&life.remote, kind->family,
                kind->repeated ? bench_random(random) % PEERS : bench_random(random));
    if (batch_add_life(batch, &batch->closed, &life) < 0)
        bench_die("out of memory");
}

static void add_owner(struct batch *batch, uint32_t number)
{
    struct owner owner = {.start_ms = number * 1000,
                          .pid = 1000 + number,
                          .uid = 33,
                          .comm = "nginx",
                          .exe = "/usr/sbin/nginx",
                          .unit = "nginx.service",
                          .container = "",
                          .cgroup = "/system.slice/nginx.service"};

    if (batch_add_owner(batch, number, &owner) < 0)
        bench_die("out of memory");
}

/* A second's worth: its connections end spread over it. */
static struct batch *make_batch(const struct kind *kind, uint64_t first, uint64_t *random)
{
    struct batch *batch = batch_new();
    struct netns_ref own = {.inode = 4026531840};
    int64_t start_ms = CLOCK_FROM + (int64_t)(first / BATCH + 1) * 1000;

    if (!batch || vec_push(&batch->netns, own) < 0)
        bench_die("out of memory");
    for (uint32_t i = 1; i <= OWNERS; i++)
        add_owner(batch, i);
    batch->has_snapshot = true;
    batch->snapshot.start_ms = start_ms;
    for (uint64_t i = 0; i < BATCH; i++)
        add_life(batch, kind, first + i, start_ms - 1000 + (int64_t)(i * 1000 / BATCH), random);
    batch_seal(batch);
    return batch;
}

static void tell(const char *what, const struct kind *kind, double value, const char *unit,
                 const char *budget)
{
    char name[100];

    snprintf(name, sizeof(name), "%s, %s", what, kind->name);
    bench_tell(name, value, unit, budget);
}

static void bench_kind(const struct kind *kind, uint64_t rows)
{
    char *path = bench_enter();
    struct store *store = open_file(path);
    uint64_t random = 42;
    double cpu = 0, wall = 0;
    struct err err = {0};

    for (uint64_t first = 1; first <= rows; first += BATCH) {
        struct batch *batch = make_batch(kind, first, &random);

        cpu -= bench_cpu_ms();
        wall -= bench_wall_ms();
        if (store_write(store, batch, &err) < 0)
            bench_die("%s", err.text);
        cpu += bench_cpu_ms();
        wall += bench_wall_ms();
        batch_free(batch);
    }
    store_close(store);
    tell("rows written in a second of CPU", kind, (double)rows / cpu * 1000, "rows", NULL);
    tell("rows written in a second that goes by", kind, (double)rows / wall * 1000, "rows", NULL);
    tell("a short connection in the file, all in", kind, (double)bench_size(path) / (double)rows,
         "bytes", kind->budget);
    bench_leave(path);
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = {
        {"repeated IPv4 peers", "60", AF_INET, true},
        {"all-new IPv6 peers", "90", AF_INET6, false},
    };
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        bench_kind(&kinds[i], rows);
    return EXIT_SUCCESS;
}
