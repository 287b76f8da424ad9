/* SPDX-License-Identifier: MIT */
/* Drives the real recorder with a made-up kernel and a made-up clock, and shows the tables that the
 * file gives back. Commands on standard input, a line each; tests/integration/kernel_model.py
 * writes them.
 *
 * - clock BOOT_NS REAL_NS: the clocks stand there from now on
 * - sample PROTO FAMILY LOCAL LPORT REMOTE RPORT STATE COOKIE INODE UID SCOPE TIMER EXPIRES RQ WQ
 * OPENER [CGROUP]: a socket in the next snapshot's dump; UID -1: the kernel tells none
 * - facts SENT RECEIVED SEGS RTT SENT_AGO RECEIVED_AGO: what the sample before carried, and ms since
 * - offload N: what holds the sample before, as tcp_info tells it: enum offload
 * - interval MS: the distance of snapshots in recorders started from now on; 10000 at first
 * - sampling MS: the pace of sampling in recorders started from now on; 0: never (at first)
 * - services N: how many are told apart in a namespace in recorders started from now on; 0: all (at first)
 * - process …: see processes.h; asked: prints how many owners were asked for so far
 * - events: destroy events are listened to from the next start on
 * - event DRAINS PROTO FAMILY LOCAL LPORT REMOTE RPORT COOKIE OPENER INFO FINACKED WIPED
 * UNCONNECTED SENT RECEIVED: a socket was freed now, which is read at that many drains (two for
 * each tick) from now
 * - lose: some events were lost; twdrop: the kernel dropped a TIME_WAIT; retain …: see retain.h
 * - deaf, hears: events can't be read from now on, or can again
 * - fail: the next snapshot's dump ends with an error after its samples
 * - counter, interface, route, unread …: see counted.h; read by recorders started from then on
 * - namespaces N: there are that many, the recorder's own and n1, n2 ...; into PLACE: samples,
 * events and failures that follow are of that one (0: the own)
 * - without PLACE STANDING: it is not recorded any more, for that reason; with PLACE: it is again; born
 * PLACE: another one has its place, as a container's that comes after it
 * - lacks|has tcp|udp: whether the kernel has the module to dump it
 * - tick: take a snapshot
 * - stop, crash: end the recorder with or without a closing note
 * - netns INODE, detail on|anonymous|off: for the recorders started from now on
 * - start BOOT_ID: start one; implied by the first tick
 * - tables PLACE: the same for the snapshots that are complete in one namespace, of that alone
 * - tables: prints each complete snapshot's table: "snapshot RECORD_MS", then rows */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/strutil.h"
#include "connhist/model/offload.h"
#include "connhist/record/recorder.h"
#include "connhist/report/sockets.h"
#include "connhist/store/db.h"
#include "retain.h"
#include "stage.h"

static int64_t stage_boottime_ns(void *ctx)
{
    return ((struct stage *)ctx)->boot_ns;
}

static int64_t stage_realtime_ns(void *ctx)
{
    return ((struct stage *)ctx)->real_ns;
}

static int stage_namespaces(void *ctx, const struct netns_ref **ret, size_t *ret_n, struct err *err)
{
    struct stage *stage = ctx;

    (void)err;
    *ret_n = stage_list(stage);
    *ret = stage->refs;
    return 0;
}

static int stage_dump(void *ctx, const struct netns_ref *netns, enum protocol protocol,
                      bool want_info, source_sample_fn fn, void *arg, struct err *err)
{
    struct stage *stage = ctx;
    uint32_t place = stage_place(stage, netns);

    if (protocol == PROTOCOL_TCP ? stage->lacks_tcp : stage->lacks_udp)
        return err_set(err, -ENOENT, "the kernel lacks it");
    for (size_t i = 0; i < stage->samples.n; i++) {
        struct sample sample = stage->samples.items[i].sample;
        int r;

        if (sample.protocol != protocol || stage->samples.items[i].place != place)
            continue;
        sample.sampled_ns = stage->boot_ns;
        sample.opener = OPENER_UNKNOWN;
        sample.facts.known &= want_info;
        sample.offload = want_info ? sample.offload : OFFLOAD_UNKNOWN;
        r = fn(arg, &sample);
        if (r < 0)
            return r;
    }
    return stage->places[place].fail ? err_set(err, -EIO, "the dump was made to fail") : 0;
}

