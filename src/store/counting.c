/* SPDX-License-Identifier: MIT */
/* Counters as they change, added up by hour and day at once. */
#include "counting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "writer.h"

enum knows {
    KNOWS_NOTHING,
    KNOWS_VALUE,
    KNOWS_ENDED, /* a value of an interface that is no more: it says nothing of another one of its name */
};

/* What the file has of a namespace that is told in full: the last value of each counter. */
struct known {
    int64_t *values; /* by counter_names.id; owned */
    uint8_t *knows;  /* likewise: enum knows, of what was not told now; owned */
    size_t n;
    bool born; /* the namespace came into being just now: its counters began at 0 */
    bool any;  /* the file has values of this namespace */
    bool anew; /* they are of an earlier time, since when all began at 0 */
};

struct open_name {
    char text[INTERFACE_NAME_MAX];
};

/* Names of interfaces that the file has and that have not ended in it. */
struct open_names {
    VEC_FIELDS(struct open_name); /* sorted; owned */
};

static void finish_open_names(struct open_names *names)
{
    vec_finish(names);
}

static void finish_known(struct known *known)
{
    free(known->values);
    free(known->knows);
}

static int load_open_names(struct store *store, int64_t netns, struct open_names *ret,
                           struct err *err)
{
    static const char sql[] =
        "SELECT name FROM interfaces WHERE netns = ?1 AND until_ms IS NULL ORDER BY name";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, netns);
    while ((r = sql_step(stmt, err)) > 0) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        struct open_name one;

        snprintf(one.text, sizeof(one.text), "%s", name ? name : "");
        if (vec_push(ret, one) < 0)
            return err_errno(err, -ENOMEM, "%s", store->path);
    }
    return r;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct open_name *)a)->text, ((const struct open_name *)b)->text);
}

/* Of "interface.eth0.rx_bytes". */
static bool is_open(const struct open_names *names, const char *counter)
{
    const char *begin = counter + strlen("interface."), *dot = strrchr(begin, '.');
    struct open_name key;

    snprintf(key.text, sizeof(key.text), "%.*s", (int)(dot ? dot - begin : 0), begin);
    return names->n &&
           bsearch(&key, names->items, names->n, sizeof(names->items[0]), compare_names);
}

/* An interface that had ended before is not there to begin again. */
static int find_ended(struct store *store, int64_t netns, struct known *known, struct err *err)
{
    static const char sql[] =
        "SELECT id, name FROM counter_names WHERE protocol = 0 AND substr(name, 1, 10) = "
        "'interface.'";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    _cleanup_(finish_open_names) struct open_names names = {0};
    int r = load_open_names(store, netns, &names, err);

    if (r == 0)
        r = sql_prepare(store->db, sql, &stmt, err);
    while (r >= 0 && (r = sql_step(stmt, err)) > 0) {
        int64_t id = sqlite3_column_int64(stmt, 0);

        if (id >= 0 && (size_t)id < known->n && known->knows[id] &&
            !is_open(&names, (const char *)sqlite3_column_text(stmt, 1)))
            known->knows[id] = KNOWS_ENDED;
    }
    return r;
}

static int load_known(struct store *store, int64_t netns, struct known *known, struct err *err)
{
    static const char sql[] = "SELECT counter, last FROM counter_rollups WHERE tier = 3 "
                              "AND netns = ?1 ORDER BY at_ms";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int64_t highest = 0;
    int r = sql_query_i64(store->db, "SELECT max(id) FROM counter_names", &highest, err);

    if (r < 0)
        return r;
    known->n = highest > 0 && highest <= 64 * COUNTED_NAMES_MAX ? (size_t)highest + 1 : 1;
    known->values = calloc(known->n, sizeof(*known->values));
    known->knows = calloc(known->n, sizeof(*known->knows));
    if (!known->values || !known->knows)
        return err_errno(err, -ENOMEM, "%s", store->path);
    r = sql_prepare(store->db, sql, &stmt, err);
    if (r < 0)
        return r;
    SQL_BIND(stmt, netns);
    while ((r = sql_step(stmt, err)) > 0) {
        int64_t id = sqlite3_column_int64(stmt, 0);

        known->any = true;
        if (id < 0 || (size_t)id >= known->n)
            continue;
        known->values[id] = sqlite3_column_int64(stmt, 1);
        known->knows[id] = KNOWS_VALUE;
    }
    return r < 0 || !known->any ? r : find_ended(store, netns, known, err);
}

