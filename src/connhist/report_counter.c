/* SPDX-License-Identifier: MIT */
#include "report_counter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/render/counter_chart.h"
#include "connhist/render/writer.h"
#include "connhist/report/coverage.h"
#include "connhist/report/tables_past.h"

#include "complain.h"
#include "counter_words.h"
#include "coverage_words.h"
#include "question.h"
#include "report_rates.h"

#define SUM(a)     (sizeof(a) / sizeof((a)[0]))
#define NEAR_TOLD  3
#define NAMES_TEXT 640
#define TITLE_MAX  256

static const struct column counter_columns[] = {
    {"at_ms", "TIME", false},     {"counter", NULL, false},
    {"grew", "GREW", true},       {"per_second", "PER SECOND", true},
    {"gap_grew", "IN GAP", true}, {"at_least", "AT LEAST", false},
};

static const struct column gauge_columns[] = {
    {"at_ms", "TIME", false}, {"counter", NULL, false}, {"min", "MIN", true},
    {"max", "MAX", true},     {"last", "LAST", true},
};

enum {
    COUNTER_COLUMNS = SUM(counter_columns),
    GAUGE_COLUMNS = SUM(gauge_columns),
    COLUMN_TIME = 0,
    COLUMN_GAP = 4
};

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

/* "Udp.InErrors, Udp6.InErrors, 3 more" */
static const char *join(const struct counter_names *names, size_t told, size_t n,
                        char buf[static NAMES_TEXT])
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < told && used < NAMES_TEXT; i++)
        used +=
            (size_t)snprintf(buf + used, NAMES_TEXT - used, "%s%s", i ? ", " : "", names->names[i]);
    if (n > told && used < NAMES_TEXT)
        snprintf(buf + used, NAMES_TEXT - used, ", %zu more", n - told);
    return buf;
}

static int find_name(struct context *ctx, struct counter_names *names)
{
    const char *word = options_text(&ctx->options, OPT_COUNTER);
    char text[NAMES_TEXT];
    struct err err = {0};
    size_t told;

    if (db_edition(ctx->db) < 4)
        return cannot_answer("%s has no counters: an older connhistd wrote it", db_path(ctx->db));
    if (counter_names_find(ctx->db, word, names, &err) < 0)
        return cannot_answer("%s", err.text);
    if (names->n == 1)
        return EXIT_ANSWERED;
    if (!names->any)
        return cannot_answer("no counter was recorded yet");
    told = names->n < COUNTER_NAMES_MAX ? names->n : COUNTER_NAMES_MAX;
    if (names->n > 1)
        return wrong_usage("--counter %s may be %s: write more of the name", word,
                           join(names, told, names->n, text));
    if (*names->interface)
        return wrong_usage("--counter %s: no interface %s was ever recorded%s%s", word,
                           names->interface, names->n_near ? "; there are " : "",
                           join(names, names->n_near, names->n_interfaces, text));
    told = names->n_near < NEAR_TOLD ? names->n_near : NEAR_TOLD;
    return wrong_usage("--counter %s: no counter of this name was ever read%s%s", word,
                       told ? "; there are " : "", join(names, told, told, text));
}

static int put_step(struct writer *writer, const struct counter_steps *steps, size_t i,
                    const char *name, bool gauge)
{
    const struct grown *step = &steps->items[i];
    int64_t at_ms = steps->since_ms + (int64_t)i * steps->step_ms;
    bool known = step->covered_ms > 0; /* else all that it grew by came over a gap */
    int64_t grew = step->grew - step->gap_grew;
    const struct cell counter_cells[COUNTER_COLUMNS] = {
        cell_time(at_ms),
        cell_text(name),
        known ? cell_int(grew) : cell_null(),
        known ? cell_real((double)grew * 1000 / (double)step->covered_ms) : cell_null(),
        step->readings ? cell_int(step->gap_grew) : cell_null(),
        step->readings ? cell_text(step->turns & 1U << COUNTER_RESET ? "yes" : "no") : cell_null(),
    };
    const struct cell gauge_cells[GAUGE_COLUMNS] = {
        cell_time(at_ms),
        cell_text(name),
        step->has_last ? cell_int(step->low) : cell_null(),
        step->has_last ? cell_int(step->high) : cell_null(),
        step->has_last ? cell_int(step->last) : cell_null(),
    };

    return writer_row(writer, gauge ? gauge_cells : counter_cells);
}

