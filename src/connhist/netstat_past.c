/* SPDX-License-Identifier: MIT */
/* netstat's tables of counters, interfaces and routes as they were recorded. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "connhist/base/timetext.h"

#include "complain.h"
#include "netstat_tables.h"
#include "question.h"
#include "snapshot_words.h"

size_t table_fields(const struct context *ctx, const struct table_choice *choice, const char *name,
                    struct field ret[static TABLE_FIELDS_MAX])
{
    const struct reading_choice *reading = choice->reading;
    size_t n = 0;

    ret[n++] = (struct field){"at_ms", cell_time(reading ? choice->at_ms : ctx->now_ms)};
    if (name)
        ret[n++] = (struct field){"table", cell_text(name)};
    if (!reading)
        return n;
    ret[n++] = (struct field){"reading_ms", cell_time(reading->reading_ms)};
    ret[n++] = (struct field){"distance_ms", cell_int(reading->distance_ms)};
    ret[n++] = (struct field){"in_gap", cell_int(reading->in_gap)};
    return n;
}

static void tell_reading(const struct context *ctx, const struct table_choice *choice)
{
    const struct reading_choice *reading = choice->reading;
    char shown[TIME_TEXT_MAX], distance[TIME_TEXT_MAX], words[DISTANCE_MAX];

    time_format(reading->reading_ms, ctx->utc, true, shown);
    if (ctx->format == FORMAT_TABLE)
        context_say("Reading of %s, %s%s", shown,
                    snapshot_distance(ctx, reading->distance_ms, choice->at_ms, words),
                    reading->in_gap ? ": NOTHING WAS READ AT THAT TIME" : "");
    if (reading->in_gap)
        complain("nothing was read at that time: shown is the last reading before, of %s, %s "
                 "earlier",
                 shown, duration_format(llabs(reading->distance_ms), distance));
    if (reading->by_period_ms)
        complain(
            "readings of that time are not kept any more: shown is the last one of an hour or day "
            "before");
}

static int no_reading(struct context *ctx, int64_t at_ms)
{
    char at[TIME_TEXT_MAX], begin[TIME_TEXT_MAX];
    int64_t begin_ms;
    int status = question_record_begin(ctx, &begin_ms);

    if (status != EXIT_ANSWERED)
        return status;
    if (begin_ms == TIME_UNKNOWN)
        return cannot_answer("nothing is recorded yet in %s", db_path(ctx->db));
    return cannot_answer("no counters, interfaces or routes were recorded at or before %s: the "
                         "record begins at %s",
                         time_format(at_ms, ctx->utc, false, at),
                         time_format(begin_ms, ctx->utc, false, begin));
}

static void cleanup_tables(struct tables *tables)
{
    tables_finish(tables);
}

int netstat_tables_at(struct context *ctx, struct table_choice *choice)
{
    _cleanup_(cleanup_tables) struct tables tables = {0};
    struct reading_choice reading;
    unsigned which = choice->which;
    struct err err = {0};
    int r, status = question_time(ctx, OPT_AT, &choice->at_ms);

    if (status == EXIT_ANSWERED && choice->at_ms > ctx->now_ms)
        return wrong_usage("--at %s is not in the past", options_text(&ctx->options, OPT_AT));
    if (status == EXIT_ANSWERED)
        status = context_open(ctx, true);
    if (status != EXIT_ANSWERED)
        return status;
    r = tables_at(ctx->db, &ctx->walltime, &choice->filter, which, choice->at_ms, &tables, &reading,
                  &err);
    if (r < 0)
        return cannot_answer("%s", err.text);
    if (!reading.found)
        return no_reading(ctx, choice->at_ms);
    db_end(ctx->db);
    choice->reading = &reading;
    tell_reading(ctx, choice);
    status = netstat_tables_put(ctx, choice, &tables);
    choice->reading = NULL;
    return status;
}
