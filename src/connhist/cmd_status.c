/* SPDX-License-Identifier: MIT */
/* connhist status: the recorder's health, cost and coverage. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/clock.h"
#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/model/service.h"
#include "connhist/render/text.h"
#include "connhist/report/status.h"

#include "budget_words.h"
#include "command.h"
#include "complain.h"
#include "context.h"
#include "coverage_words.h"

#define GAPS_TOLD   5
#define LABEL_WIDTH 14

/* A smaller receive buffer can't hold the events of a burst. */
#define BUFFER_ENOUGH (1 << 20)

/* "label:        words", the words made safe for a terminal. */
__attribute__((format(printf, 2, 3))) static void line(const char *label, const char *format, ...)
{
    char words[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    printf("%s%s%*s", label, *label ? ":" : " ", LABEL_WIDTH - (int)strlen(label), "");
    text_for_terminal(stdout, words);
    putchar('\n');
}

/* "2026-11-22 03:14:05 (3m20s ago)". */
static const char *ago(const struct context *ctx, int64_t ms, char *buf, size_t size)
{
    char at[TIME_TEXT_MAX], age[TIME_TEXT_MAX];

    time_format(ms, ctx->utc, false, at);
    if (ms <= ctx->now_ms)
        snprintf(buf, size, "%s (%s ago)", at, duration_format(ctx->now_ms - ms, age));
    else
        snprintf(buf, size, "%s (%s ahead of the clock)", at,
                 duration_format(ms - ctx->now_ms, age));
    return buf;
}

static void recorder_words(const struct context *ctx, const struct status *status)
{
    char when[2 * TIME_TEXT_MAX];

    if (status->started_ms == TIME_UNKNOWN) {
        line("recorder", "never ran on this file");
        return;
    }
    if (status->recorder_pid > 0)
        line("recorder", "running, pid %d, since %s", status->recorder_pid,
             ago(ctx, status->started_ms, when, sizeof(when)));
    else if (status->recorder_pid < 0)
        line("recorder", "whether it runs can't be told (%s)", errno_words(status->recorder_pid));
    else if (status->ended_ms != TIME_UNKNOWN)
        line("recorder", "not running, ended %s", ago(ctx, status->ended_ms, when, sizeof(when)));
    else
        line("recorder", "NOT RUNNING, died without a closing note; it was started %s",
             ago(ctx, status->started_ms, when, sizeof(when)));
}

/* Whether a running recorder has taken no snapshot for longer than a tick that was missed explains.
 */
static bool is_late(const struct context *ctx, const struct status *status)
{
    return status->recorder_pid > 0 &&
           ctx->now_ms - status->last_snapshot_ms > 3 * status->interval_ms + MS_PER_SEC;
}

static void recording_words(const struct context *ctx, const struct status *status)
{
    char interval[TIME_TEXT_MAX], when[2 * TIME_TEXT_MAX];

    if (status->started_ms == TIME_UNKNOWN)
        return;
    duration_format(status->interval_ms, interval);
    line("interval", "%s, detail %s, connhistd %s, run number %lld", interval, status->detail,
         status->version, (long long)status->recordings);
    if (status->last_snapshot_ms == TIME_UNKNOWN) {
        line("snapshots", "none yet");
        return;
    }
    line("record begins", "%s", ago(ctx, status->begin_ms, when, sizeof(when)));
    line("last snapshot", "%s, %lld sockets in %.1f ms%s",
         ago(ctx, status->last_snapshot_ms, when, sizeof(when)), (long long)status->last_sockets,
         (double)status->last_took_us / 1000.0, is_late(ctx, status) ? ": THE NEXT IS LATE" : "");
}

/* Parts that take nothing are left out. */
static void size_words(const struct context *ctx, const struct status *status,
                       const struct budget *budget)
{
    char words[BUDGET_WORDS_MAX];

    for (enum size_part part = 0; part < SIZE_PARTS; part++)
        if (budget->bytes[part] > 0)
            line(size_part_name(part), "%s", budget_part_words(budget, part, ctx->utc, words));
    line("budget", "%s", budget_words(budget, status->file_bytes + status->wal_bytes, words));
}

static void cost_words(const struct status *status)
{
    char file[TIME_TEXT_MAX], wal[TIME_TEXT_MAX], rss[TIME_TEXT_MAX], peak[TIME_TEXT_MAX];
    char share[TIME_TEXT_MAX];

    line("file", "%s and %s of WAL", size_format(status->file_bytes, file),
         size_format(status->wal_bytes, wal));
    line("sockets", "%lld open, %s%lld closed", (long long)status->open_lives,
         status->closed_exact ? "" : "about ", (long long)status->closed_lives);
    if (status->started_ms == TIME_UNKNOWN)
        return;
    if (status->cpu_share >= 0)
        snprintf(share, sizeof(share), "%.3g %% of a core", status->cpu_share * 100.0);
    else
        snprintf(share, sizeof(share), "%lld ms of CPU", (long long)status->cpu_ms);
    line("cost", "%s, %s of memory, at most %s waiting for the disk", share,
         size_format(status->rss_bytes, rss), size_format(status->queue_peak_bytes, peak));
    line("uncertain", "%lld roles guessed from ports, %lld sockets counted under `other`",
         (long long)status->roles_guessed, (long long)status->services_other);
    if (status->counters_left_out)
        line("left out", "%lld counters, interfaces and routes at the last reading: beyond a bound",
             (long long)status->counters_left_out);
}

/* Why network namespaces are not recorded; "" if none lacks. */
static const char *lack_words(int64_t lacks)
{
    if (lacks & NETNS_LACKS_ADMIN)
        return ": no other one, CAP_SYS_ADMIN is missing";
    if (lacks & NETNS_LACKS_PTRACE)
        return ": none that only processes of others show, CAP_SYS_PTRACE is missing";
    return lacks ? ": NOT ALL OTHERS, see the recorder's log" : "";
}

static struct cell lack_cell(int64_t lacks)
{
    if (lacks & NETNS_LACKS_ADMIN)
        return cell_text("CAP_SYS_ADMIN");
    if (lacks & NETNS_LACKS_PTRACE)
        return cell_text("CAP_SYS_PTRACE");
    return lacks ? cell_text("failures") : cell_null();
}

static void namespace_words(const struct status *status)
{
    if (status->started_ms != TIME_UNKNOWN)
        line("namespaces", "%lld recorded%s", (long long)status->netns,
             lack_words(status->netns_lacks));
}

static void owner_words(const struct status *status)
{
    int64_t lacking = status->owners_later + status->owners_absent + status->owners_denied;

    if (status->last_snapshot_ms == TIME_UNKNOWN)
        return;
    line("owners",
         lacking ? "not known of %lld socket%s: %lld that no process holds (half-open, closing), "
                   "%lld of processes that can't be looked into, %lld still being looked for"
                 : "known of all sockets",
         (long long)lacking, lacking == 1 ? "" : "s", (long long)status->owners_absent,
         (long long)status->owners_denied, (long long)status->owners_later);
    if (status->owners_denied)
        line("", "for processes of other users connhistd may lack CAP_SYS_PTRACE and "
                 "CAP_DAC_READ_SEARCH");
}

/* Less than was asked for can only be got without the privilege; the kernel halves and doubles.
 * Where there are other namespaces half of it is for them. */
static void buffer_words(const struct status *status)
{
    char buffer[TIME_TEXT_MAX], asked[TIME_TEXT_MAX], other[TIME_TEXT_MAX], others[64] = "";
    int64_t share = status->event_buffer_others ? 2 : 1;
    const char *size = size_format(status->event_buffer, buffer);

    if (status->event_buffer_others)
        snprintf(others, sizeof(others), ", of each other namespace %s",
                 size_format(status->event_buffer_others, other));
    if (status->event_buffer + 1 < status->events_asked / share)
        line("event buffer",
             "%s of the %s asked for%s: CAP_NET_ADMIN is missing: bursts may be lost", size,
             size_format(status->events_asked / share, asked), others);
    else if (status->event_buffer < BUFFER_ENOUGH / share)
        line("event buffer", "%s%s%s: bursts may be lost", size,
             status->events_asked ? ", as limits: events in the configuration asks for" : "",
             others);
    else
        line("event buffer", "%s%s", size, others);
}

static void event_words(const struct status *status)
{
    if (status->started_ms == TIME_UNKNOWN)
        return;
    if (status->event_buffer <= 0) {
        line("events",
             "none: closed connections are not recorded, but for those that snapshots saw");
        return;
    }
    line("events",
         "%lld of closed connections, %lld of sockets never connected, %lld of unknown endpoints",
         (long long)status->closings, (long long)status->unconnected,
         (long long)status->unresolved);
    buffer_words(status);
}

static int put_words(const struct context *ctx, const struct status *status,
                     const struct budget *budget)
{
    line("record", "%s", db_path(ctx->db));
    recorder_words(ctx, status);
    recording_words(ctx, status);
    cost_words(status);
    size_words(ctx, status, budget);
    namespace_words(status);
    owner_words(status);
    event_words(status);
    if (status->coverage_from_ms != TIME_UNKNOWN && status->last_snapshot_ms != TIME_UNKNOWN) {
        char from[TIME_TEXT_MAX];

        line("last 24 hours",
             "from %s on:", time_format(status->coverage_from_ms, ctx->utc, false, from));
        coverage_print(stdout, &status->coverage, ctx->utc, GAPS_TOLD, context_width());
    }
    return output_finish();
}

/* One field of the answer for programs. */
struct fact {
    const char *name;
    struct cell value;
};

#define FACTS_MAX 58

static struct cell pid_cell(int pid)
{
    return pid > 0 ? cell_int(pid) : cell_null();
}

#define SIZE_FACTS 16

static size_t collect_sizes(const struct status *s, const struct budget *b, struct fact *facts)
{
    int64_t days = budget_full_days(b, s->file_bytes + s->wal_bytes);
    const struct fact sizes[] = {
        {"detail_bytes", cell_int(b->bytes[SIZE_DETAIL])},
        {"ticks_bytes", cell_int(b->bytes[SIZE_TICKS])},
        {"minutes_bytes", cell_int(b->bytes[SIZE_MINUTES])},
        {"hours_bytes", cell_int(b->bytes[SIZE_HOURS])},
        {"days_bytes", cell_int(b->bytes[SIZE_DAYS])},
        {"names_bytes", cell_int(b->bytes[SIZE_NAMES])},
        {"rest_bytes", cell_int(b->bytes[SIZE_REST])},
        {"free_bytes", cell_int(b->bytes[SIZE_FREE])},
        {"detail_since_ms", cell_time(b->since_ms[SIZE_DETAIL])},
        {"ticks_since_ms", cell_time(b->since_ms[SIZE_TICKS])},
        {"minutes_since_ms", cell_time(b->since_ms[SIZE_MINUTES])},
        {"hours_since_ms", cell_time(b->since_ms[SIZE_HOURS])},
        {"days_since_ms", cell_time(b->since_ms[SIZE_DAYS])},
        {"max_bytes", b->max_bytes > 0 ? cell_int(b->max_bytes) : cell_null()},
        {"day_bytes", b->day_bytes >= 0 ? cell_int(b->day_bytes) : cell_null()},
        {"full_days", days >= 0 ? cell_int(days) : cell_null()},
    };

    _Static_assert(sizeof(sizes) == SIZE_FACTS * sizeof(*sizes), "SIZE_FACTS is wrong");
    memcpy(facts, sizes, sizeof(sizes));
    return SIZE_FACTS;
}

/* Writes facts[] and returns how many. */
static size_t collect(const struct context *ctx, const struct status *s, const struct budget *b,
                      struct fact facts[static FACTS_MAX])
{
    const struct fact all[] = {
        {"path", cell_text(db_path(ctx->db))},
        /* null: can't be told */
        {"running", s->recorder_pid < 0 ? cell_null() : cell_int(s->recorder_pid > 0)},
        {"pid", pid_cell(s->recorder_pid)},
        {"recordings", cell_int(s->recordings)},
        {"started_ms", cell_time(s->started_ms)},
        {"ended_ms", cell_time(s->ended_ms)},
        {"interval_ms", cell_int(s->interval_ms)},
        {"detail", cell_text(s->detail)},
        {"version", cell_text(s->version)},
        {"begin_ms", cell_time(s->begin_ms)},
        {"first_snapshot_ms", cell_time(s->first_snapshot_ms)},
        {"last_snapshot_ms", cell_time(s->last_snapshot_ms)},
        {"last_took_us", cell_int(s->last_took_us)},
        {"last_sockets", cell_int(s->last_sockets)},
        {"open_sockets", cell_int(s->open_lives)},
        {"closed_sockets", cell_int(s->closed_lives)},
        {"closed_exact", cell_int(s->closed_exact)},
        {"cpu_ms", cell_int(s->cpu_ms)},
        {"cpu_share", s->cpu_share < 0 ? cell_null() : cell_real(s->cpu_share)},
        {"rss_bytes", cell_int(s->rss_bytes)},
        {"queue_peak_bytes", cell_int(s->queue_peak_bytes)},
        {"roles_guessed", cell_int(s->roles_guessed)},
        {"services_other", cell_int(s->services_other)},
        {"counters_left_out", cell_int(s->counters_left_out)},
        {"owners_later", cell_int(s->owners_later)},
        {"owners_absent", cell_int(s->owners_absent)},
        {"owners_denied", cell_int(s->owners_denied)},
        {"closings", cell_int(s->closings)},
        {"unconnected", cell_int(s->unconnected)},
        {"unresolved", cell_int(s->unresolved)},
        {"event_buffer", cell_int(s->event_buffer)},
        {"event_buffer_others", cell_int(s->event_buffer_others)},
        {"namespaces", cell_int(s->netns)},
        {"namespaces_lack", lack_cell(s->netns_lacks)},
        {"events_asked", s->events_asked ? cell_int(s->events_asked) : cell_null()},
        {"file_bytes", cell_int(s->file_bytes)},
        {"wal_bytes", cell_int(s->wal_bytes)},
    };

    _Static_assert(sizeof(all) <= (FACTS_MAX - SIZE_FACTS) * sizeof(*all),
                   "FACTS_MAX is too small");
    memcpy(facts, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]) + collect_sizes(s, b, facts + sizeof(all) / sizeof(all[0]));
}

