/* SPDX-License-Identifier: MIT */
#include "report_rows.h"

#include <stdio.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/render/text.h"

#include "complain.h"
#include "coverage_words.h"
#include "quoted.h"
#include "report_rates.h"
#include "users.h"

#define GAPS_TOLD 5

enum {
    COLUMN_TIME,
    COLUMN_PROTOCOL,
    COLUMN_PORT,
    COLUMN_ROLE,
    COLUMN_STATE,
    COLUMN_NETNS,
    COLUMN_PEER,
    COLUMN_PROCESS,
    COLUMN_PID,
    COLUMN_EXE,
    COLUMN_SOURCE,
    COLUMN_UNIT,
    COLUMN_CONTAINER,
    COLUMN_UID,
    COLUMN_USER,
    COLUMN_MIN,
    COLUMN_AVG,
    COLUMN_MAX,
    COLUMN_LAST,
    COLUMN_OLDEST,
    COLUMNS,
};

/* by: the column is there if one of these tells series apart; 0: always. */
static const struct {
    struct column column;
    unsigned by;
} all_columns[COLUMNS] = {
    {{"at_ms", "TIME", false}, 0},
    {{"protocol", "PROTO", false}, 0},
    {{"port", "PORT", true}, 0},
    {{"role", "ROLE", false}, 0},
    {{"state", "STATE", false}, 0},
    {{"netns", "NETNS", false, .least = 8}, TREND_BY_NETNS},
    {{"peer", "PEER", false, .least = 15}, TREND_BY_PEER},
    {{"process", "PROCESS", false, .least = 12}, TREND_BY_PROCESS | TREND_BY_PID},
    {{"pid", "PID", true}, TREND_BY_OWNER},
    {{"exe", "PROGRAM", false, .least = 16, .gives = 6}, TREND_BY_PROCESS | TREND_BY_PID},
    {{"owner_source", NULL, false}, TREND_BY_PROCESS | TREND_BY_PID},
    {{"unit", "UNIT", false, .least = 12}, TREND_BY_UNIT},
    {{"container", "CONTAINER", false, .least = 12}, TREND_BY_CONTAINER},
    {{"uid", "UID", true}, TREND_BY_UID},
    {{"user", "USER", false, .least = 8}, TREND_BY_UID},
    {{"min", "MIN", true, .gives = 5}, 0},
    {{"avg", "AVG", true, .gives = 4}, 0},
    {{"max", "MAX", true}, 0},
    {{"last", "LAST", true}, 0},
    {{"oldest_ms", "OLDEST", true, .gives = 3}, TREND_BY_LIVES},
};

struct rows {
    const struct context *ctx;             /* not owned */
    const struct trend_question *question; /* not owned */
    struct writer *writer;                 /* owned */
    struct users users;                    /* owned */
    size_t n_columns;
    size_t last;            /* the last bucket that was recorded */
    uint8_t shown[COLUMNS]; /* the columns that are there */
};

static void rows_finish(struct rows *rows)
{
    writer_free(rows->writer);
    users_finish(&rows->users);
}

/* Where a single state was asked for, a sum over the states is that state's. */
static unsigned only_state(const struct filter *filter)
{
    if (filter->states && !(filter->states & (filter->states - 1)))
        return (unsigned)__builtin_ctz(filter->states);
    return 0;
}

/* "80 (http)" for people. */
static struct cell port_for_people(struct names *names, unsigned protocol, int32_t port, char *buf,
                                   size_t size)
{
    const char *name = names_of_port(names, protocol, (uint16_t)port);

    if (name)
        snprintf(buf, size, "%d (%s)", (int)port, name);
    else
        snprintf(buf, size, "%d", (int)port);
    return cell_text(buf);
}

struct cell report_port_cell(const struct context *ctx, unsigned protocol, int32_t port, char *buf,
                             size_t size)
{
    bool table = ctx->format == FORMAT_TABLE;

    if (port == SERVICE_PORT_OTHER)
        return table ? cell_text("other") : cell_null();
    if (port < 0)
        return cell_null();
    return table ? port_for_people(ctx->names, protocol, port, buf, size) : cell_int(port);
}

