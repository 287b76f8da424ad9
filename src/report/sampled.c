/* SPDX-License-Identifier: MIT */
#include "sampled.h"

#include "connhist/model/sample.h"
#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "edition.h"

static const char facts_sql[] =
    "SELECT at_ms, sent_bytes, received_bytes, segs_out, segs_in, retrans, rtt_us, "
    "max(last_sent_ms, last_received_ms), coalesce(closed_by, 0) FROM open_facts WHERE life = ?1 "
    "AND at_ms <= ?2";

static const char sampling_sql[] = "SELECT start_ms FROM snapshots WHERE sampled = 1 "
                                   "AND status = 0 AND start_ms <= ?1 "
                                   "ORDER BY start_ms DESC LIMIT 1";

static int read_last_sampling(struct sampled_reader *reader, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sampling_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, reader->until_ms);
    r = stmt_step(stmt, err);
    if (r > 0)
        reader->last_sampling_ms = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

int sampled_reader_init(struct sampled_reader *reader, struct db *db, int64_t until_ms,
                        struct err *err)
{
    int r;

    *reader = (struct sampled_reader){.until_ms = until_ms, .last_sampling_ms = INT64_MIN};
    if (!edition_has_events(db))
        return 0;
    r = read_last_sampling(reader, db, err);
    return r < 0 ? r : db_prepare(db, facts_sql, &reader->facts, err);
}

void sampled_reader_finish(struct sampled_reader *reader)
{
    stmt_free(reader->facts);
}

/* Whether each sampling surely asked about a life since it was in this state: FIN_WAIT2 may be a
 * mini-socket's, of which the kernel tells nothing any more. */
static bool is_sampled_in(unsigned state)
{
    return sample_carries((enum sock_state)state) && state != STATE_FIN_WAIT2;
}

/* A row that no later sampling replaced holds up to that one. */
static int64_t known_until(const struct sampled_reader *reader, const struct stored_life *life,
                           int64_t at_ms)
{
    return is_sampled_in(file_traits_state(life->traits)) && reader->last_sampling_ms > at_ms
               ? reader->last_sampling_ms
               : at_ms;
}

static void fill(const struct sampled_reader *reader, const struct walltime *walltime,
                 const struct stored_life *life, struct socket_row *row)
{
    struct stmt *stmt = reader->facts;
    int64_t until_ms = known_until(reader, life, stmt_i64(stmt, 0));

    row->has_facts = true;
    row->tx_bytes = stmt_i64(stmt, 1);
    row->rx_bytes = stmt_i64(stmt, 2);
    row->rx_uncertain = file_closed_by_uncertain((unsigned)stmt_i64(stmt, 8));
    row->tx_segs = stmt_i64(stmt, 3);
    row->rx_segs = stmt_i64(stmt, 4);
    row->retrans = stmt_i64(stmt, 5);
    row->rtt_us = stmt_i64(stmt, 6);
    row->sampled_ms = walltime_of_record(walltime, until_ms);
    row->idle_ms = until_ms - stmt_i64(stmt, 7);
}

int sampled_reader_fill(struct sampled_reader *reader, const struct walltime *walltime,
                        const struct stored_life *life, struct socket_row *row, struct err *err)
{
    int r;

    if (!reader->facts)
        return 0;
    stmt_bind_i64(reader->facts, 1, life->number);
    stmt_bind_i64(reader->facts, 2, reader->until_ms);
    r = stmt_step(reader->facts, err);
    if (r > 0)
        fill(reader, walltime, life, row);
    stmt_reset(reader->facts);
    return r < 0 ? r : 0;
}