static int put_row(const struct context *ctx, const struct status *status,
                   const struct budget *budget)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    struct fact facts[FACTS_MAX];
    struct column columns[FACTS_MAX];
    struct cell cells[FACTS_MAX];
    const struct field fields[] = {
        {"since_ms", cell_time(status->coverage_from_ms)},
        {"until_ms", cell_time(status->coverage_until_ms)},
    };
    struct document document = {.schema = "connhist/status/1",
                                .fields = fields,
                                .n_fields = 2,
                                .coverage = &status->coverage,
                                .columns = columns,
                                .n_columns = collect(ctx, status, budget, facts)};
    int r, exit = context_writer(ctx, &writer);

    if (exit != EXIT_ANSWERED)
        return exit;
    for (size_t i = 0; i < document.n_columns; i++) {
        columns[i] = (struct column){.name = facts[i].name};
        cells[i] = facts[i].value;
    }
    r = writer_begin(writer, &document);
    if (r >= 0)
        r = writer_row(writer, cells);
    if (r >= 0)
        r = writer_end(writer, NULL);
    return r < 0 ? output_failed(r) : output_finish();
}

static int status_run(struct context *ctx)
{
    _cleanup_(status_finish) struct status status = {0};
    struct budget budget = {0};
    struct err err = {0};
    int exit;

    if (status_ask(ctx->db, &ctx->walltime, ctx->now_ms, &status, &err) < 0 ||
        budget_ask(ctx->db, &ctx->walltime, &budget, &err) < 0)
        return cannot_answer("%s", err.text);
    db_end(ctx->db);
    exit = ctx->format == FORMAT_TABLE ? put_words(ctx, &status, &budget)
                                       : put_row(ctx, &status, &budget);
    if (exit == EXIT_ANSWERED)
        coverage_warn(ctx, &status.coverage);
    return exit;
}

const struct command cmd_status = {
    .name = "status",
    .args = "",
    .summary = "whether the recorder runs, what it costs, what it covers",
    .options = {.rows = NULL, .n = 0},
    .needs = NEEDS_RECORD,
    .run = status_run,
};