/* A namespace's share of a reading. */
struct share {
    int64_t netns; /* netns.id */
    int64_t at_ms;
    int64_t before_ms;  /* the reading before; -1: there is none */
    int64_t covered_ms; /* since the reading before; 0: there is none, or a gap lies between */
    bool over_gap;
    bool
        anew; /* it is told in full, and its counters and routes in the file are of an earlier boot */
    bool known; /* its counters were read before: what has no value was 0 */
    bool born;  /* they were not, since the namespace came into being only now */
};

static int put_value(struct store *store, const struct share *share, int64_t id,
                     const struct counter_change *change, struct err *err)
{
#define SATURATED(what)                                              \
#what " = iif(" #what " > 9223372036854775807 - excluded." #what \
          ", 9223372036854775807, " #what " + excluded." #what ")"
/* the value before was read in this period, too, if any was */
#define READ_BEFORE                                                                        \
    "iif(EXISTS (SELECT 1 FROM counter_cover AS c WHERE c.tier = ?1 AND c.netns = ?2 AND " \
    "c.at_ms = ?3 AND c.last_ms < ?11), ?10, ?6)"
    static const char sql[] =
        "INSERT OR REPLACE INTO counters (netns, at_ms, counter, value, grew, turn, over_gap) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    static const char rollup_sql[] =
        "INSERT INTO counter_rollups (tier, netns, at_ms, counter, grew, gap_grew, last, low, "
        "high, turns) VALUES (?1, ?2, ?3, ?4, ?5, iif(?9, ?5, 0), ?6, iif(?8, min(?6, " READ_BEFORE
        "), NULL), iif(?8, max(?6, " READ_BEFORE "), NULL), ?7) "
        "ON CONFLICT DO UPDATE SET last = excluded.last, turns = turns | excluded.turns, "
        "low = min(low, excluded.low), high = max(high, excluded.high), " SATURATED(
            grew) ", " SATURATED(gap_grew);
    bool over_gap = share->over_gap && change->turn != COUNTER_FIRST;
    int64_t before = change->turn == COUNTER_WENT_ON ? change->before : change->value;
    int r = WRITER_RUN(store, STMT_ADD_COUNTER, sql, err, share->netns, share->at_ms, id,
                       change->value, change->grew, change->turn, over_gap);

    orphans_note(store, STMT_FIND_COUNTER, id);
    for (int tier = TIER_HOURS; r >= 0 && tier <= TIER_DAYS; tier++)
        r = WRITER_RUN(store, STMT_ADD_COUNTER_ROLLUP, rollup_sql, err, tier, share->netns,
                       share->at_ms - share->at_ms % tier_length_ms(tier), id, change->grew,
                       change->value, 1 << change->turn, change->kind == COUNTER_GAUGE, over_gap,
                       before, share->at_ms);
    return r;
}

/* 1: the statistics of this interface were read before, so that one that the file does not have was 0. */
static int was_there(struct store *store, const struct share *share,
                     const struct counter_change *change, struct err *err)
{
    static const char sql[] = "SELECT 1 FROM interfaces WHERE netns = ?1 AND has_stats AND "
                              "from_ms <= ?2 AND coalesce(until_ms > ?2, 1) AND name = ?3 LIMIT 1";
    const char *name = strchr(change->name, '.');
    const char *end = strrchr(change->name, '.');
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_COUNTED_INTERFACE, sql, &stmt, err);

    if (r < 0 || !name || name == end)
        return r < 0 ? r : 0;
    SQL_BIND(stmt, share->netns, share->before_ms);
    sqlite3_bind_text(stmt, 3, name + 1, (int)(end - name - 1), SQLITE_TRANSIENT);
    r = sql_step(stmt, err);
    sqlite3_reset(stmt);
    return r;
}

/* How what was told in full follows what the file has. 0: it is what the file has; 1: it is not. */
static int follow(struct store *store, const struct share *share, struct known *known, int64_t id,
                  struct counter_change *change, struct err *err)
{
    bool is_known = (size_t)id < known->n && known->knows[id] == KNOWS_VALUE;
    int64_t before = is_known ? known->values[id] : 0;
    int r;