static int stage_ask_info(void *ctx, const struct netns_ref *netns, struct sample *samples,
                          size_t n, struct err *err)
{
    struct stage *stage = ctx;

    (void)netns;
    (void)err;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < stage->samples.n; j++)
            if (stage->samples.items[j].sample.cookie == samples[i].cookie) {
                samples[i].opener = stage->samples.items[j].sample.opener;
                samples[i].offload = stage->samples.items[j].sample.offload;
            }
    return 0;
}

static int stage_enter(void *ctx, const struct netns_ref *netns, struct err *err)
{
    struct stage *stage = ctx;

    (void)err;
    stage->entered = stage_place(stage, netns);
    return 0;
}

static void stage_counters(void *ctx, unsigned what, struct counted_tables *ret)
{
    struct stage *stage = ctx;

    made_tables_read(&stage->places[stage->entered].tables, what, ret);
}

static int stage_leave(void *ctx, struct netns_facts *ret, struct err *err)
{
    (void)err;
    *ret = (struct netns_facts){
        .fin_timeout_ms = 60000,
        .time_wait_dropped = ((struct stage *)ctx)->time_wait_dropped,
        .ephemeral = {.low = 32768, .high = 60999},
        .known = true,
    };
    return 0;
}

static enum netns_standing stage_absence(void *ctx, const struct netns_ref *netns)
{
    const struct stage *stage = ctx;

    for (uint32_t i = 0; i < stage->n_places; i++) {
        struct netns_ref ref = stage_ref(stage, i);

        if (ref.inode == netns->inode && ref.cookie == netns->cookie)
            return (enum netns_standing)stage->places[i].standing;
    }
    return NETNS_GONE;
}

static int stage_watch(void *ctx, bool *ret_gone)
{
    (void)ctx;
    *ret_gone = false;
    return -1;
}

static void stage_state(void *ctx, struct source_state *ret)
{
    (void)ctx;
    *ret = (struct source_state){.n_netns = 1, .event_buffer = 1 << 20};
}

static int stage_events_fd(void *ctx)
{
    return ((struct stage *)ctx)->has_events ? 0 : -1;
}

static size_t stage_event_buffer(void *ctx, size_t *ret_others)
{
    (void)ctx;
    *ret_others = 0;
    return 1 << 20;
}

static int stage_drain(void *ctx, source_closing_fn fn, void *arg, size_t max,
                       struct source_drained *ret, struct err *err)
{
    struct stage *stage = ctx;
    size_t kept = 0;

    (void)max;
    if (stage->deaf)
        return err_set(err, -EIO, "the stage is deaf");
    for (size_t i = 0; i < stage->events.n; i++) {
        struct made_event *event = &stage->events.items[i];

        if (event->drains-- > 0)
            stage->events.items[kept++] = *event;
        else if (stage->places[event->place].standing == NETNS_RECORDED)
            fn(arg, stage->places[event->place].id, &event->closing);
    }
    stage->events.n = kept;
    *ret = (struct source_drained){.lost = stage->lose_events};
    stage->lose_events = false;
    return 0;
}

static void stage_owners(void *ctx, struct owner_want *wants, size_t n, bool recheck)
{
    (void)recheck;
    processes_look(&((struct stage *)ctx)->processes, wants, n);
}

static int stage_check_owner(void *ctx, const struct owner *owner)
{
    return processes_check(&((struct stage *)ctx)->processes, owner);
}

static void stage_free(void *ctx)
{
    (void)ctx;
}

#define STAGE_OPS                                                                               \
    .namespaces = stage_namespaces, .dump = stage_dump, .ask_info = stage_ask_info,             \
    .enter = stage_enter, .leave = stage_leave, .absence = stage_absence, .watch = stage_watch, \
    .state = stage_state, .events_fd = stage_events_fd, .event_buffer = stage_event_buffer,     \
    .drain = stage_drain, .owners = stage_owners, .check_owner = stage_check_owner,             \
    .free = stage_free

static const struct source_ops stage_ops = {STAGE_OPS};
static const struct source_ops counted_ops = {STAGE_OPS, .counters = stage_counters};

static void show_notice(void *arg, int level, const char *text)
{
    (void)arg;
    fprintf(stderr, "notice %d %s\n", level, text);
}

