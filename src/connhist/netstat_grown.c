/* SPDX-License-Identifier: MIT */
/* netstat -s and -e with --since and --until: what counters grew by. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/report/coverage.h"

#include "complain.h"
#include "counter_words.h"
#include "coverage_words.h"
#include "netstat_tables.h"
#include "question.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

static const struct column columns[] = {
    {"table", NULL, false},
    {"netns", NULL, false},
    {"interface", NULL, false},
    {"protocol", "PROTOCOL", false, .gives = 5},
    {"counter", "COUNTER", false},
    {"since_ms", NULL, true},
    {"until_ms", NULL, true},
    {"grew", "GREW", true},
    {"gap_grew", "IN GAP", true, .gives = 3},
    {"per_second", "PER SECOND", true, .gives = 4},
    {"at_least", "AT LEAST", false},
    {"meaning", "MEANING", false, .words = true, .least = 20, .gives = 6},
};

enum {
    COLUMNS = SUM(columns),
    COLUMN_INTERFACE = 2,
    COLUMN_PROTOCOL = 3,
    COLUMN_GAP = 8,
    COLUMN_MEANING = 11
};

/* By protocol, then in the kernel's own order. */
static int compare(const void *left, const void *right)
{
    const struct grown_counter *a = left, *b = right;

    if (a->protocol != b->protocol)
        return a->protocol < b->protocol ? -1 : 1;
    if (a->place != b->place && a->protocol)
        return a->place < b->place ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* "eth0" of "interface.eth0.rx_bytes", and "rx_bytes". */
static const char *split(const char *name, char interface[static COUNTER_NAME_MAX])
{
    const char *begin = name + strlen("interface."), *dot = strrchr(begin, '.');

    snprintf(interface, COUNTER_NAME_MAX, "%.*s", (int)(dot ? dot - begin : 0), begin);
    return dot ? dot + 1 : begin;
}

/* What was not watched all the time grew at least by that. */
static bool is_least(const struct grown *grown)
{
    return grown->turns & (1U << COUNTER_RESET);
}

/* Whatever the wall clock was set to meanwhile. */
static int64_t passed_ms(const struct growth *growth)
{
    return growth->record_until_ms - growth->record_from_ms;
}

static struct cell rate_cell(const struct growth *growth, int64_t grew)
{
    int64_t span_ms = passed_ms(growth);

    return span_ms > 0 ? cell_real((double)grew * 1000 / (double)span_ms) : cell_null();
}

static int put(struct writer *writer, const struct growth *growth, const char *table,
               const char *interface, const struct grown_counter *one, const char *name)
{
    bool is_counter = one->protocol != 0;
    const struct cell cells[COLUMNS] = {
        cell_text(table),
        cell_text(growth->netns),
        cell_text(interface),
        is_counter ? cell_text(counter_protocol_name(one->protocol)) : cell_null(),
        cell_text(name),
        cell_time(growth->from_ms),
        cell_time(growth->until_ms),
        cell_int(one->grown.grew),
        cell_int(one->grown.gap_grew),
        rate_cell(growth, one->grown.grew),
        cell_text(is_least(&one->grown) ? "yes" : "no"),
        is_counter ? cell_text(counter_words(one->name)) : cell_null(),
    };

    return writer_row(writer, cells);
}

static bool worth_showing(const struct context *ctx, const struct table_choice *choice,
                          const struct grown_counter *one)
{
    if (one->kind == COUNTER_GAUGE || (choice->protocol && one->protocol != choice->protocol))
        return false;
    return ctx->format != FORMAT_TABLE || choice->zeros || one->grown.grew != 0 ||
           is_least(&one->grown);
}

static int put_counters(struct writer *writer, const struct context *ctx,
                        const struct table_choice *choice, const struct growth *growth,
                        size_t *rows)
{
    int r = 0;

    for (size_t i = 0; i < growth->n && r == 0; i++) {
        if (!growth->items[i].protocol || !worth_showing(ctx, choice, &growth->items[i]))
            continue;
        r = put(writer, growth, "statistics", NULL, &growth->items[i], growth->items[i].name);
        ++*rows;
    }
    return r;
}

static void add(struct grown *sum, const struct grown *one)
{
    if (__builtin_add_overflow(sum->grew, one->grew, &sum->grew))
        sum->grew = INT64_MAX;
    if (__builtin_add_overflow(sum->gap_grew, one->gap_grew, &sum->gap_grew))
        sum->gap_grew = INT64_MAX;
    sum->turns |= one->turns;
}

/* Each counter of each interface. */
static int put_each(struct writer *writer, const struct context *ctx,
                    const struct table_choice *choice, const struct growth *growth, size_t *rows)
{
    int r = 0;

    for (size_t i = 0; i < growth->n && r == 0; i++) {
        const struct grown_counter *one = &growth->items[i];
        char interface[COUNTER_NAME_MAX];
        const char *name = split(one->name, interface);

        if (one->protocol || !worth_showing(ctx, choice, one))
            continue;
        r = put(writer, growth, "interfaces", interface, one, name);
        ++*rows;
    }
    return r;
}

/* By what they count, there are few; in the order of the first of each. */
struct stat_sums {
    VEC_FIELDS(struct grown_counter); /* owned */
};

static void finish_sums(struct stat_sums *sums)
{
    vec_finish(sums);
}

static int add_to(struct stat_sums *sums, const struct grown_counter *one)
{
    char interface[COUNTER_NAME_MAX];
    const char *name = split(one->name, interface);
    struct grown_counter sum = *one;

    for (size_t i = 0; i < sums->n; i++)
        if (strcmp(sums->items[i].name, name) == 0) {
            add(&sums->items[i].grown, &one->grown);
            return 0;
        }
    snprintf(sum.name, sizeof(sum.name), "%s", name);
    return vec_push(sums, sum);
}

/* The sums over all interfaces. */
static int put_sums(struct writer *writer, const struct growth *growth, size_t *rows)
{
    _cleanup_(finish_sums) struct stat_sums sums = {0};
    int r = 0;

    for (size_t i = 0; i < growth->n && r >= 0; i++)
        if (!growth->items[i].protocol)
            r = add_to(&sums, &growth->items[i]);
    for (size_t i = 0; i < sums.n && r >= 0; i++) {
        r = put(writer, growth, "interfaces", NULL, &sums.items[i], sums.items[i].name);
        ++*rows;
    }
    return r;
}

static void choose_columns(const struct table_choice *choice, const struct growth *growth,
                           bool interfaces, struct column ret[static COLUMNS])
{
    bool gap = false;

    for (size_t i = 0; i < growth->n; i++)
        gap |= growth->items[i].grown.gap_grew > 0;
    memcpy(ret, columns, sizeof(columns));
    if (!gap)
        ret[COLUMN_GAP].heading = NULL;
    if (interfaces)
        ret[COLUMN_PROTOCOL].heading = ret[COLUMN_MEANING].heading = NULL;
    if (interfaces && choice->each)
        ret[COLUMN_INTERFACE].heading = "INTERFACE";
}

static int put_table(struct writer *writer, const struct context *ctx,
                     const struct table_choice *choice, const struct growth *growth,
                     const struct coverage *coverage, bool interfaces)
{
    const struct field fields[] = {
        {"table", cell_text(interfaces ? "interfaces" : "statistics")},
        {"since_ms", cell_time(growth->from_ms)},
        {"until_ms", cell_time(growth->until_ms)},
    };
    struct column shown[COLUMNS];
    const struct document document = {.schema = "connhist/netstat/1",
                                      .fields = fields,
                                      .n_fields = SUM(fields),
                                      .coverage = coverage,
                                      .columns = shown,
                                      .n_columns = COLUMNS};
    size_t rows = 0;
    int r;

    choose_columns(choice, growth, interfaces, shown);
    if (ctx->format == FORMAT_TABLE)
        printf("%s\n", !interfaces    ? "Statistics by protocol"
                       : choice->each ? "Network interfaces"
                                      : "Network interfaces, all together");
    r = writer_begin(writer, &document);
    if (r == 0)
        r = !interfaces    ? put_counters(writer, ctx, choice, growth, &rows)
            : choice->each ? put_each(writer, ctx, choice, growth, &rows)
                           : put_sums(writer, growth, &rows);
    if (r == 0)
        r = writer_end(writer, NULL);
    if (r == 0 && rows == 0)
        complain("no counter moved%s", interfaces ? " of an interface" : "");
    return r;
}

static void tell_span(const struct context *ctx, const struct growth *growth)
{
    char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX], span[TIME_TEXT_MAX];

    time_format(growth->from_ms, ctx->utc, true, from);
    time_format(growth->until_ms, ctx->utc, true, until);
    duration_format(passed_ms(growth), span);
    if (ctx->format == FORMAT_TABLE && growth->born)
        context_say(
            "Growth between %s, when the network namespace came into being, and the reading "
            "of %s, %s",
            from, until, span);
    else if (ctx->format == FORMAT_TABLE)
        context_say("Growth between the readings of %s and %s, %s", from, until, span);
}

