/* SPDX-License-Identifier: MIT */
#include "report_counter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/model/service.h"
#include "connhist/render/writer.h"
#include "connhist/report/coverage.h"
#include "connhist/report/tables_past.h"

#include "complain.h"
#include "counter_words.h"
#include "coverage_words.h"
#include "question.h"

#define SUM(a)     (sizeof(a) / sizeof((a)[0]))
#define NEAR_TOLD  3
#define NAMES_TEXT 256

static const struct column counter_columns[] = {
    {"at_ms", "TIME", false},           {"counter", NULL, false},        {"grew", "GREW", true},
    {"per_second", "PER SECOND", true}, {"at_least", "AT LEAST", false},
};

static const struct column gauge_columns[] = {
    {"at_ms", "TIME", false}, {"counter", NULL, false}, {"min", "MIN", true},
    {"max", "MAX", true},     {"last", "LAST", true},
};

enum { COLUMNS = SUM(counter_columns) };

int report_counter_check(struct context *ctx)
{
    static const enum option_id others[] = {OPT_PORT, OPT_PROTO,   OPT_STATE, OPT_ROLE,
                                            OPT_PEER, OPT_PROCESS, OPT_UNIT,  OPT_CONTAINER,
                                            OPT_PID,  OPT_BY,      OPT_TOP,   OPT_MEASURE};
    struct filter filter = {0};

    for (size_t i = 0; i < SUM(others); i++)
        if (options_has(&ctx->options, others[i]))
            return wrong_usage("--%s does not go with --counter: a counter is of a whole network "
                               "namespace",
                               option_table_find(&ctx->command->options, others[i])->name);
    if (!*options_text(&ctx->options, OPT_COUNTER))
        return wrong_usage(
            "--counter needs a name, as TcpExt.ListenOverflows; netstat -sa shows them");
    return question_netns(ctx, &filter);
}

static void add_name(void *arg, const char *name)
{
    char *text = arg;
    size_t used = strlen(text);

    snprintf(text + used, NAMES_TEXT - used, "%s%s", used ? ", " : "", name);
}

static int find_name(struct context *ctx, char name[static COUNTER_NAME_MAX], bool *ret_gauge)
{
    const char *word = options_text(&ctx->options, OPT_COUNTER);
    char near[NAMES_TEXT] = "";
    struct err err = {0};
    int r;

    if (db_edition(ctx->db) < 4)
        return cannot_answer("%s has no counters: an older connhistd wrote it", db_path(ctx->db));
    r = counter_name(ctx->db, word, name, ret_gauge, &err);
    if (r == 0)
        r = counters_near(ctx->db, word, NEAR_TOLD, add_name, near, &err);
    else if (r > 0)
        return EXIT_ANSWERED;
    if (r < 0)
        return cannot_answer("%s", err.text);
    return wrong_usage("--counter %s: no counter of this name has moved since the record began%s%s",
                       word, *near ? "; there are " : "", near);
}

static int put_step(struct writer *writer, const struct counter_steps *steps, size_t i,
                    const char *name, bool gauge)
{
    const struct grown *step = &steps->items[i];
    int64_t at_ms = steps->since_ms + (int64_t)i * steps->step_ms;
    bool known = step->readings > 0 || step->has_last;
    const struct cell counter_cells[COLUMNS] = {
        cell_time(at_ms),
        cell_text(name),
        known ? cell_int(step->grew) : cell_null(),
        known ? cell_real((double)step->grew * 1000 / (double)steps->step_ms) : cell_null(),
        known ? cell_text(step->turns & 1U << COUNTER_RESET ? "yes" : "no") : cell_null(),
    };
    const struct cell gauge_cells[COLUMNS] = {
        cell_time(at_ms),
        cell_text(name),
        step->has_last ? cell_int(step->low) : cell_null(),
        step->has_last ? cell_int(step->high) : cell_null(),
        step->has_last ? cell_int(step->last) : cell_null(),
    };

    return writer_row(writer, gauge ? gauge_cells : counter_cells);
}

static int put_steps(struct context *ctx, const struct counter_steps *steps,
                     const struct coverage *coverage, const char *name, bool gauge,
                     int64_t until_ms)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    const struct field fields[] = {
        {"counter", cell_text(name)},
        {"kind", cell_text(counter_kind_name(gauge ? COUNTER_GAUGE : COUNTER_TOTAL))},
        {"since_ms", cell_time(steps->since_ms)},
        {"until_ms", cell_time(until_ms)},
        {"step_ms", cell_int(steps->step_ms)},
    };
    const struct document document = {.schema = "connhist/report-counter/1",
                                      .fields = fields,
                                      .n_fields = SUM(fields),
                                      .coverage = coverage,
                                      .columns = gauge ? gauge_columns : counter_columns,
                                      .n_columns = COLUMNS};
    int r, status;

    if (ctx->chart) {
        ctx->chart = false;
        ctx->format = FORMAT_TABLE;
    }
    status = context_writer(ctx, &writer);
    if (status != EXIT_ANSWERED)
        return status;
    if (ctx->format == FORMAT_TABLE)
        printf("%s%s%s\n", name, counter_words(name) ? ": " : "",
               counter_words(name) ? counter_words(name) : "");
    r = writer_begin(writer, &document);
    for (size_t i = 0; i < steps->n && r == 0; i++)
        r = put_step(writer, steps, i, name, gauge);
    if (r == 0)
        r = writer_end(writer, NULL);
    return r < 0 ? output_failed(r) : output_finish();
}