static enum ledger_detail detail_of(const char *text)
{
    if (strcmp(text, "anonymous") == 0)
        return LEDGER_DETAIL_ANONYMOUS;
    return strcmp(text, "off") == 0 ? LEDGER_DETAIL_OFF : LEDGER_DETAIL_ON;
}

static void start(struct stage *stage)
{
    struct recorder_options options = {
        .store = {.path = stage->path},
        .ledger = {.detail = detail_of(stage->detail),
                   .anonymous_ipv4_bits = 24,
                   .anonymous_ipv6_bits = 48,
                   .max_client_services = 64,
                   .max_services = stage->max_services,
                   .max_syn_recv = stage->max_syn_recv},
        .detail = stage->detail,
        .retention = stage->retention,
        .interval_ms = stage->interval_ms,
        .sampling_ms = stage->sampling_ms,
        .queue_bytes = 1 << 24,
        .version = "replay",
        .boot_id = stage->boot_id,
        .clock = {stage_boottime_ns, stage_realtime_ns, stage},
        .notice = show_notice,
    };
    struct source source = {.ops = &stage_ops, .ctx = stage};
    struct err err = {0};

    for (uint32_t i = 0; i < stage->n_places; i++)
        if (stage->places[i].tables.any)
            source.ops = &counted_ops;
    if (recorder_new(&options, &source, &stage->recorder, &err) < 0)
        stage_die("start", err.text);
}

static void tick(struct stage *stage)
{
    struct err err = {0};

    if (!stage->recorder)
        start(stage);
    if (recorder_tick(stage->recorder, &err) < 0)
        stage_die("tick", err.text);
    vec_clear(&stage->samples);
    stage->processes.late = false;
    for (uint32_t i = 0; i < stage->n_places; i++)
        stage->places[i].fail = stage->places[i].is_new = false;
}

static void stop(struct stage *stage, bool clean)
{
    struct err err = {0};

    if (clean && stage->recorder && recorder_stop(stage->recorder, 0, &err) < 0)
        stage_die("stop", err.text);
    recorder_free(stage->recorder);
    stage->recorder = NULL;
}

static int show_row(void *arg, const struct socket_row *row)
{
    char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX];

    (void)arg;
    printf("%s %d %s %u %s %u %s %" PRId64 " %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
           " %u %s %s %s %u\n",
           protocol_name(row->protocol), row->family == AF_INET ? 4 : 6,
           address_format(row->family, &row->local, local), row->local_port,
           address_format(row->family, &row->remote, remote), row->remote_port,
           state_name(row->state), row->uid, row->scope_ifindex, row->state_since_ms,
           row->recv_queue, row->send_queue, row->first_seen_ms, row->owner ? row->owner->pid : 0,
           owner_source_name(row->owner_source, row->state),
           row->owner && *row->owner->comm ? row->owner->comm : "-",
           row->owner && *row->owner->unit ? row->owner->unit : "-", row->offload);
    return 0;
}

struct times {
    VEC_FIELDS(int64_t);
};

/* The snapshots of the file that are complete, at least in the namespaces asked for. */
static void read_times(struct db *db, const struct filter *filter, struct times *ret)
{
    static const char sql[] =
        "SELECT start_ms FROM snapshots AS s WHERE status = 0 OR (?1 IS NOT NULL AND EXISTS "
        "(SELECT 1 FROM incomplete AS i WHERE i.start_ms = s.start_ms) AND NOT EXISTS "
        "(SELECT 1 FROM incomplete AS i JOIN netns AS n ON n.id = i.netns "
        "WHERE i.start_ms = s.start_ms AND n.name = iif(?1 = 'own', '', ?1))) ORDER BY start_ms";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct err err = {0};

    if (db_prepare(db, sql, &stmt, &err) < 0)
        stage_die("tables", err.text);
    if (filter->netns)
        stmt_bind_text(stmt, 1, filter->netns);
    while (stmt_step(stmt, &err) > 0)
        if (vec_push(ret, stmt_i64(stmt, 0)) < 0)
            stage_die("tables", "out of memory");
}

/* netns: as in a filter. */
static void tables(struct stage *stage, const char *netns)
{
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    struct walltime no_epochs = {0}; /* so that what is shown is the record's time */
    struct filter all = {.netns = netns};
    struct times times = {0};
    struct err err = {0};

    if (db_open(stage->path, &db, &err) < 0)
        stage_die("tables", err.text);
    read_times(db, &all, &times);
    for (size_t i = 0; i < times.n; i++) {
        struct snapshot_choice choice = {.found = true, .record_ms = times.items[i]};

        printf("snapshot %" PRId64 "\n", choice.record_ms);
        if (db_begin(db, &err) < 0 ||
            sockets_at(db, &no_epochs, &choice, &all, show_row, NULL, &err) < 0)
            stage_die("tables", err.text);
    }
    printf("end\n");
    fflush(stdout);
    vec_finish(&times);
}

