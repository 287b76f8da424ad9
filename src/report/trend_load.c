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

struct tally_reader {
    struct stmt *stmt;   /* tallies_sql; owned */
    struct sweep *sweep; /* not owned */
    int64_t base_ms; /* the latest anchor not later than the first snapshot: reading begins there */
    int64_t last_ms; /* the last snapshot */
    struct {
        VEC_FIELDS(int64_t);
    } anchors; /* those behind base_ms, ascending; owned */
};

static void tally_reader_finish(struct tally_reader *reader)
{
    stmt_free(reader->stmt);
    vec_finish(&reader->anchors);
}

static int find_base(struct tally_reader *reader, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    reader->base_ms = INT64_MIN;
    r = db_prepare(db, base_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, reader->sweep->times[0]);
    r = stmt_step(stmt, err);
    if (r > 0)
        reader->base_ms = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

static int find_anchors(struct tally_reader *reader, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(db, anchors_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, reader->base_ms);
    stmt_bind_i64(stmt, 2, reader->last_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        if (vec_push(&reader->anchors, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the counts");
    return r;
}

static int tally_reader_init(struct tally_reader *reader, struct db *db, struct sweep *sweep,
                             struct err *err)
{
    int r;

    reader->sweep = sweep;
    reader->last_ms = sweep->times[sweep->n_times - 1];
    r = find_base(reader, db, err);
    if (r == 0)
        r = find_anchors(reader, db, err);
    if (r == 0)
        r = db_prepare(db, tallies_sql, &reader->stmt, err);
    return r;
}

/* The first anchor behind an instant; INT64_MAX: none. */
static int64_t next_anchor(const struct tally_reader *reader, int64_t at_ms)
{
    size_t low = 0, high = reader->anchors.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (reader->anchors.items[middle] <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low < reader->anchors.n ? reader->anchors.items[low] : INT64_MAX;
}

/* The count of one service in one state, as its rows are read. */
struct tally {
    int64_t count;   /* sockets, since at_ms */
    int64_t at_ms;   /* of the row read last */
    size_t snapshot; /* index that at_ms stands for */
};

static int move_to(struct tally_reader *reader, const struct series_key *key, struct tally *tally,
                   int64_t at_ms, int64_t count)
{
    int64_t delta = count - tally->count;

    tally->snapshot = sweep_index(reader->sweep, tally->snapshot, at_ms);
    tally->count = count;
    tally->at_ms = at_ms;
    return sweep_add(reader->sweep, key, tally->snapshot, delta);
}

/* An anchor names all that is not 0, so a count that it leaves out is 0 from there on. */
static int pass_anchor(struct tally_reader *reader, const struct series_key *key,
                       struct tally *tally, int64_t until_ms)
{
    int64_t anchor_ms;

    if (tally->count == 0)
        return 0;
    anchor_ms = next_anchor(reader, tally->at_ms);
    return anchor_ms < until_ms ? move_to(reader, key, tally, anchor_ms, 0) : 0;
}

static int read_tally(struct tally_reader *reader, const struct known_service *service,
                      uint8_t state, const struct series_key *key, struct err *err)
{
    struct tally tally = {0};
    int r;

    stmt_reset(reader->stmt);
    stmt_bind_i64(reader->stmt, 1, service->id);
    stmt_bind_i64(reader->stmt, 2, state);
    stmt_bind_i64(reader->stmt, 3, reader->base_ms);
    stmt_bind_i64(reader->stmt, 4, reader->last_ms);
    while ((r = stmt_step(reader->stmt, err)) > 0) {
        int64_t at_ms = stmt_i64(reader->stmt, 0), count = stmt_i64(reader->stmt, 1);

        if (count < 0 || count > UINT32_MAX)
            return err_set(err, -EBADMSG, "the file is damaged: a count is out of range");
        if (pass_anchor(reader, key, &tally, at_ms) < 0 ||
            move_to(reader, key, &tally, at_ms, count) < 0)
            return err_errno(err, -ENOMEM, "reading the counts");
    }
    if (r == 0 && pass_anchor(reader, key, &tally, INT64_MAX) < 0)
        return err_errno(err, -ENOMEM, "reading the counts");
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
