/* SPDX-License-Identifier: MIT */
#include "stored_life.h"

#include <sys/socket.h>

#include <errno.h>

#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "edition.h"

#define OPEN_COLUMNS                                                                               \
    "SELECT life, service, local, remote, local_port, remote_port, scope, owner, traits, states, " \
    "since_ms, life FROM open "
#define FACT_COLUMNS(table)                                                        \
    "," table ".closed_by, " table ".sent_bytes, " table ".received_bytes, " table \
    ".segs_out, " table ".segs_in, " table ".retrans, " table ".rtt_us"
#define CLOSED_COLUMNS                                                                            \
    "SELECT c.key, c.service, c.local, c.remote, c.local_port, c.remote_port, c.scope, c.owner, " \
    "c.traits, c.states, c.duration_ms, c.life, c.late_ms"
#define SAMPLED_MS ", c.sampled_ms"

/* With what events told, in the row itself or, when the event came late, beside it. */
#define FACTS_CLOSED  \
    CLOSED_COLUMNS    \
    FACT_COLUMNS("c") \
    FACT_COLUMNS("l") \
    SAMPLED_MS        \
    " FROM closed AS c LEFT JOIN late AS l ON l.life = c.life "
#define OLD_CLOSED  CLOSED_COLUMNS " FROM closed AS c "
#define WHERE_RANGE "WHERE c.key BETWEEN ?1 AND ?2"

/* Most rows are passed over by SQLite alone, which takes a fifth of the time. */
#define WHERE_CHOSEN                                                                      \
    WHERE_RANGE " AND (?5 = 0 OR c.service IN (SELECT s.id FROM services AS s "           \
                "WHERE s.port BETWEEN ?3 AND ?4) OR (?5 = 2 AND ((c.local_port & 65535) " \
                "BETWEEN ?3 AND ?4 OR (c.remote_port & 65535) BETWEEN ?3 AND ?4))) "      \
                "AND (?6 = 0 OR (typeof(c.remote) = 'integer' AND (c.remote & ?6) = ?7))"
#define WHERE_KEY "WHERE c.key = ?1"

/* Columns of CLOSED_COLUMNS, of FACT_COLUMNS behind them, twice, and the last one. */
enum { CLOSED_END = 13, FACTS = 7, LATE = CLOSED_END + FACTS, SAMPLED = LATE + FACTS };

static const char open_sql[] = OPEN_COLUMNS "WHERE since_ms <= ?1";
static const char open_row_sql[] = OPEN_COLUMNS "WHERE life = ?1";

/* A port that is NULL is the service's. */
static uint16_t read_port(struct stmt *stmt, int column, const struct service_key *service)
{
    if (!stmt_is_null(stmt, column))
        return file_port_of(stmt_i64(stmt, column));
    return service->port < 0 ? 0 : (uint16_t)service->port;
}

static struct file_remote read_remote(struct stmt *stmt, int column)
{
    struct file_remote remote = {.ipv6 = stmt_type(stmt, column) != DB_INTEGER};

    if (remote.ipv6)
        remote.bytes = stmt_blob(stmt, column, &remote.n);
    else
        remote.number = stmt_i64(stmt, column);
    return remote;
}

static int read_life(struct stmt *stmt, const struct lookup *lookup, struct stored_life *ret,
                     struct err *err)
{
    const struct known_service *service = lookup_service(lookup, stmt_i64(stmt, 1));

    if (!service)
        return err_set(err, -EBADMSG, "the file is damaged: a socket's service lacks");
    *ret = (struct stored_life){
        .row = stmt_i64(stmt, 0),
        .number = stmt_i64(stmt, 11),
        .service = service,
        .local = stmt_i64(stmt, 2),
        .remote = read_remote(stmt, 3),
        .local_port = read_port(stmt, 4, &service->key),
        .remote_port = read_port(stmt, 5, &service->key),
        .scope_ifindex = (uint32_t)stmt_i64(stmt, 6),
        .owner = stmt_i64(stmt, 7),
        .traits = (unsigned)stmt_i64(stmt, 8),
        .since_ms = stmt_i64(stmt, 10),
        .ended_ms = LIFE_OPEN,
        .sampled_ms = TIME_UNKNOWN,
    };
    ret->states = stmt_blob(stmt, 9, &ret->n_states);
    return 0;
}

