/* SPDX-License-Identifier: MIT */
/* Drives the real recorder with a made-up kernel and a made-up clock, and shows the tables that the
 * file gives back. Commands on standard input, a line each; tests/integration/kernel_model.py
 * writes them.
 *
 * - clock BOOT_NS REAL_NS: the clocks stand there from now on
 * - sample PROTO FAMILY LOCAL LPORT REMOTE RPORT STATE COOKIE INODE UID SCOPE TIMER EXPIRES RQ WQ
 * OPENER [CGROUP]: a socket in the next snapshot's dump; UID -1: the kernel tells none
 * - facts SENT RECEIVED SEGS RTT SENT_AGO RECEIVED_AGO: what the sample before carried, and ms since
 * - sampling MS: the pace of sampling in recorders started from now on; 0: never (at first)
 * - process …: see processes.h; asked: prints how many owners were asked for so far
 * - events: destroy events are listened to from the next start on
 * - event DRAINS PROTO FAMILY LOCAL LPORT REMOTE RPORT COOKIE OPENER INFO FINACKED WIPED
 * UNCONNECTED SENT RECEIVED: a socket was freed now, which is read at that many drains (two for
 * each tick) from now
 * - lose: some events were lost; twdrop: the kernel dropped a TIME_WAIT; retain …: see retain.h
 * - deaf, hears: events can't be read from now on, or can again
 * - fail: the next snapshot's dump ends with an error after its samples
 * - lacks|has tcp|udp: whether the kernel has the module to dump it
 * - tick: take a snapshot
 * - stop, crash: end the recorder with or without a closing note
 * - netns INODE, detail on|anonymous|off: for the recorders started from now on
 * - start BOOT_ID: start one; implied by the first tick
 * - tables: prints each complete snapshot's table: "snapshot RECORD_MS", then rows */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/strutil.h"
#include "connhist/record/recorder.h"
#include "connhist/report/sockets.h"
#include "connhist/store/db.h"
#include "processes.h"
#include "retain.h"

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
    struct store_retention retention;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", what, why);
    exit(1);
}

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
    stage->own = (struct netns_ref){.inode = stage->netns_inode};
    *ret = &stage->own;
    *ret_n = 1;
    return 0;
}

static int stage_dump(void *ctx, const struct netns_ref *netns, enum protocol protocol,
                      bool want_info, source_sample_fn fn, void *arg, struct err *err)
{
    struct stage *stage = ctx;

    (void)netns;
    if (protocol == PROTOCOL_TCP ? stage->lacks_tcp : stage->lacks_udp)
        return err_set(err, -ENOENT, "the kernel lacks it");
    for (size_t i = 0; i < stage->samples.n; i++) {
        struct sample sample = stage->samples.items[i];
        int r;

        if (sample.protocol != protocol)
            continue;
        sample.sampled_ns = stage->boot_ns;
        sample.opener = OPENER_UNKNOWN;
        sample.facts.known &= want_info;
        r = fn(arg, &sample);
        if (r < 0)
            return r;
    }
    return stage->fail ? err_set(err, -EIO, "the dump was made to fail") : 0;
}

static int stage_ask_info(void *ctx, const struct netns_ref *netns, struct sample *samples,
                          size_t n, struct err *err)
{
    struct stage *stage = ctx;

    (void)netns;
    (void)err;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < stage->samples.n; j++)
            if (stage->samples.items[j].cookie == samples[i].cookie)
                samples[i].opener = stage->samples.items[j].opener;
    return 0;
}

