/* SPDX-License-Identifier: MIT */
/* netstat's tables of counters, interfaces and routes as they were recorded. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"

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
    if (name && strcmp(name, "routes") == 0)
        ret[n++] = (struct field){"left_out", cell_int(choice->left_out)};
    return n;
}

const char *table_ended(const struct context *ctx, int64_t ended_ms, bool gone,
                        char buf[static TABLE_ENDED_MAX])
{
    char at[TIME_TEXT_MAX];

    snprintf(buf, TABLE_ENDED_MAX, "%s from %s on",
             gone ? "was no more" : "was not recorded any more",
             time_format(ended_ms, ctx->utc, true, at));
    return buf;
}

static void tell_reading(const struct context *ctx, const struct table_choice *choice,
                         const char *netns)
{
    const struct reading_choice *reading = choice->reading;
    char shown[TIME_TEXT_MAX], distance[TIME_TEXT_MAX], words[DISTANCE_MAX];
    char ended[TABLE_ENDED_MAX];

    time_format(reading->reading_ms, ctx->utc, true, shown);
    duration_format(llabs(reading->distance_ms), distance);
    if (ctx->format == FORMAT_TABLE)
        context_say("Reading of %s, %s%s", shown,
                    snapshot_distance(ctx, reading->distance_ms, choice->at_ms, words),
                    reading->in_gap ? ": NOTHING WAS READ AT THAT TIME" : "");
    if (reading->ended_ms != TIME_UNKNOWN)
        complain("network namespace %s %s: shown is the last reading before, of %s, %s earlier",
                 netns, table_ended(ctx, reading->ended_ms, reading->gone, ended), shown, distance);
    else if (reading->in_gap)
        complain("nothing was read at that time: shown is the last reading before, of %s, %s "
                 "earlier",
                 shown, distance);
    if (reading->by_period_ms)
        complain(
            "readings of that time are not kept any more: shown is the last one of an hour or day "
            "before");
}

int table_nothing(struct context *ctx, const char *netns, const char *what, int64_t at_ms,
                  int64_t first_ms)
{
    char at[TIME_TEXT_MAX], first[TIME_TEXT_MAX], of[NETNS_NAME_MAX + 32] = "";

    if (*netns)
        snprintf(of, sizeof(of), " of network namespace %s", netns);
    if (first_ms == TIME_UNKNOWN)
        return cannot_answer("no %s%s are recorded in %s", what, of, db_path(ctx->db));
    return cannot_answer("no %s%s were recorded at or before %s: the first reading is of %s", what,
                         of, time_format(at_ms, ctx->utc, true, at),
                         time_format(first_ms, ctx->utc, true, first));
}

static void cleanup_growth(struct growth *growth)
{
    growth_finish(growth);
}

static int no_reading(struct context *ctx, const struct table_choice *choice,
                      const struct reading_choice *reading, const char *netns)
{
    static const char what[] = "counters, interfaces or routes";
    _cleanup_(cleanup_growth) struct growth none = {0};
    char at[TIME_TEXT_MAX], first[TIME_TEXT_MAX];
    struct err err = {0};

    if (counters_extent(ctx->db, &ctx->walltime, &choice->filter, &none, &err) < 0)
        return cannot_answer("%s", err.text);
    if (reading->unread_ms != TIME_UNKNOWN && *netns)
        return cannot_answer("%s of network namespace %s were not read yet at %s: it is recorded "
                             "from %s on, and counters are read once a minute",
                             what, netns, time_format(choice->at_ms, ctx->utc, true, at),
                             time_format(reading->unread_ms, ctx->utc, true, first));
    if (none.first_ms == TIME_UNKNOWN || choice->at_ms < none.first_ms)
        return table_nothing(ctx, none.netns, what, choice->at_ms, none.first_ms);
    return cannot_answer("%s could not be read at or before %s, though something was from %s on",
                         what, time_format(choice->at_ms, ctx->utc, true, at),
                         time_format(none.first_ms, ctx->utc, true, first));
}

static bool is_full(const struct table_choice *choice, const struct route_table *routes,
                    unsigned which)
{
    return (!choice->table || route_class(choice->table, AF_INET) / 2 == which / 2) &&
           (!choice->protocol || (choice->protocol == COUNTER_IPV6) == which % 2) &&
           routes->n_of[which] >= COUNTING_ROUTES_MAX;
}

/* Where as many routes as are recorded at most were recorded there may have been more. */
static void tell_left_out(struct table_choice *choice, const struct route_table *routes)
{
    choice->left_out = false;
    for (unsigned i = 0; i < ROUTE_CLASSES; i++) {
        if (!(choice->which & TABLE_ROUTES) || !is_full(choice, routes, i))
            continue;
        choice->left_out = true;
        complain(
            "of more than %d %s routes of %s the others are not recorded: routes may lack here",
            COUNTING_ROUTES_MAX, i % 2 ? "IPv6" : "IPv4",
            i / 2 ? "tables other than main, default and local"
                  : "the tables main, default and local");
    }
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
        return no_reading(ctx, choice, &reading, tables.netns);
    db_end(ctx->db);
    choice->reading = &reading;
    tell_reading(ctx, choice, tables.netns);
    tell_left_out(choice, &tables.routes);
    status = netstat_tables_put(ctx, choice, &tables);
    choice->reading = NULL;
    return status;
}