    if ((size_t)id < known->n)
        known->knows[id] = KNOWS_NOTHING;
    change->turn = COUNTER_FIRST;
    if (change->kind == COUNTER_GAUGE) {
        change->turn = known->any && !known->anew ? COUNTER_WENT_ON : COUNTER_FIRST;
        change->before = before;
        return !is_known || before != change->value;
    }
    if (known->anew || known->born) {
        change->turn = COUNTER_RESET;
        change->grew = change->value > 0 ? change->value : 0;
        return 1;
    }
    if (!known->any)
        return 1;
    r = is_known || change->protocol ? 1 : was_there(store, share, change, err);
    if (r <= 0) /* it came since, and nobody saw where it began */
        return r < 0 ? r : 1;
    /* whether it wrapped while nobody looked can't be told */
    change->turn = (uint8_t)counter_growth(before, change->value, 64, &change->grew);
    return before != change->value;
}

/* What the file has and is not told any more is 0 now. */
static int put_rest(struct store *store, const struct share *share, const struct known *known,
                    struct err *err)
{
    static const char sql[] = "SELECT kind FROM counter_names WHERE id = ?1";
    sqlite3_stmt *stmt;
    int r = 0;

    for (size_t i = 0; i < known->n && r >= 0; i++) {
        struct counter_change change = {.turn = COUNTER_RESET, .before = known->values[i]};

        if (!known->knows[i] || known->values[i] == 0)
            continue;
        r = writer_stmt(store, STMT_COUNTER_KIND, sql, &stmt, err);
        if (r < 0)
            return r;
        SQL_BIND(stmt, (int64_t)i);
        r = sql_step(stmt, err);
        if (r <= 0)
            continue;
        change.kind = (uint8_t)sqlite3_column_int(stmt, 0);
        sqlite3_reset(stmt);
        if (change.kind == COUNTER_GAUGE || known->knows[i] == KNOWS_ENDED)
            change.turn = COUNTER_WENT_ON;
        r = put_value(store, share, (int64_t)i, &change, err);
    }
    return r;
}

/* A namespace that came into being while others were recorded began with all of its counters at 0,
 * since the snapshot before that found it. */
static int find_birth(struct store *store, struct share *share, int64_t *ret_ms, struct err *err)
{
    static const char sql[] =
        "SELECT from_ms FROM netns_spans WHERE netns = ?1 AND is_new AND until_ms IS NULL AND "
        "(SELECT count(*) FROM netns_spans WHERE netns = ?1) = 1";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_NETNS_BIRTH, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, share->netns);
    r = sql_step(stmt, err);
    share->born = r > 0;
    if (r > 0)
        *ret_ms = sqlite3_column_int64(stmt, 0) - store->interval_ms;
    sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

/* What lies between this reading of the namespace's counters and the one before. last_ms: the file's
 * last reading of any; -1: none. */
static int find_share(struct store *store, int64_t last_ms, struct share *share, struct err *err)
{
    static const char sql[] = "SELECT last_ms FROM counter_cover WHERE tier = ?2 AND netns = ?1 "
                              "ORDER BY at_ms DESC LIMIT 1";
    int64_t before_ms = share->anew ? last_ms : -1; /* with a boot, its namespaces are others */
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_LAST_COUNTERS, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, share->netns, TIER_DAYS);
    r = sql_step(stmt, err);
    if (r > 0)
        before_ms = sqlite3_column_int64(stmt, 0);
    share->known = r > 0;
    share->before_ms = before_ms;
    sqlite3_reset(stmt);
    if (r == 0)
        r = find_birth(store, share, &before_ms, err);
    if (r < 0 || before_ms < 0 || before_ms >= share->at_ms)
        return r < 0 ? r : 0;
    share->over_gap = share->at_ms - before_ms > counting_late_ms(store->interval_ms);
    share->covered_ms = share->over_gap ? 0 : share->at_ms - before_ms;
    return 0;
}

static int put_cover(struct store *store, const struct share *share, struct err *err)
{
    static const char sql[] =
        "INSERT INTO counter_cover (tier, netns, at_ms, readings, covered_ms, first_ms, last_ms) "
        "VALUES (?1, ?2, ?3, 1, ?4, ?5, ?5) ON CONFLICT DO UPDATE SET readings = readings + 1, "
        "covered_ms = covered_ms + excluded.covered_ms, last_ms = excluded.last_ms "
        "WHERE last_ms < excluded.last_ms";
    int r = 0;

    for (int tier = TIER_HOURS; r >= 0 && tier <= TIER_DAYS; tier++)
        r = WRITER_RUN(store, STMT_ADD_COUNTER_COVER, sql, err, tier, share->netns,
                       share->at_ms - share->at_ms % tier_length_ms(tier), share->covered_ms,
                       share->at_ms);
    return r;
}