/* What the event told; nothing is known where the last of the columns is NULL. */
static void read_facts(struct stmt *stmt, int column, struct stored_life *life)
{
    unsigned closed_by = (unsigned)stmt_i64(stmt, column);

    if (file_closed_by_who(closed_by))
        life->closed_by = (uint8_t)file_closed_by_who(closed_by);
    if (stmt_is_null(stmt, column + FACTS - 1))
        return;
    life->facts = (struct life_facts){
        .known = true,
        .received_uncertain = file_closed_by_uncertain(closed_by),
        .sent_bytes = (uint64_t)stmt_i64(stmt, column + 1),
        .received_bytes = (uint64_t)stmt_i64(stmt, column + 2),
        .segs_out = (uint32_t)stmt_i64(stmt, column + 3),
        .segs_in = (uint32_t)stmt_i64(stmt, column + 4),
        .retrans = (uint32_t)stmt_i64(stmt, column + 5),
        .rtt_us = (uint32_t)stmt_i64(stmt, column + 6),
    };
}

static int read_closed(struct stmt *stmt, const struct lookup *lookup, struct stored_life *ret,
                       struct err *err)
{
    int r = read_life(stmt, lookup, ret, err);

    if (r < 0)
        return r;
    ret->ended_ms = file_closed_at(stmt_i64(stmt, 0), stmt_i64(stmt, 12));
    ret->since_ms = ret->ended_ms - stmt_i64(stmt, 10);
    /* a file of an older edition has none; what came late knows better */
    if (stmt_columns(stmt) <= SAMPLED)
        return 0;
    read_facts(stmt, CLOSED_END, ret);
    ret->end_told = ret->facts.known && stmt_is_null(stmt, SAMPLED);
    read_facts(stmt, LATE, ret);
    if (!stmt_is_null(stmt, SAMPLED) && stmt_is_null(stmt, SAMPLED - 1))
        ret->sampled_ms = stmt_i64(stmt, SAMPLED);
    return 0;
}

/* Prepares one of two statements, as the file's edition has facts or not. */
static int prepare_closed(struct db *db, const char *sql, const char *old_sql, struct stmt **ret,
                          struct err *err)
{
    return db_prepare(db, edition_has_events(db) ? sql : old_sql, ret, err);
}

