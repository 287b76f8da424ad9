/* SPDX-License-Identifier: MIT */
#include "incidents.h"

#include <errno.h>
#include <time.h>

#include "bench.h"
#include "world.h"

#define MINUTE_MS INT64_C(60000)

#define SCANNER      66 /* 198.51.100.66 */
#define HURRIED      20 /* 198.51.100.20 */
#define SCAN_TRIES   2000
#define LEAKED       400
#define BACKLOG_FULL 511

/* Each on a day of its own, where there are at least INCIDENTS_DAYS. */
static const struct plan {
    const char *name, *text;
    double share;        /* of all days that are over */
    int64_t of_day_ms;   /* when on its day */
    int64_t duration_ms; /* 0: a tenth of all, one to six days */
} plans[INCIDENT_COUNT] = {
    [INCIDENT_DEPLOY] = {"deploy", "port 443 goes over from nginx to haproxy", 0.10, 10 * HOUR_MS,
                         5000},
    [INCIDENT_SCAN] = {"scan",
                       "198.51.100.66 knocks at every open port and leaves half-open connections",
                       0.24, 3 * HOUR_MS + 12 * MINUTE_MS, 10 * MINUTE_MS},
    [INCIDENT_PILE_UP] = {"pile-up",
                          "198.51.100.20 asks port 443 without keep-alive: TIME_WAIT piles up, "
                          "the accept queue overflows",
                          0.37, 14 * HOUR_MS, 45 * MINUTE_MS},
    [INCIDENT_LEAK] = {"leak",
                       "shop-api leaves connections to 8080 in CLOSE_WAIT until it is restarted",
                       0.50, 9 * HOUR_MS, 0},
    [INCIDENT_REBOOT] = {"reboot", "the host starts anew", 0.68, 4 * HOUR_MS + 30 * MINUTE_MS,
                         3 * MINUTE_MS},
    [INCIDENT_GAP] = {"gap", "the recorder is stopped, the host goes on", 0.78, 22 * HOUR_MS,
                      6 * HOUR_MS},
    [INCIDENT_LOST] = {"lost", "events of closed sockets are lost", 0.90,
                       16 * HOUR_MS + 20 * MINUTE_MS, 2 * MINUTE_MS},
};

void incidents_plan(int64_t begin_ms, uint32_t days, struct incident ret[INCIDENT_COUNT])
{
    int64_t leak_days = days / 10 < 1 ? 1 : days / 10 > 6 ? 6 : days / 10;

    for (int i = 0; i < INCIDENT_COUNT; i++) {
        int64_t day = (int64_t)(plans[i].share * days), long_ms = leak_days * DAY_MS;

        ret[i] = (struct incident){.name = plans[i].name, .text = plans[i].text};
        if (days < INCIDENTS_DAYS)
            continue;
        ret[i].from_ms = begin_ms + day * DAY_MS + plans[i].of_day_ms;
        ret[i].until_ms = ret[i].from_ms + (plans[i].duration_ms ? plans[i].duration_ms : long_ms);
    }
}

static void print_time(int64_t at_ms, FILE *out)
{
    char text[32];
    time_t s = at_ms / 1000;
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    fprintf(out, "%s  ", text);
}

void incidents_print(const struct incident incidents[INCIDENT_COUNT], FILE *out)
{
    for (int i = 0; i < INCIDENT_COUNT; i++) {
        fprintf(out, "  %-8s ", incidents[i].name);
        print_time(incidents[i].from_ms, out);
        print_time(incidents[i].until_ms, out);
        fprintf(out, "%s\n", incidents[i].text);
    }
}

static bool is_in(const struct incident *incident, int64_t at_ms)
{
    return at_ms >= incident->from_ms && at_ms < incident->until_ms;
}

bool incidents_down(const struct world *world, int64_t at_ms)
{
    return is_in(&world->incidents[INCIDENT_REBOOT], at_ms) ||
           is_in(&world->incidents[INCIDENT_GAP], at_ms);
}

const struct incident *incidents_outage(const struct world *world, int64_t from_ms,
                                        int64_t until_ms)
{
    static const enum incident_id outages[] = {INCIDENT_REBOOT, INCIDENT_GAP};

    for (size_t i = 0; i < sizeof(outages) / sizeof(outages[0]); i++) {
        const struct incident *incident = &world->incidents[outages[i]];

        if (incident->from_ms > from_ms && incident->from_ms <= until_ms)
            return incident;
    }
    return NULL;
}