static void obey(struct stage *stage, const char *line)
{
    char name[16];
    unsigned place;

    if (strncmp(line, "sample ", 7) == 0) {
        stage_read_sample(stage, line);
    } else if (processes_obey(&stage->processes, line) || stage_obey_places(stage, line) ||
               stage_obey_info(stage, line) ||
               retain_obey(&stage->retention, stage->recorder, line)) {
        return;
    } else if (strcmp(line, "asked\n") == 0) {
        printf("asked %" PRIu64 "\n", stage->processes.asked);
    } else if (strncmp(line, "event ", 6) == 0) {
        stage_read_event(stage, line);
    } else if (sscanf(line, "services %" SCNu32, &stage->max_services) == 1) {
        return;
    } else if (sscanf(line, "interval %" SCNd64, &stage->interval_ms) == 1) {
        return;
    } else if (sscanf(line, "sampling %" SCNd64, &stage->sampling_ms) == 1) {
        return;
    } else if (strcmp(line, "events\n") == 0) {
        stage->has_events = true;
    } else if (strcmp(line, "lose\n") == 0) {
        stage->lose_events = true;
    } else if (strcmp(line, "deaf\n") == 0 || strcmp(line, "hears\n") == 0) {
        stage->deaf = *line == 'd';
    } else if (strcmp(line, "twdrop\n") == 0) {
        stage->time_wait_dropped++;
    } else if (sscanf(line, "clock %" SCNd64 " %" SCNd64, &stage->boot_ns, &stage->real_ns) == 2) {
        return;
    } else if (strcmp(line, "tick\n") == 0) {
        tick(stage);
    } else if (sscanf(line, "netns %" SCNu64, &stage->netns_inode) == 1) {
        return;
    } else if (strcmp(line, "lacks tcp\n") == 0 || strcmp(line, "has tcp\n") == 0) {
        stage->lacks_tcp = *line == 'l';
    } else if (strcmp(line, "lacks udp\n") == 0 || strcmp(line, "has udp\n") == 0) {
        stage->lacks_udp = *line == 'l';
    } else if (strcmp(line, "detail on\n") == 0) {
        stage->detail = "on";
    } else if (strcmp(line, "detail off\n") == 0) {
        stage->detail = "off";
    } else if (strcmp(line, "detail anonymous\n") == 0) {
        stage->detail = "anonymous";
    } else if (strcmp(line, "stop\n") == 0) {
        stop(stage, true);
    } else if (strcmp(line, "crash\n") == 0) {
        stop(stage, false);
    } else if (sscanf(line, "start %39s", stage->boot_id) == 1) {
        start(stage);
    } else if (strcmp(line, "tables\n") == 0) {
        tables(stage, NULL);
    } else if (strcmp(line, "tables 0\n") == 0) {
        tables(stage, "own");
    } else if (sscanf(line, "tables %u", &place) == 1) {
        snprintf(name, sizeof(name), "n%u", place);
        tables(stage, name);
    } else {
        stage_die("unknown command", line);
    }
}

int main(int argc, char **argv)
{
    struct stage stage = {
        .boot_id = "boot-1", .interval_ms = 10000, .netns_inode = 4026531840, .n_places = 1};
    char line[32768];
    uint64_t bound = 0;

    if (argc != 4 || parse_u64(argv[3], 0, UINT32_MAX, &bound) < 0)
        stage_die("usage", "replay FILE on|anonymous|off MAX_SYN_RECV");
    stage.path = argv[1];
    stage.detail = argv[2];
    stage.max_syn_recv = (uint32_t)bound;
    while (fgets(line, sizeof(line), stdin))
        obey(&stage, line);
    stop(&stage, true);
    for (uint32_t i = 0; i < STAGE_NETNS_MAX; i++)
        made_tables_finish(&stage.places[i].tables);
    vec_finish(&stage.samples);
    vec_finish(&stage.events);
    processes_finish(&stage.processes);
    return 0;
}