static int each_open(struct db *db, const struct lookup *lookup, int64_t until_ms,
                     stored_life_fn fn, void *arg, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct stored_life life;
    int r;

    r = db_prepare(db, open_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, until_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        r = read_life(stmt, lookup, &life, err);
        if (r == 0)
            r = fn(arg, &life, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* What stored_life_each() is asked for. */
struct each {
    struct stmt *stmt;           /* not owned */
    const struct lookup *lookup; /* not owned */
    int64_t from_ms;
    int64_t until_ms;
    stored_life_fn fn;
    void *arg;
};

static int each_in_range(const struct each *each, int64_t first, int64_t last, struct err *err)
{
    struct stored_life life;
    int r;

    stmt_reset(each->stmt);
    stmt_bind_i64(each->stmt, 1, first);
    stmt_bind_i64(each->stmt, 2, last);
    while ((r = stmt_step(each->stmt, err)) > 0) {
        r = read_closed(each->stmt, each->lookup, &life, err);
        if (r == 0 && life.since_ms <= each->until_ms && life.ended_ms > each->from_ms)
            r = each->fn(each->arg, &life, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* Index of the first of the skips that does not end before an instant. */
static size_t skip_at(const struct life_choice *choice, int64_t at_ms)
{
    size_t low = 0, high = choice->n_skips;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (choice->skips[middle].until_ms < at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A range of keys of one class, but for what is skipped. */
static int each_between(const struct each *each, const struct life_choice *choice, unsigned class,
                        int64_t first, int64_t last, struct err *err)
{
    int r = 0;

    for (size_t i = skip_at(choice, file_closed_at(first, 0)); r == 0 && first <= last; i++) {
        bool skips = i < choice->n_skips;
        int64_t from = skips ? file_closed_key(class, choice->skips[i].from_ms, 0) : INT64_MAX;

        if (from > first)
            r = each_in_range(each, first, from <= last ? from - 1 : last, err);
        if (!skips || from > last)
            break;
        first = file_closed_key(class, choice->skips[i].until_ms, FILE_SERIALS - 1) + 1;
    }
    return r;
}

/* The ranges of keys of two visits may lie upon each other, and no life is given twice. */
static int each_of_class(const struct each *each, const struct life_choice *choice, unsigned class,
                         struct err *err)
{
    const struct visit whole = {.from_ms = each->from_ms, .until_ms = each->until_ms};
    const struct visit *visits = choice->n_visits ? choice->visits : &whole;
    size_t n = choice->n_visits ? choice->n_visits : 1;
    int64_t done = INT64_MIN, first, last;
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        file_alive_range(class, visits[i].from_ms, visits[i].until_ms, &first, &last);
        if (last <= done)
            continue;
        if (first <= done)
            first = done + 1;
        done = last;
        r = each_between(each, choice, class, first, last, err);
    }
    return r;
}

struct life_choice life_choice_services(const struct filter *filter)
{
    struct life_choice choice = {.ports = filter->n_ports > 0, .low = UINT16_MAX};

    for (size_t i = 0; i < filter->n_ports; i++) {
        if (filter->ports[i].low < choice.low)
            choice.low = filter->ports[i].low;
        if (filter->ports[i].high > choice.high)
            choice.high = filter->ports[i].high;
    }
    return choice;
}

struct life_choice life_choice_sockets(const struct filter *filter)
{
    struct life_choice choice = life_choice_services(filter);

    choice.either_end = true;
    if (filter->has_peer && filter->peer.family == AF_INET && filter->peer.bits > 0 &&
        filter->peer.bits <= 32) {
        choice.mask = (int32_t)(UINT32_MAX << (32 - filter->peer.bits));
        choice.network = (int32_t)address_ipv4(AF_INET, &filter->peer.base) & choice.mask;
    }
    return choice;
}

static void bind_choice(struct stmt *stmt, const struct life_choice *choice)
{
    int ports = choice->either_end ? 2 : 1;

    stmt_bind_i64(stmt, 3, choice->low);
    stmt_bind_i64(stmt, 4, choice->high);
    stmt_bind_i64(stmt, 5, choice->ports ? ports : 0);
    stmt_bind_i64(stmt, 6, choice->mask);
    stmt_bind_i64(stmt, 7, choice->network);
}

int stored_life_each(struct db *db, const struct lookup *lookup, unsigned which,
                     const struct life_choice *choice, int64_t from_ms, int64_t until_ms,
                     stored_life_fn fn, void *arg, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct each each = {
        .lookup = lookup, .from_ms = from_ms, .until_ms = until_ms, .fn = fn, .arg = arg};
    bool some = choice->ports || choice->mask;
    int r = 0;

    if (which & LIVES_OPEN)
        r = each_open(db, lookup, until_ms, fn, arg, err);
    if (r < 0 || !(which & LIVES_CLOSED))
        return r;
    r = prepare_closed(db, some ? FACTS_CLOSED WHERE_CHOSEN : FACTS_CLOSED WHERE_RANGE,
                       some ? OLD_CLOSED WHERE_CHOSEN : OLD_CLOSED WHERE_RANGE, &stmt, err);
    if (r == 0 && some)
        bind_choice(stmt, choice);
    each.stmt = stmt;
    for (unsigned class = 0; r == 0 && class < FILE_CLASSES; class ++)
        r = each_of_class(&each, choice, class, err);
    return r;
}

int life_reader_init(struct life_reader *reader, struct db *db, struct err *err)
{
    int r = db_prepare(db, open_row_sql, &reader->open, err);

    if (r < 0)
        return r;
    return prepare_closed(db, FACTS_CLOSED WHERE_KEY, OLD_CLOSED WHERE_KEY, &reader->closed, err);
}

void life_reader_finish(struct life_reader *reader)
{
    stmt_free(reader->open);
    stmt_free(reader->closed);
}

int life_reader_get(struct life_reader *reader, const struct lookup *lookup, bool open, int64_t row,
                    struct stored_life *ret, struct err *err)
{
    struct stmt *stmt = open ? reader->open : reader->closed;
    int r;

    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, row);
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(err, -ENOENT, "a socket's row went away while it was read");
    return open ? read_life(stmt, lookup, ret, err) : read_closed(stmt, lookup, ret, err);
}

bool stored_life_end_is_exact(const struct stored_life *life)
{
    return life->end_told && file_traits_state(life->traits) != STATE_FIN_WAIT2;
}

int stored_life_endpoints(const struct stored_life *life, struct lookup *lookup,
                          struct endpoints *ret, struct err *err)
{
    struct endpoints ends = {0};
    int r;

    r = lookup_address(lookup, life->local, &ends.family, &ends.local, err);
    if (r < 0)
        return r;
    if (file_remote_address(ends.family, &life->remote, &ends.remote) < 0)
        return err_set(err, -EBADMSG, "the file is damaged: a socket's remote address is none");
    *ret = ends;
    return 0;
}