/* Of the tables that are shown. */
static bool is_asked_for(const struct table_choice *choice, const struct grown_counter *one)
{
    if (!one->protocol)
        return choice->which & TABLE_INTERFACES;
    return choice->which & TABLE_COUNTERS &&
           (!choice->protocol || one->protocol == choice->protocol);
}

static void tell_lacks(const struct table_choice *choice, const struct growth *growth,
                       const struct coverage *coverage)
{
    size_t resets = 0;

    for (size_t i = 0; i < growth->n; i++)
        resets += growth->items[i].kind == COUNTER_TOTAL && is_least(&growth->items[i].grown) &&
                  is_asked_for(choice, &growth->items[i]);
    if (coverage->gaps.n)
        complain(
            "nothing was recorded for some of that time (%zu gap%s): what grew meanwhile is in "
            "the sums, unless a counter began again",
            coverage->gaps.n, coverage->gaps.n == 1 ? "" : "s");
    if (resets)
        complain("%zu counter%s began again from 0 meanwhile (a reboot, a new interface or network "
                 "namespace): %s grew at "
                 "least by what is shown",
                 resets, resets == 1 ? "" : "s", resets == 1 ? "it" : "they");
}

static int put_all(struct context *ctx, const struct table_choice *choice,
                   const struct growth *growth, const struct coverage *coverage)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    bool many = (choice->which & (choice->which - 1)) != 0;
    int r = 0, status = context_writer(ctx, &writer);

    if (status != EXIT_ANSWERED)
        return status;
    if (many)
        r = writer_set_begin(writer, "connhist/netstat/1", NULL, 0);
    if (r == 0 && choice->which & TABLE_INTERFACES)
        r = put_table(writer, ctx, choice, growth, coverage, true);
    if (r == 0 && many && ctx->format == FORMAT_TABLE)
        putchar('\n');
    if (r == 0 && choice->which & TABLE_COUNTERS)
        r = put_table(writer, ctx, choice, growth, coverage, false);
    if (r == 0 && many)
        r = writer_set_end(writer, NULL);
    return r < 0 ? output_failed(r) : output_finish();
}

