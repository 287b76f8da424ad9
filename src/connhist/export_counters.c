/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "connhist/render/openmetrics.h"
#include "connhist/report/counter_grid.h"

#include "complain.h"
#include "export_rows.h"

#define METRIC_MAX (COUNTER_NAME_MAX + 32)

/* "connhist_netstat_TcpExt_ListenOverflows", "connhist_interface_rx_bytes" */
static void name_metric(const struct counter_series *series, char ret[static METRIC_MAX])
{
    size_t n = (size_t)snprintf(ret, METRIC_MAX, "connhist_%s_",
                                *series->interface ? "interface" : "netstat");

    for (const char *p = series->name; *p && n < METRIC_MAX - 1; p++) {
        bool plain =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

        ret[n++] = (char)(plain ? *p : '_');
    }
    ret[n] = '\0';
}

static void put_family(const struct counter_series *series, const char *metric)
{
    static const char bytes[] = "_bytes";
    size_t n = strlen(metric);
    char help[160];

    if (*series->interface)
        snprintf(help, sizeof(help), "Statistic %s of a network interface.", series->name);
    else
        snprintf(help, sizeof(help), "%s %s of the kernel.",
                 series->kind == COUNTER_GAUGE ? "Gauge" : "Counter", series->name);
    openmetrics_family(
        stdout, metric, series->kind == COUNTER_GAUGE ? OPENMETRICS_GAUGE : OPENMETRICS_COUNTER,
        n >= sizeof(bytes) && strcmp(metric + n - (sizeof(bytes) - 1), bytes) == 0 ? "bytes" : NULL,
        help);
}

/* A counter that was 0 throughout is left out, as counts are; that a gauge was 0 says something. */
static bool has_samples(const struct counter_series *series, const int64_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (values[i] != COUNTER_GRID_NONE && (values[i] != 0 || series->kind == COUNTER_GAUGE))
            return true;
    return false;
}

/* A step without a reading has no sample. What a counter can't be has none either. */
static void put_series(const struct counter_series *series, const char *metric,
                       const int64_t *values, size_t n, const struct metric_steps *steps)
{
    const struct metric_label labels[] = {{"netns", series->netns},
                                          {"interface", series->interface}};
    char name[METRIC_MAX + 8];

    snprintf(name, sizeof(name), "%s%s", metric, series->kind == COUNTER_GAUGE ? "" : "_total");
    for (size_t i = 0; i < n; i++) {
        int64_t end_ms = steps->since_ms + (int64_t)(i + 1) * steps->step_ms;

        if (values[i] == COUNTER_GRID_NONE || (series->kind != COUNTER_GAUGE && values[i] < 0))
            continue;
        openmetrics_sample(stdout, name, labels, sizeof(labels) / sizeof(labels[0]), values[i],
                           end_ms < steps->until_ms ? end_ms : steps->until_ms);
    }
}

/* Reads a part at a time: whoever takes it may be slow. Returns how many series, or a negative errno. */
static int put_part(struct context *ctx, struct counter_grid *grid, size_t first,
                    const struct metric_steps *steps, char metric[static METRIC_MAX],
                    struct err *err)
{
    int n, r = db_begin(ctx->db, err);

    if (r < 0)
        return r;
    n = counter_grid_load(grid, ctx->db, first, err);
    db_end(ctx->db);
    for (int i = 0; i < n; i++) {
        const struct counter_series *series = counter_grid_series(grid, first + (size_t)i);
        const int64_t *values = counter_grid_values(grid, first + (size_t)i);
        char name[METRIC_MAX];

        if (!has_samples(series, values, counter_grid_steps(grid)))
            continue;
        name_metric(series, name);
        if (strcmp(name, metric) != 0) {
            put_family(series, name);
            memcpy(metric, name, METRIC_MAX);
        }
        put_series(series, name, values, counter_grid_steps(grid), steps);
    }
    return n;
}

int export_counters(struct context *ctx, const struct filter *filter,
                    const struct metric_steps *steps)
{
    _cleanup_(cleanup_counter_grid_free) struct counter_grid *grid = NULL;
    char metric[METRIC_MAX] = "";
    struct err err = {0};
    int r = db_begin(ctx->db, &err);

    if (r >= 0)
        r = counter_grid_new(ctx->db, &ctx->walltime, filter, steps->since_ms, steps->until_ms,
                             steps->step_ms, &grid, &err);
    db_end(ctx->db);
    for (size_t i = 0; r >= 0 && i < counter_grid_count(grid) && !ferror(stdout); i += (size_t)r)
        r = put_part(ctx, grid, i, steps, metric, &err);
    return r < 0 ? cannot_answer("%s", err.text) : EXIT_ANSWERED;
}
