/* SPDX-License-Identifier: MIT */
#include "report_beneath.h"

#include <inttypes.h>
#include <stdio.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/model/service.h"
#include "connhist/store/db.h"

#include "counter_words.h"

#define GROWTH_TEXT_MAX 72

static const struct column columns[BENEATH_COLUMNS] = {
    {"counter", NULL, false}, {"since_ms", NULL, true}, {"until_ms", NULL, true},
    {"grew", NULL, true},     {"gap_grew", NULL, true}, {"at_least", NULL, false},
    {"meaning", NULL, false},
};

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

_Static_assert(sizeof(telling) / sizeof(telling[0]) <= BENEATH_MAX, "each has its place");

static bool is_least(const struct grown_counter *one)
{
    return one->grown.turns & 1U << COUNTER_RESET;
}

static void add(struct beneath *beneath, const struct grown_counter *one)
{
    struct cell *cells = &beneath->cells[beneath->n * BENEATH_COLUMNS];

    cells[0] = cell_text(one->name);
    cells[1] = cell_time(beneath->growth.from_ms);
    cells[2] = cell_time(beneath->growth.until_ms);
    cells[3] = cell_int(one->grown.grew);
    cells[4] = cell_int(one->grown.gap_grew);
    cells[5] = cell_text(is_least(one) ? "yes" : "no");
    cells[6] = cell_text(counter_words(one->name));
    beneath->moved[beneath->n++] = one;
}

void beneath_load(const struct context *ctx, const struct filter *filter, int64_t since_ms,
                  int64_t until_ms, struct beneath *ret)
{
    struct err err = {0};

    *ret = (struct beneath){.growth = {.from_ms = TIME_UNKNOWN}};
    if (db_edition(ctx->db) < 4 ||
        counters_grown(ctx->db, &ctx->walltime, filter, since_ms, until_ms, &ret->growth, &err) < 0)
        return;
    ret->known = ret->growth.from_ms != TIME_UNKNOWN;
    for (size_t i = 0; ret->known && i < sizeof(telling) / sizeof(telling[0]); i++) {
        const struct grown_counter *one = growth_find(&ret->growth, telling[i].name);

        if (one && one->grown.grew > 0 &&
            (!filter->protocol || filter->protocol == telling[i].protocol))
            add(ret, one);
    }
}

void beneath_finish(struct beneath *beneath)
{
    growth_finish(&beneath->growth);
}

struct part beneath_part(const struct beneath *beneath)
{
    return (struct part){.name = "counters",
                         .columns = columns,
                         .n_columns = BENEATH_COLUMNS,
                         .cells = beneath->known ? beneath->cells : NULL,
                         .n_rows = beneath->n};
}

/* "+20 (16 of it over gaps)": nobody knows when in the gap those were. */
static const char *growth_text(const struct grown_counter *one, char buf[static GROWTH_TEXT_MAX])
{
    const char *sign = is_least(one) ? "at least " : "+";
    const struct grown *grown = &one->grown;

    if (grown->gap_grew > 0)
        snprintf(buf, GROWTH_TEXT_MAX, "%s%" PRId64 " (%" PRId64 " of it over gaps)", sign,
                 grown->grew, grown->gap_grew);
    else
        snprintf(buf, GROWTH_TEXT_MAX, "%s%" PRId64, sign, grown->grew);
    return buf;
}

void beneath_print(const struct context *ctx, const struct beneath *beneath)
{
    char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX], growth[GROWTH_TEXT_MAX];

    time_format(beneath->growth.from_ms, ctx->utc, true, from);
    time_format(beneath->growth.until_ms, ctx->utc, true, until);
    for (size_t i = 0; i < beneath->n; i++) {
        const struct grown_counter *one = beneath->moved[i];
        const char *words = counter_words(one->name);

        if (i == 0) {
            putchar('\n');
            context_say("Counters of the whole network namespace that moved between the readings "
                        "of %s and %s:",
                        from, until);
        }
        printf("  %-28s %s%s%s\n", one->name, growth_text(one, growth), words ? "  " : "",
               words ? words : "");
    }
}