static void cleanup_steps(struct counter_steps *steps)
{
    counter_steps_finish(steps);
}

static void cleanup_coverage(struct coverage *coverage)
{
    coverage_finish(coverage);
}

static int ask(struct context *ctx, const struct filter *filter, int64_t since_ms, int64_t until_ms)
{
    _cleanup_(cleanup_coverage) struct coverage coverage = {0};
    _cleanup_(cleanup_steps) struct counter_steps steps = {0};
    char name[COUNTER_NAME_MAX], tier[TIME_TEXT_MAX];
    int64_t step_ms = 0, from_ms, first_ms, last_ms;
    bool gauge = false;
    struct err err = {0};
    int r, status = question_duration(ctx, OPT_STEP, COUNTING_PERIOD_MS, &step_ms);

    if (status == EXIT_ANSWERED)
        status = find_name(ctx, name, &gauge);
    if (status != EXIT_ANSWERED)
        return status;
    r = counter_steps(ctx->db, &ctx->walltime, filter, name, since_ms, until_ms, step_ms, &steps,
                      &err);
    if (r == -EINVAL || r == -ENOENT)
        return wrong_usage("%s", err.text);
    walltime_to_record(&ctx->walltime, since_ms, &from_ms, &last_ms);
    walltime_to_record(&ctx->walltime, until_ms, &first_ms, &last_ms);
    if (r == 0)
        r = coverage_load_in(ctx->db, &ctx->walltime, filter, from_ms, last_ms, &coverage, NULL,
                             NULL, &err);
    if (r < 0)
        return cannot_answer("%s", err.text);
    db_end(ctx->db);
    if (steps.tier_ms > steps.step_ms) {
        duration_format(steps.tier_ms, tier);
        complain("some of that time is kept by periods of %s: each is told in the step in which it "
                 "begins",
                 tier);
    }
    status = put_steps(ctx, &steps, &coverage, name, gauge, until_ms);
    if (status == EXIT_ANSWERED)
        coverage_warn(ctx, &coverage);
    return status;
}

int report_counter(struct context *ctx)
{
    struct filter filter = {0};
    int64_t since_ms, until_ms;
    int status = report_counter_check(ctx);

    if (status == EXIT_ANSWERED)
        status = question_netns(ctx, &filter);
    if (status == EXIT_ANSWERED)
        status = question_span(ctx, &since_ms, &until_ms);
    return status == EXIT_ANSWERED ? ask(ctx, &filter, since_ms, until_ms) : status;
}

/* Those that tell of sockets that did not come to be, or ended otherwise than they should. */
static const struct {
    const char *name;
    uint8_t protocol;
} telling[] = {
    {"TcpExt.ListenOverflows", PROTOCOL_TCP},
    {"TcpExt.ListenDrops", PROTOCOL_TCP},
    {"TcpExt.TCPReqQFullDrop", PROTOCOL_TCP},
    {"TcpExt.TCPReqQFullDoCookies", PROTOCOL_TCP},
    {"TcpExt.TCPTimeWaitOverflow", PROTOCOL_TCP},
    {"TcpExt.TCPAbortOnMemory", PROTOCOL_TCP},
    {"TcpExt.TCPAbortOnTimeout", PROTOCOL_TCP},
    {"TcpExt.TCPMemoryPressures", PROTOCOL_TCP},
    {"TcpExt.PruneCalled", PROTOCOL_TCP},
    {"TcpExt.TCPBacklogDrop", PROTOCOL_TCP},
    {"Tcp.AttemptFails", PROTOCOL_TCP},
    {"Tcp.RetransSegs", PROTOCOL_TCP},
    {"Tcp.OutRsts", PROTOCOL_TCP},
    {"Udp.NoPorts", PROTOCOL_UDP},
    {"Udp.RcvbufErrors", PROTOCOL_UDP},
    {"Udp.SndbufErrors", PROTOCOL_UDP},
    {"Udp6.NoPorts", PROTOCOL_UDP},
    {"Udp6.RcvbufErrors", PROTOCOL_UDP},
};

void report_counters_beneath(const struct context *ctx, const struct filter *filter,
                             int64_t since_ms, int64_t until_ms)
{
    struct growth growth = {0};
    struct err err = {0};
    size_t shown = 0;
    int r = 0;

    if (db_edition(ctx->db) >= 4)
        r = counters_grown(ctx->db, &ctx->walltime, filter, since_ms, until_ms, &growth, &err);
    for (size_t i = 0; i < SUM(telling) && r == 0; i++) {
        const struct grown_counter *one = growth_find(&growth, telling[i].name);
        const char *words = counter_words(telling[i].name);

        if (!one || one->grown.grew == 0 ||
            (filter->protocol && filter->protocol != telling[i].protocol))
            continue;
        if (shown++ == 0)
            printf("\nCounters of the whole network namespace that moved meanwhile:\n");
        printf("  %-28s %s%lld%s%s\n", one->name,
               one->grown.turns & 1U << COUNTER_RESET ? "at least " : "+",
               (long long)one->grown.grew, words ? "  " : "", words ? words : "");
    }
    growth_finish(&growth);
}