static void cleanup_growth(struct growth *growth)
{
    growth_finish(growth);
}

static void cleanup_coverage(struct coverage *coverage)
{
    coverage_finish(coverage);
}

static int no_two_readings(struct context *ctx, const struct growth *growth, int64_t since_ms,
                           int64_t until_ms)
{
    char first[TIME_TEXT_MAX], last[TIME_TEXT_MAX], ended[TABLE_ENDED_MAX];

    if (growth->first_ms == TIME_UNKNOWN || until_ms < growth->first_ms)
        return table_nothing(ctx, growth->netns, "counters", until_ms, growth->first_ms);
    time_format(growth->first_ms, ctx->utc, true, first);
    time_format(growth->last_ms, ctx->utc, true, last);
    if (growth->first_ms == growth->last_ms)
        return cannot_answer(
            "counters were read only once, at %s: there is nothing to compare that "
            "reading with",
            first);
    if (since_ms >= growth->last_ms && growth->ended_ms != TIME_UNKNOWN)
        return cannot_answer("network namespace %s %s: its last reading is of %s", growth->netns,
                             table_ended(ctx, growth->ended_ms, growth->gone, ended), last);
    if (since_ms >= growth->last_ms)
        return cannot_answer("counters are read once a minute: the last reading is of %s, and none "
                             "follows yet to compare it with",
                             last);
    return cannot_answer("there are not two readings of counters to compare: the first is of %s, "
                         "the last of %s",
                         first, last);
}

int netstat_tables_grown(struct context *ctx, const struct table_choice *choice)
{
    _cleanup_(cleanup_coverage) struct coverage coverage = {0};
    _cleanup_(cleanup_growth) struct growth growth = {0};
    int64_t since_ms, until_ms;
    struct err err = {0};
    int r, status = context_open(ctx, true);

    if (status == EXIT_ANSWERED)
        status = question_span(ctx, &since_ms, &until_ms);
    if (status != EXIT_ANSWERED)
        return status;
    r = counters_grown(ctx->db, &ctx->walltime, &choice->filter, since_ms, until_ms, &growth, &err);
    if (r == 0 && growth.from_ms == TIME_UNKNOWN)
        return no_two_readings(ctx, &growth, since_ms, until_ms);
    if (r == 0)
        r = coverage_load_in(ctx->db, &ctx->walltime, &choice->filter, growth.record_from_ms,
                             growth.record_until_ms + 1, &coverage, NULL, NULL, &err);
    if (r < 0)
        return cannot_answer("%s", err.text);
    db_end(ctx->db);
    if (growth.n)
        qsort(growth.items, growth.n, sizeof(growth.items[0]), compare);
    tell_span(ctx, &growth);
    tell_lacks(choice, &growth, &coverage);
    return put_all(ctx, choice, &growth, &coverage);
}