/* A name, which people see in words where there is none, or none is known. */
static struct cell name_cell(const struct rows *rows, const char *name, const char *none)
{
    if (rows->ctx->format != FORMAT_TABLE || (name && *name))
        return cell_text(name);
    return cell_text(name ? none : "(unknown)");
}

/* The kernel is a process for people alone. */
static struct cell process_cell(const struct rows *rows, const struct trend_series *series,
                                char quoted[static QUOTED_MAX])
{
    const char *name = series->process;

    if (series->kernel)
        return rows->ctx->format == FORMAT_TABLE ? cell_text(name) : cell_null();
    if (rows->ctx->format == FORMAT_TABLE && name)
        name = quoted_name(name, quoted);
    return name_cell(rows, name, "(unknown)");
}

static void owner_cells(struct rows *rows, const struct trend_series *series,
                        char quoted[static QUOTED_MAX], struct cell cells[static COLUMNS])
{
    cells[COLUMN_NETNS] = name_cell(rows, series->netns, "(own)");
    cells[COLUMN_PROCESS] = process_cell(rows, series, quoted);
    cells[COLUMN_PID] = series->pid ? cell_int(series->pid) : cell_null();
    cells[COLUMN_EXE] = cell_text(series->exe);
    cells[COLUMN_SOURCE] =
        series->kernel ? cell_text(owner_source_name(OWNER_IS_KERNEL, 0)) : cell_null();
    cells[COLUMN_UNIT] = name_cell(rows, series->unit, "(none)");
    cells[COLUMN_CONTAINER] = name_cell(rows, series->container, "(none)");
    cells[COLUMN_UID] = series->uid < 0 ? cell_null() : cell_int(series->uid);
    cells[COLUMN_USER] = name_cell(
        rows, series->uid < 0 ? NULL : users_name(&rows->users, series->uid), "(unknown)");
}

/* The cells of a series that are the same in all its buckets. */
static void series_cells(struct rows *rows, const struct trend_series *series, char *buf,
                         size_t size, char quoted[static QUOTED_MAX],
                         struct cell cells[static COLUMNS])
{
    const struct filter *filter = &rows->question->filter;
    unsigned protocol = series->protocol ? series->protocol : filter->protocol;
    unsigned role = series->role ? series->role : filter->role;
    unsigned state = series->state ? series->state : only_state(filter);

    cells[COLUMN_PROTOCOL] = protocol ? cell_text(protocol_name(protocol)) : cell_null();
    cells[COLUMN_PORT] = report_port_cell(rows->ctx, series->protocol, series->port, buf, size);
    cells[COLUMN_ROLE] = role ? cell_text(role_name(role)) : cell_null();
    cells[COLUMN_STATE] = state ? cell_text(state_name(state)) : cell_null();
    cells[COLUMN_PEER] = *series->peer ? cell_text(series->peer) : cell_null();
    owner_cells(rows, series, quoted, cells);
}

/* Its age at the last snapshot stands with the bucket of that. */
static struct cell oldest_cell(const struct rows *rows, const struct trend_series *series,
                               size_t bucket, char buf[static TIME_TEXT_MAX])
{
    if (bucket != rows->last || series->oldest_ms < 0)
        return cell_null();
    return rows->ctx->format == FORMAT_TABLE ? cell_text(duration_format(series->oldest_ms, buf))
                                             : cell_int(series->oldest_ms);
}

static int put_row(const struct rows *rows, const struct cell cells[static COLUMNS])
{
    struct cell kept[COLUMNS];

    for (size_t i = 0; i < rows->n_columns; i++)
        kept[i] = cells[rows->shown[i]];
    return writer_row(rows->writer, kept);
}

