/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "connhist/render/openmetrics.h"
#include "connhist/render/text.h"
#include "connhist/report/trend.h"

#include "complain.h"
#include "coverage_words.h"
#include "export_rows.h"

#define MINUTE_MS INT64_C(60000)
#define STEPS_MAX 50000

enum measure { LAST, LEAST, MOST, MEASURES };

static const struct {
    const char *name;
    const char *help;
} families[] = {
    [LAST] = {"connhist_sockets",
              "Sockets of a service in a state at the last snapshot of a step."},
    [LEAST] = {"connhist_sockets_min", "Fewest at a snapshot of a step."},
    [MOST] = {"connhist_sockets_max", "Most at a snapshot of a step."},
};

/* The shortest of round widths that a long span allows. */
static int64_t choose_step(int64_t span_ms)
{
    static const int64_t minutes[] = {1, 5, 15, 60, 360, 1440};
    size_t i = 0;

    while (i + 1 < sizeof(minutes) / sizeof(minutes[0]) &&
           span_ms / (minutes[i] * MINUTE_MS) > STEPS_MAX)
        i++;
    return minutes[i] * MINUTE_MS;
}

static int64_t value_of(const struct trend_point *point, enum measure measure)
{
    if (measure == LAST)
        return point->last;
    return measure == LEAST ? point->min : point->max;
}

/* A step without a complete snapshot has no sample: a gap stays one. */
static void put_series(const struct trend *trend, const struct trend_series *series,
                       enum measure measure)
{
    char port[16];
    const struct metric_label labels[] = {
        {"netns", series->netns},
        {"protocol", protocol_name(series->protocol)},
        {"role", role_name(series->role)},
        {"port", port},
        {"state", state_name(series->state)},
    };

    if (series->port == SERVICE_PORT_OTHER)
        snprintf(port, sizeof(port), "other");
    else
        snprintf(port, sizeof(port), "%d", series->port);
    for (size_t i = 0; i < series->points.n; i++) {
        const struct trend_point *point = &series->points.items[i];
        int64_t end_ms = point->at_ms + trend->step_ms;

        if (point->recorded)
            openmetrics_sample(stdout, families[measure].name, labels,
                               sizeof(labels) / sizeof(labels[0]), value_of(point, measure),
                               end_ms < trend->until_ms ? end_ms : trend->until_ms);
    }
}

static void put_all(const struct trend *trend)
{
    for (enum measure measure = 0; measure < MEASURES; measure++) {
        openmetrics_family(stdout, families[measure].name, OPENMETRICS_GAUGE, NULL,
                           families[measure].help);
        for (size_t i = 0; i < trend->series.n; i++)
            put_series(trend, &trend->series.items[i], measure);
    }
}

int export_metrics(struct context *ctx, const struct filter *filter, int64_t since_ms,
                   int64_t until_ms, int64_t step_ms)
{
    _cleanup_(trend_finish) struct trend trend = {0};
    const struct trend_question question = {
        .filter = *filter,
        .since_ms = since_ms,
        .until_ms = until_ms,
        .step_ms = step_ms ? step_ms : choose_step(until_ms - since_ms),
        .by = TREND_BY_NETNS | TREND_BY_PORT | TREND_BY_ROLE | TREND_BY_STATE,
    };
    struct metric_steps steps;
    struct err err = {0};
    int status, r = trend_ask(ctx->db, &ctx->walltime, &question, &trend, &err);

    if (r == -EINVAL)
        return wrong_usage("%s", err.text);
    if (r < 0)
        return cannot_answer("%s", err.text);
    db_end(ctx->db); /* whoever reads it may take his time */
    put_all(&trend);
    steps = (struct metric_steps){trend.since_ms, trend.until_ms, trend.step_ms};
    status = export_counters(ctx, filter, &steps);
    if (status != EXIT_ANSWERED)
        return status;
    openmetrics_end(stdout);
    status = output_finish();
    if (status != EXIT_ANSWERED)
        return status;
    coverage_tell_pruned(ctx, &trend.coverage);
    if (trend.shortest_ms > 0)
        coverage_tell_tier(ctx, trend.shortest_ms, trend.since_ms, trend.until_ms, trend.step_ms);
    coverage_warn(ctx, &trend.coverage);
    return status;
}
