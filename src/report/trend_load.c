/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "connhist/store/db.h"
#include "trend_rows.h"

static const char base_sql[] = "SELECT start_ms FROM snapshots WHERE anchor = 1 "
                               "AND start_ms <= ?1 ORDER BY start_ms DESC LIMIT 1";
static const char anchors_sql[] = "SELECT start_ms FROM snapshots WHERE anchor = 1 "
                                  "AND start_ms > ?1 AND start_ms <= ?2 ORDER BY start_ms";
static const char tallies_sql[] =
    "SELECT at_ms, count FROM tallies WHERE service = ?1 AND state = ?2 "
    "AND at_ms BETWEEN ?3 AND ?4 ORDER BY at_ms";
#define PERIODS_OF(table)                                                                \
    "SELECT at_ms, min, max, last, sum FROM " table " WHERE tier = ?3 AND service = ?1 " \
    "AND state = ?2 AND at_ms BETWEEN ?4 AND ?5 ORDER BY at_ms"

static const char periods_sql[] = PERIODS_OF("tally_rollups");
static const char apart_sql[] = PERIODS_OF("netns_tallies");

/* A piece of the span, with what is needed to read the ticks of it. */
struct part {
    enum tier tier;
    size_t first; /* its moments */
    size_t end;   /* behind them */
    int64_t
        base_ms; /* ticks: the latest anchor not later than the first moment; periods: that one */
    int64_t last_ms;    /* the last moment */
    size_t anchor;      /* ticks: which of the anchors is the first behind base_ms */
    size_t anchors_end; /* ... and behind the last one */
};

struct tally_reader {
    struct stmt *ticks;   /* tallies_sql; owned */
    struct stmt *periods; /* periods_sql; NULL: there are none; owned */
    struct stmt *apart;   /* apart_sql; NULL: none of them is of single namespaces; owned */
    struct sweep *sweep;  /* not owned */
    struct {
        VEC_FIELDS(struct part);
    } parts; /* ascending; owned */
    struct {
        VEC_FIELDS(int64_t);
    } anchors; /* of the parts of ticks, one behind the other; owned */
};

static void tally_reader_finish(struct tally_reader *reader)
{
    stmt_free(reader->ticks);
    stmt_free(reader->periods);
    stmt_free(reader->apart);
    vec_finish(&reader->parts);
    vec_finish(&reader->anchors);
}