/* Most records have no gap: then people need no column for it. */
static void choose_columns(const struct counter_steps *steps, bool gauge,
                           struct column ret[static COUNTER_COLUMNS])
{
    bool gap = gauge;

    for (size_t i = 0; i < steps->n; i++)
        gap |= steps->items[i].gap_grew > 0;
    memcpy(ret, gauge ? gauge_columns : counter_columns,
           gauge ? sizeof(gauge_columns) : sizeof(counter_columns));
    ret[COLUMN_TIME].heading = coverage_time_heading(steps->tier, TIER_MINUTES);
    if (!gap)
        ret[COLUMN_GAP].heading = NULL;
}

static int put_steps(struct context *ctx, const struct counter_steps *steps,
                     const struct coverage *coverage, const char *name, bool gauge)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    struct column columns[COUNTER_COLUMNS];
    const struct field fields[] = {
        {"counter", cell_text(name)},
        {"kind", cell_text(counter_kind_name(gauge ? COUNTER_GAUGE : COUNTER_TOTAL))},
        {"since_ms", cell_time(steps->since_ms)},
        {"until_ms", cell_time(steps->until_ms)},
        {"step_ms", cell_int(steps->step_ms)},
        {"tier", cell_text(tier_name(steps->tier))},
    };
    const struct document document = {.schema = "connhist/report-counter/1",
                                      .fields = fields,
                                      .n_fields = SUM(fields),
                                      .coverage = coverage,
                                      .columns = columns,
                                      .n_columns = gauge ? GAUGE_COLUMNS : COUNTER_COLUMNS};
    int r, status = context_writer(ctx, &writer);

    choose_columns(steps, gauge, columns);
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

static int put_chart(const struct context *ctx, const struct counter_steps *steps,
                     const struct coverage *coverage, const char *name, bool gauge)
{
    const struct chart_options options = report_chart_options(ctx);
    const char *words = counter_words(name);
    char title[TITLE_MAX];
    const struct counter_chart chart = {
        .steps = steps, .coverage = coverage, .title = title, .gauge = gauge};

    snprintf(title, sizeof(title), "%s%s%s", name, words ? ": " : "", words ? words : "");
    counter_chart_print(&chart, &options);
    return output_finish();
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
    int64_t step_ms = 0, from_ms, first_ms, last_ms;
    struct counter_names names = {0};
    const char *name = names.names[0];
    struct err err = {0};
    int r, status = question_duration(ctx, OPT_STEP, COUNTING_PERIOD_MS, &step_ms);

    if (status == EXIT_ANSWERED)
        status = find_name(ctx, &names);
    if (status != EXIT_ANSWERED)
        return status;
    r = counter_steps(ctx->db, &ctx->walltime, filter, name, since_ms, until_ms, step_ms, &steps,
                      &err);
    if (r == -EINVAL)
        return wrong_usage("%s", err.text);
    walltime_to_record(&ctx->walltime, steps.since_ms, &from_ms, &last_ms);
    walltime_to_record(&ctx->walltime, steps.until_ms, &first_ms, &last_ms);
    if (r == 0)
        r = coverage_load_in(ctx->db, &ctx->walltime, filter, from_ms, last_ms, &coverage, NULL,
                             NULL, &err);
    if (r < 0)
        return cannot_answer("%s", err.text);
    db_end(ctx->db);
    status = ctx->chart ? put_chart(ctx, &steps, &coverage, name, names.gauge)
                        : put_steps(ctx, &steps, &coverage, name, names.gauge);
    if (status == EXIT_ANSWERED && steps.shortest_ms > 0)
        coverage_tell_tier(ctx, steps.shortest_ms, steps.since_ms, steps.until_ms, steps.step_ms);
    if (status == EXIT_ANSWERED && !ctx->chart)
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