/* How many of `all`, spread evenly over it, fell into the time since the snapshot before. */
static uint64_t share_of(const struct world *world, const struct incident *incident, uint64_t all)
{
    int64_t from_ms = world->before_ms - incident->from_ms;
    int64_t until_ms = world->now_ms - incident->from_ms;
    int64_t all_ms = incident->until_ms - incident->from_ms;

    from_ms = from_ms < 0 ? 0 : from_ms > all_ms ? all_ms : from_ms;
    until_ms = until_ms < 0 ? 0 : until_ms > all_ms ? all_ms : until_ms;
    if (all_ms == 0)
        return 0;
    return all * (uint64_t)until_ms / (uint64_t)all_ms - all * (uint64_t)from_ms / (uint64_t)all_ms;
}

static bool happens(const struct world *world, int64_t at_ms)
{
    return at_ms > world->before_ms && at_ms <= world->now_ms;
}

/* An instant of the incident since the snapshot before. */
static int64_t draw_time(struct world *world, const struct incident *incident)
{
    int64_t from_ms = incident->from_ms > world->before_ms ? incident->from_ms : world->before_ms;
    int64_t until_ms = incident->until_ms < world->now_ms ? incident->until_ms : world->now_ms;

    return from_ms + 1 + (int64_t)(server_draw(&world->random) * (double)(until_ms - from_ms));
}

/* It never finishes a handshake. Knocking at closed ports leaves no socket. */
static void scan(struct world *world)
{
    static const uint8_t doors[] = {TRAFFIC_HTTPS, TRAFFIC_HTTP, TRAFFIC_DATABASE, TRAFFIC_SSH};
    const struct incident *incident = &world->incidents[INCIDENT_SCAN];

    for (uint64_t n = share_of(world, incident, SCAN_TRIES); n > 0; n--)
        world_arrive(world, &(struct arrival){
                                .at_ms = draw_time(world, incident),
                                .lasts_ms = 63000, /* five answers, and patience with the last */
                                .traffic = doors[n % sizeof(doors)],
                                .state = STATE_SYN_RECV,
                                .peer = SCANNER,
                            });
}

static void pile_up(struct world *world)
{
    const struct incident *incident = &world->incidents[INCIDENT_PILE_UP];
    uint64_t all = world->options.connections / 100;
    uint64_t n;

    all = all < 9000 ? 9000 : all > 200000 ? 200000 : all;
    n = share_of(world, incident, all);
    world->counters[COUNTER_OVERFLOWS] += (int64_t)n / 3;
    world->counters[COUNTER_DROPS] += (int64_t)n / 3;
    world_queue(world, TRAFFIC_HTTPS, n > 0 ? BACKLOG_FULL - (uint32_t)n % 100 : 0);
    for (; n > 0; n--)
        world_arrive(world, &(struct arrival){
                                .at_ms = draw_time(world, incident),
                                .lasts_ms = (int64_t)server_draw_around(&world->random, 90, 0.4),
                                .traffic = TRAFFIC_HTTPS,
                                .state = STATE_ESTABLISHED,
                                .closed_by = CLOSED_BY_LOCAL,
                                .peer = HURRIED,
                            });
}

static void leak(struct world *world)
{
    const struct incident *incident = &world->incidents[INCIDENT_LEAK];

    if (happens(world, incident->until_ms)) {
        world_restart(world, PROGRAM_SHOP, incident->until_ms);
        return;
    }
    for (uint64_t n = share_of(world, incident, LEAKED); n > 0; n--)
        world_arrive(world, &(struct arrival){
                                .at_ms = draw_time(world, incident),
                                .lasts_ms = world->options.interval_ms + 5000,
                                .traffic = TRAFFIC_BACKEND,
                                .state = STATE_ESTABLISHED,
                                .closed_by = CLOSED_BY_REMOTE,
                                .leaks = true,
                            });
}

void incidents_act(struct world *world)
{
    const struct incident *deploy = &world->incidents[INCIDENT_DEPLOY];
    const struct incident *lost = &world->incidents[INCIDENT_LOST];

    if (deploy->from_ms == 0)
        return;
    if (happens(world, deploy->from_ms))
        world_hand_over(world, TRAFFIC_HTTPS, PROGRAM_HAPROXY, deploy->from_ms);
    if (share_of(world, lost, 1000) > 0) {
        struct loss loss = {.from_ms = world->before_ms,
                            .until_ms = world->now_ms,
                            .kind = LOSS_EVENTS,
                            .text = "the kernel's buffer was full"};

        world->deaf = true;
        if (vec_push(&world->batch->losses, loss) < 0)
            bench_die("out of memory");
    }
    scan(world);
    pile_up(world);
    leak(world);
}