static int find_base(struct db *db, int64_t first_ms, int64_t *ret_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    *ret_ms = INT64_MIN;
    r = db_prepare(db, base_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, first_ms);
    r = stmt_step(stmt, err);
    if (r > 0)
        *ret_ms = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

static int find_anchors(struct tally_reader *reader, struct db *db, struct part *part,
                        struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    part->anchor = part->anchors_end = reader->anchors.n;
    r = db_prepare(db, anchors_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, part->base_ms);
    stmt_bind_i64(stmt, 2, part->last_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        if (vec_push(&reader->anchors, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the counts");
    part->anchors_end = reader->anchors.n;
    return r;
}

static int add_part(struct tally_reader *reader, struct db *db, const struct piece *piece,
                    struct err *err)
{
    const struct sweep *sweep = reader->sweep;
    struct part part = {.tier = piece->tier, .first = sweep_index(sweep, 0, piece->from_ms)};
    int r = 0;

    part.end = sweep_index(sweep, part.first, piece->end_ms);
    if (part.first == part.end)
        return 0;
    part.base_ms = sweep->times[part.first];
    part.last_ms = sweep->times[part.end - 1];
    if (piece->tier == TIER_TICKS)
        r = find_base(db, part.base_ms, &part.base_ms, err);
    if (r == 0 && piece->tier == TIER_TICKS)
        r = find_anchors(reader, db, &part, err);
    else if (r == 0 && !reader->periods)
        r = db_prepare(db, periods_sql, &reader->periods, err);
    if (r == 0 && vec_push(&reader->parts, part) < 0)
        r = err_errno(err, -ENOMEM, "reading the counts");
    return r;
}

static int tally_reader_init(struct tally_reader *reader, struct db *db, struct sweep *sweep,
                             struct err *err)
{
    int r = db_prepare(db, tallies_sql, &reader->ticks, err);

    reader->sweep = sweep;
    for (size_t i = 0; r == 0 && !reader->apart && i < sweep->moments->periods.n; i++)
        if (sweep->moments->periods.items[i].apart)
            r = db_prepare(db, apart_sql, &reader->apart, err);
    for (size_t i = 0; r == 0 && i < sweep->moments->pieces.n; i++)
        r = add_part(reader, db, &sweep->moments->pieces.items[i], err);
    return r;
}

/* The first anchor of a part behind an instant; INT64_MAX: none. */
static int64_t next_anchor(const struct tally_reader *reader, const struct part *part,
                           int64_t at_ms)
{
    size_t low = part->anchor, high = part->anchors_end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (reader->anchors.items[middle] <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low < part->anchors_end ? reader->anchors.items[low] : INT64_MAX;
}

/* The count of one service in one state, as its rows are read. */
struct tally {
    struct sweep *sweep;          /* not owned */
    const struct part *part;      /* not owned */
    const struct series_key *key; /* not owned */
    int64_t count;                /* sockets, since at_ms */
    int64_t at_ms;                /* of the row read last */
    size_t snapshot;              /* index that at_ms stands for */
};

static int move_to(struct tally *tally, int64_t at_ms, int64_t count)
{
    int64_t delta = count - tally->count;

    tally->snapshot = sweep_index(tally->sweep, tally->snapshot, at_ms);
    if (tally->snapshot > tally->part->end)
        tally->snapshot = tally->part->end;
    tally->count = count;
    tally->at_ms = at_ms;
    return sweep_add(tally->sweep, tally->key, tally->snapshot, delta);
}

/* An anchor names all that is not 0, so a count that it leaves out is 0 from there on. */
static int pass_anchor(const struct tally_reader *reader, struct tally *tally, int64_t until_ms)
{
    int64_t anchor_ms;

    if (tally->count == 0)
        return 0;
    anchor_ms = next_anchor(reader, tally->part, tally->at_ms);
    return anchor_ms < until_ms ? move_to(tally, anchor_ms, 0) : 0;
}

static int damaged(struct err *err)
{
    return err_set(err, -EBADMSG, "the file is damaged: a count is out of range");
}

/* Counts hold from their snapshot on; behind the part they are taken back. */
static int read_ticks(struct tally_reader *reader, const struct part *part,
                      const struct series_key *key, struct err *err)
{
    struct tally tally = {
        .sweep = reader->sweep, .part = part, .key = key, .snapshot = part->first};
    struct stmt *stmt = reader->ticks;
    int r;

    stmt_bind_i64(stmt, 3, part->base_ms);
    stmt_bind_i64(stmt, 4, part->last_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t at_ms = stmt_i64(stmt, 0), count = stmt_i64(stmt, 1);

        if (count < 0 || count > UINT32_MAX)
            return damaged(err);
        if (pass_anchor(reader, &tally, at_ms) < 0 || move_to(&tally, at_ms, count) < 0)
            return err_errno(err, -ENOMEM, "reading the counts");
    }
    if (r == 0 && (pass_anchor(reader, &tally, INT64_MAX) < 0 ||
                   sweep_add(reader->sweep, key, part->end, -tally.count) < 0))
        return err_errno(err, -ENOMEM, "reading the counts");
    return r;
}

/* Each period has its counts in one of two tables. */
static bool is_apart(const struct sweep *sweep, size_t at)
{
    return sweep->moments->periods.items[moments_period(sweep->moments, at)].apart;
}

static int read_periods(struct tally_reader *reader, const struct part *part, struct stmt *stmt,
                        const struct series_key *key, struct err *err)
{
    size_t at = part->first;
    int r;

    stmt_bind_i64(stmt, 3, part->tier);
    stmt_bind_i64(stmt, 4, part->base_ms);
    stmt_bind_i64(stmt, 5, part->last_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        struct period_count count = {
            .min = stmt_i64(stmt, 1),
            .max = stmt_i64(stmt, 2),
            .last = stmt_i64(stmt, 3),
            .sum = stmt_i64(stmt, 4),
        };

        if (count.min < 0 || count.max < count.min || count.max > UINT32_MAX ||
            count.last < count.min || count.last > count.max || count.sum < 0)
            return damaged(err);
        at = sweep_index(reader->sweep, at, stmt_i64(stmt, 0));
        if (at >= part->end)
            break;
        if (reader->sweep->times[at] != stmt_i64(stmt, 0))
            continue; /* it lies outside of what was asked for: the clock was set */
        if (reader->apart && is_apart(reader->sweep, at) != (stmt == reader->apart))
            continue;
        count.at = at;
        count.moving = count.min != count.max;
        if (sweep_add_period(reader->sweep, key, &count) < 0)
            return err_errno(err, -ENOMEM, "reading the counts");
    }
    return r < 0 ? r : 0;
}

static void bind(struct stmt *stmt, const struct known_service *service, uint8_t state)
{
    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, service->id);
    stmt_bind_i64(stmt, 2, state);
}

static int read_tally(struct tally_reader *reader, const struct known_service *service,
                      uint8_t state, const struct series_key *key, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < reader->parts.n; i++) {
        const struct part *part = &reader->parts.items[i];
        bool ticks = part->tier == TIER_TICKS;

        bind(ticks ? reader->ticks : reader->periods, service, state);
        r = ticks ? read_ticks(reader, part, key, err)
                  : read_periods(reader, part, reader->periods, key, err);
        if (r < 0 || ticks || !reader->apart)
            continue;
        bind(reader->apart, service, state);
        r = read_periods(reader, part, reader->apart, key, err);
    }
    return r;
}

static int read_service(struct tally_reader *reader, const struct known_service *service,
                        const struct trend_question *question, struct labels *labels,
                        struct err *err)
{
    struct label_set set = {0};
    int r = 0;

    if (labels && labels_of_service(labels, question->by, service, &set) < 0)
        return err_errno(err, -ENOMEM, "reading the counts");
    for (uint8_t state = 1; r == 0 && state < STATE_COUNT; state++) {
        struct series_key key = series_key_make(question->by, &service->key, state);

        key.labels = set;
        if (filter_state(&question->filter, state))
            r = read_tally(reader, service, state, &key, err);
    }
    return r;
}

int trend_load(struct db *db, const struct lookup *lookup, const struct trend_question *question,
               struct labels *labels, struct sweep *sweep, struct err *err)
{
    _cleanup_(tally_reader_finish) struct tally_reader reader = {0};
    int r;

    r = tally_reader_init(&reader, db, sweep, err);
    for (size_t i = 0; r == 0 && i < lookup->services.n; i++)
        if (lookup->services.items[i].chosen)
            r = read_service(&reader, &lookup->services.items[i], question, labels, err);
    return r;
}
