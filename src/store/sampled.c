/* SPDX-License-Identifier: MIT */
/* What tcp_info told of connections that are open. */
#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

int sampled_put(struct store *store, const struct sampled_facts *sampled, int64_t at_ms,
                struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO open_facts (life, at_ms, sent_bytes, received_bytes, segs_out, "
        "segs_in, retrans, rtt_us, last_sent_ms, last_received_ms, closed_by) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, nullif(?11, -1))";
    const struct life_facts *facts = &sampled->facts;
    int64_t closed_by = sampled->is_over
                            ? (int64_t)file_closed_by(sampled->closed_by, facts->received_uncertain)
                            : -1;

    return WRITER_RUN(store, STMT_PUT_FACTS, sql, err, (int64_t)sampled->life, at_ms,
                      (int64_t)facts->sent_bytes, (int64_t)facts->received_bytes, facts->segs_out,
                      facts->segs_in, facts->retrans, facts->rtt_us, sampled->last_sent_ms,
                      sampled->last_received_ms, closed_by);
}

int sampled_keep(struct store *store, int64_t number, int64_t key, struct err *err)
{
    /* who closed is the row's own, where it knows */
    static const char sql[] =
        "UPDATE closed SET sent_bytes = f.sent_bytes, received_bytes = f.received_bytes, "
        "segs_out = f.segs_out, segs_in = f.segs_in, retrans = f.retrans, rtt_us = f.rtt_us, "
        "closed_by = iif(f.closed_by IS NULL, closed.closed_by, "
        "nullif(coalesce(nullif(closed.closed_by & 15, 0), f.closed_by & 15) "
        "| (f.closed_by & 16), 0)), sampled_ms = iif(f.closed_by IS NULL, f.at_ms, NULL) "
        "FROM open_facts AS f WHERE key = ?1 AND f.life = ?2";

    return WRITER_RUN(store, STMT_KEEP_FACTS, sql, err, key, number);
}

int sampled_drop(struct store *store, int64_t number, struct err *err)
{
    return WRITER_RUN(store, STMT_DROP_FACTS, "DELETE FROM open_facts WHERE life = ?1", err,
                      number);
}