static int stage_enter(void *ctx, const struct netns_ref *netns, struct err *err)
{
    (void)ctx;
    (void)netns;
    (void)err;
    return 0;
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

static size_t stage_event_buffer(void *ctx)
{
    (void)ctx;
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
        else
            fn(arg, 0, &event->closing);
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

static const struct source_ops stage_ops = {
    .namespaces = stage_namespaces,
    .dump = stage_dump,
    .ask_info = stage_ask_info,
    .enter = stage_enter,
    .leave = stage_leave,
    .watch = stage_watch,
    .state = stage_state,
    .events_fd = stage_events_fd,
    .event_buffer = stage_event_buffer,
    .drain = stage_drain,
    .owners = stage_owners,
    .check_owner = stage_check_owner,
    .free = stage_free,
};

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

    if (recorder_new(&options, &source, &stage->recorder, &err) < 0)
        die("start", err.text);
}

static void tick(struct stage *stage)
{
    struct err err = {0};

    if (!stage->recorder)
        start(stage);
    if (recorder_tick(stage->recorder, &err) < 0)
        die("tick", err.text);
    vec_clear(&stage->samples);
    stage->fail = stage->processes.late = false;
}

static void stop(struct stage *stage, bool clean)
{
    struct err err = {0};

    if (clean && stage->recorder && recorder_stop(stage->recorder, 0, &err) < 0)
        die("stop", err.text);
    recorder_free(stage->recorder);
    stage->recorder = NULL;
}

static void read_sample(struct stage *stage, const char *line)
{
    char protocol[8], local[64], remote[64], state[16];
    struct sample s = {0};
    enum sock_state number;
    int family, opener;
    int64_t uid;

    if (sscanf(line,
               "sample %7s %d %63s %" SCNu16 " %63s %" SCNu16 " %15s %" SCNu64 " %" SCNu32
               " %" SCNd64 " %" SCNu32 " %" SCNu8 " %" SCNu32 " %" SCNu32 " %" SCNu32
               " %d %" SCNu64,
               protocol, &family, local, &s.local_port, remote, &s.remote_port, state, &s.cookie,
               &s.inode, &uid, &s.scope_ifindex, &s.timer, &s.expires_ms, &s.recv_queue,
               &s.send_queue, &opener, &s.cgroup) < 16)
        die("sample", line);
    if (state_parse(state, &number) < 0 || address_parse(local, &s.family, &s.local) < 0 ||
        address_parse(remote, &s.family, &s.remote) < 0)
        die("sample", line);
    s.family = family == 4 ? AF_INET : AF_INET6;
    s.protocol = strcmp(protocol, "tcp") == 0 ? PROTOCOL_TCP : PROTOCOL_UDP;
    s.state = (uint8_t)number;
    s.opener = (uint8_t)opener;
    s.has_uid = uid >= 0;
    s.uid = uid >= 0 ? (uint32_t)uid : 0;
    if (vec_push(&stage->samples, s) < 0)
        die("sample", "out of memory");
}

static void read_facts(struct stage *stage, const char *line)
{
    struct sample *s = stage->samples.n ? &stage->samples.items[stage->samples.n - 1] : NULL;

    if (!s ||
        sscanf(line, "facts %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32,
               &s->facts.sent_bytes, &s->facts.received_bytes, &s->facts.segs_out, &s->facts.rtt_us,
               &s->sent_ago_ms, &s->received_ago_ms) != 6)
        die("facts", line);
    s->facts.segs_in = s->facts.segs_out;
    s->facts.known = true;
}

static void read_event(struct stage *stage, const char *line)
{
    char protocol[8], local[64], remote[64];
    struct made_event event = {0};
    struct closing *c = &event.closing;
    int family, opener, has_info, fin_acked, wiped, unconnected;

    if (sscanf(line,
               "event %d %7s %d %63s %" SCNu16 " %63s %" SCNu16 " %" SCNu64
               " %d %d %d %d %d %" SCNu64 " %" SCNu64,
               &event.drains, protocol, &family, local, &c->local_port, remote, &c->remote_port,
               &c->cookie, &opener, &has_info, &fin_acked, &wiped, &unconnected, &c->bytes_sent,
               &c->bytes_received) != 15)
        die("event", line);
    if (address_parse(local, &c->family, &c->local) < 0 ||
        address_parse(remote, &c->family, &c->remote) < 0)
        die("event", line);
    c->family = family == 4 ? AF_INET : AF_INET6;
    c->protocol = strcmp(protocol, "tcp") == 0 ? PROTOCOL_TCP : PROTOCOL_UDP;
    c->opener = (uint8_t)opener;
    c->has_info = has_info;
    c->fin_acked = fin_acked;
    c->established = has_info || fin_acked;
    c->wiped = wiped;
    c->unconnected = unconnected;
    c->received_ns = stage->boot_ns;
    if (vec_push(&stage->events, event) < 0)
        die("event", "out of memory");
}

static int show_row(void *arg, const struct socket_row *row)
{
    char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX];

    (void)arg;
    printf("%s %d %s %u %s %u %s %" PRId64 " %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
           " %u %s %s %s\n",
           protocol_name(row->protocol), row->family == AF_INET ? 4 : 6,
           address_format(row->family, &row->local, local), row->local_port,
           address_format(row->family, &row->remote, remote), row->remote_port,
           state_name(row->state), row->uid, row->scope_ifindex, row->state_since_ms,
           row->recv_queue, row->send_queue, row->first_seen_ms, row->owner ? row->owner->pid : 0,
           owner_source_name(row->owner_source, row->state),
           row->owner && *row->owner->comm ? row->owner->comm : "-",
           row->owner && *row->owner->unit ? row->owner->unit : "-");
    return 0;
}