static int put_counters(struct store *store, const struct share *share,
                        const struct counted_netns *one, const struct counter_change *changes,
                        bool had_readings, struct counting_naming *naming, struct err *err)
{
    _cleanup_(finish_known) struct known known = {
        .born = share->born, .any = share->known, .anew = share->anew && had_readings};
    int r = one->full & COUNTED_COUNTERS ? load_known(store, share->netns, &known, err) : 0;

    for (uint32_t i = 0; i < one->n_counters && r >= 0; i++) {
        struct counter_change change = changes[i];
        int64_t id;

        r = counting_find_name(store, &change, naming, &id, err);
        if (r >= 0 && id)
            orphans_note(store, STMT_FIND_COUNTER, id);
        if (r < 0 || !id || change.named)
            continue;
        r = one->full & COUNTED_COUNTERS ? follow(store, share, &known, id, &change, err) : 1;
        if (r > 0)
            r = put_value(store, share, id, &change, err);
    }
    if (r >= 0 && one->full & COUNTED_COUNTERS &&
        !(one->lacks & (COUNTED_COUNTERS | COUNTED_INTERFACES)))
        r = put_rest(store, share, &known, err);
    if (r >= 0 && !(one->lacks & COUNTED_COUNTERS))
        r = put_cover(store, share, err);
    return r;
}

/* Whether this boot's counters stand in the file: else all of them began at 0 since it was written. That
 * the boot has runs says nothing, they may have ended before they wrote any. */
static int has_boot(struct store *store, bool *ret, struct err *err)
{
    static const char sql[] = "SELECT 1 FROM counter_cover WHERE tier = ?1 AND last_ms >= (SELECT "
                              "min(started_ms) FROM recordings WHERE boot = ?2) LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, TIER_DAYS, store->boot);
    r = sql_step(stmt, err);
    *ret = r > 0;
    return r;
}

static bool any_full(const struct counting *counting)
{
    for (size_t i = 0; i < counting->netns.n; i++)
        if (counting->netns.items[i].full)
            return true;
    return false;
}

/* -1: there is none. */
static int read_last(struct store *store, int64_t *ret, struct err *err)
{
    return sql_query_i64(store->db,
                         "SELECT coalesce((SELECT max(at_ms) FROM readings), (SELECT "
                         "max(last_ms) FROM counter_cover WHERE tier = 3), -1)",
                         ret, err);
}

int counting_write(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                   struct err *err)
{
    static const char lack_sql[] =
        "INSERT OR REPLACE INTO reading_lacks (at_ms, netns, lacks) VALUES (?1, ?2, ?3)";
    static const char sql[] = "INSERT OR REPLACE INTO readings (at_ms, left_out) VALUES (?1, ?2)";
    const struct counting *counting = &batch->counting;
    struct counting_naming naming = {.n = -1};
    size_t counter = 0, interface = 0, route = 0;
    int64_t at_ms = batch->snapshot.start_ms;
    int64_t last_ms = -1;
    bool boot_told = true;
    int r = counting->taken ? read_last(store, &last_ms, err) : 0;

    if (r >= 0 && any_full(counting))
        r = has_boot(store, &boot_told, err);

    for (size_t i = 0; i < counting->netns.n && r >= 0; i++) {
        const struct counted_netns *one = &counting->netns.items[i];
        int64_t netns = lives_netns(ids, one->netns);
        struct share share = {.netns = netns, .at_ms = at_ms, .anew = one->full && !boot_told};

        if (!one->again)
            r = find_share(store, last_ms, &share, err);
        if (r >= 0 && one->lacks && !one->again)
            r = WRITER_RUN(store, STMT_ADD_READING_LACK, lack_sql, err, at_ms, netns, one->lacks);
        if (r >= 0 && !one->again)
            r = put_counters(store, &share, one, counting->counters.items + counter, last_ms >= 0,
                             &naming, err);
        if (r >= 0)
            r = counting_put_interfaces(store, netns, at_ms, one, share.anew,
                                        counting->interfaces.items + interface, err);
        if (r >= 0)
            r = counting_put_routes(store, netns, at_ms, one, share.anew,
                                    counting->routes.items + route, counting->hops.items, err);
        counter += one->n_counters;
        interface += one->n_interfaces;
        route += one->n_routes;
    }
    if (r < 0 || !counting->taken)
        return r;
    return WRITER_RUN(store, STMT_ADD_READING, sql, err, at_ms,
                      (int64_t)counting->left_out + naming.refused);
}