static int put_series(struct rows *rows, const struct trend_series *series)
{
    char port[96], oldest[TIME_TEXT_MAX], quoted[QUOTED_MAX];
    struct cell cells[COLUMNS];
    int r = 0;

    series_cells(rows, series, port, sizeof(port), quoted, cells);
    for (size_t i = 0; i < series->points.n && r >= 0; i++) {
        const struct trend_point *point = &series->points.items[i];

        cells[COLUMN_TIME] = cell_time(point->at_ms);
        cells[COLUMN_MIN] = point->recorded ? cell_int(point->min) : cell_null();
        cells[COLUMN_AVG] = point->recorded ? cell_real(point->avg) : cell_null();
        cells[COLUMN_MAX] = point->recorded ? cell_int(point->max) : cell_null();
        cells[COLUMN_LAST] = point->recorded ? cell_int(point->last) : cell_null();
        cells[COLUMN_OLDEST] = oldest_cell(rows, series, i, oldest);
        r = put_row(rows, cells);
    }
    return r;
}

/* Whether a column tells anything, or is summed over in all rows: then people need not see it. */
static bool column_tells(const struct trend_question *question, size_t column)
{
    const struct filter *filter = &question->filter;

    switch (column) {
    case COLUMN_PROTOCOL:
        return question->by & TREND_BY_PORT || filter->protocol;
    case COLUMN_PORT:
        return question->by & TREND_BY_PORT;
    case COLUMN_ROLE:
        return question->by & TREND_BY_ROLE || filter->role;
    case COLUMN_STATE:
        return question->by & TREND_BY_STATE || only_state(filter);
    default:
        return true;
    }
}

static void choose_columns(struct rows *rows, struct column columns[static COLUMNS])
{
    for (size_t i = 0; i < COLUMNS; i++) {
        if (all_columns[i].by && !(rows->question->by & all_columns[i].by))
            continue;
        columns[rows->n_columns] = all_columns[i].column;
        if (!column_tells(rows->question, i))
            columns[rows->n_columns].heading = NULL;
        rows->shown[rows->n_columns++] = (uint8_t)i;
    }
}

/* All series have the same buckets recorded. */
static size_t last_recorded(const struct trend *trend)
{
    size_t i = trend->series.n ? trend->series.items[0].points.n : 0;

    while (i > 0 && !trend->series.items[0].points.items[i - 1].recorded)
        i--;
    return i ? i - 1 : SIZE_MAX;
}

static int put_all(struct rows *rows, const struct document *document, const struct trend *trend)
{
    int r = writer_begin(rows->writer, document);

    for (size_t i = 0; i < trend->series.n && r >= 0; i++)
        r = put_series(rows, &trend->series.items[i]);
    return r < 0 ? r : writer_end(rows->writer, NULL);
}

int report_rows(const struct context *ctx, const struct trend_question *question,
                const struct trend *trend, const struct part *part)
{
    _cleanup_(rows_finish) struct rows rows = {
        .ctx = ctx, .question = question, .last = last_recorded(trend)};
    struct column columns[COLUMNS];
    const struct field fields[] = {
        {"since_ms", cell_time(trend->since_ms)},
        {"until_ms", cell_time(trend->until_ms)},
        {"step_ms", cell_int(trend->step_ms)},
        {"tier", cell_text(tier_name(trend->tier))},
        {"bounds", cell_int(trend->bounds)},
        {"series_hidden", cell_int((int64_t)trend->series_hidden)},
        {"other_sockets", cell_int(trend->other_sockets)},
        {"unkept_max", cell_int(trend->unkept)},
    };
    struct document document = {
        .schema = "connhist/report/1",
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0]),
        .coverage = &trend->coverage,
        .part = part,
        .columns = columns,
        .with_ms = trend->step_ms % 1000 != 0,
    };
    int r, status = context_writer(ctx, &rows.writer);

    if (status != EXIT_ANSWERED)
        return status;
    choose_columns(&rows, columns);
    columns[0].heading = coverage_time_heading(trend->tier, TIER_TICKS);
    document.n_columns = rows.n_columns;
    r = put_all(&rows, &document, trend);
    if (r >= 0 && ctx->format == FORMAT_TABLE)
        coverage_print(stdout, &trend->coverage, ctx->utc, GAPS_TOLD, context_width());
    return r < 0 ? output_failed(r) : output_finish();
}