struct times {
    VEC_FIELDS(int64_t);
};

/* The complete snapshots of the file. */
static void read_times(struct db *db, struct times *ret)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct err err = {0};

    if (db_prepare(db, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms", &stmt,
                   &err) < 0)
        die("tables", err.text);
    while (stmt_step(stmt, &err) > 0)
        if (vec_push(ret, stmt_i64(stmt, 0)) < 0)
            die("tables", "out of memory");
}

static void tables(struct stage *stage)
{
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    struct walltime no_epochs = {0}; /* so that what is shown is the record's time */
    struct filter all = {0};
    struct times times = {0};
    struct err err = {0};

    if (db_open(stage->path, &db, &err) < 0)
        die("tables", err.text);
    read_times(db, &times);
    for (size_t i = 0; i < times.n; i++) {
        struct snapshot_choice choice = {.found = true, .record_ms = times.items[i]};

        printf("snapshot %" PRId64 "\n", choice.record_ms);
        if (db_begin(db, &err) < 0 ||
            sockets_at(db, &no_epochs, &choice, &all, show_row, NULL, &err) < 0)
            die("tables", err.text);
    }
    printf("end\n");
    fflush(stdout);
    vec_finish(&times);
}

static void obey(struct stage *stage, const char *line)
{
    if (strncmp(line, "sample ", 7) == 0) {
        read_sample(stage, line);
    } else if (processes_obey(&stage->processes, line) ||
               retain_obey(&stage->retention, stage->recorder, line)) {
        return;
    } else if (strcmp(line, "asked\n") == 0) {
        printf("asked %" PRIu64 "\n", stage->processes.asked);
    } else if (strncmp(line, "event ", 6) == 0) {
        read_event(stage, line);
    } else if (strncmp(line, "facts ", 6) == 0) {
        read_facts(stage, line);
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
    } else if (strcmp(line, "fail\n") == 0) {
        stage->fail = true;
    } else if (strcmp(line, "stop\n") == 0) {
        stop(stage, true);
    } else if (strcmp(line, "crash\n") == 0) {
        stop(stage, false);
    } else if (sscanf(line, "start %39s", stage->boot_id) == 1) {
        start(stage);
    } else if (strcmp(line, "tables\n") == 0) {
        tables(stage);
    } else {
        die("unknown command", line);
    }
}

int main(int argc, char **argv)
{
    struct stage stage = {.boot_id = "boot-1", .interval_ms = 10000, .netns_inode = 4026531840};
    char line[32768];
    uint64_t bound = 0;

    if (argc != 4 || parse_u64(argv[3], 0, UINT32_MAX, &bound) < 0)
        die("usage", "replay FILE on|anonymous|off MAX_SYN_RECV");
    stage.path = argv[1];
    stage.detail = argv[2];
    stage.max_syn_recv = (uint32_t)bound;
    while (fgets(line, sizeof(line), stdin))
        obey(&stage, line);
    stop(&stage, true);
    vec_finish(&stage.samples);
    vec_finish(&stage.events);
    processes_finish(&stage.processes);
    return 0;
}
