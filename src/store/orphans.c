/* SPDX-License-Identifier: MIT */
/* Names, addresses and services to which nothing refers any more. First all that is referred to is marked, table
 * by table, in steps between which the recorder goes on writing: what it looks up meanwhile is marked as well. Then
 * goes what has no mark. `closed` is read from its last key to its first, since rows of it are moved to
 * smaller keys alone (a planned end that came early), and `open` before it, since lives go from there to
 * `closed`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "retention.h"
#include "sql.h"
#include "writer.h"

#define STEP_READS   1500       /* rows looked at in a step */
#define STEP_DROPS   300        /* rows looked at in a step that removes */
#define LEAST_GONE   2000       /* rows of detail that must have gone for a sweep to begin ... */
#define GONE_SHARE   10         /* ... and so many for each page in use */
#define LIFE_BITS    (1U << 20) /* lives share bits: what keeps one too many is seen the next time */
#define MOST_BITS    (INT64_C(1) << 31) /* of numbers: a file with greater ones is not swept */
#define MOST_COLUMNS 6
/* A third column: else SQLite steps over each row of the first two. */
#define BEHIND_ALL  "9223372036854775807"
#define STEP_GROUPS 100              /* rows of one reading, or of one period, each */
#define NAMES_PACE  INT64_C(3600000) /* from one sweep of counters' names to the next, ms */

enum kind {
    KIND_NONE,
    SERVICES,
    OWNERS,
    ADDRESSES,
    PROCESSES,
    PROGRAMS,
    CGROUPS,
    NETNS,
    BOOTS,
    COUNTERS,
    LIVES,
    KIND_COUNT
};

struct marks {
    uint8_t *bits; /* owned */
    size_t n;      /* bytes */
};

struct orphans {
    struct marks marks[KIND_COUNT];
    int64_t at[2];  /* where the phase stands */
    unsigned phase; /* of phases[] */
    bool failed;    /* memory was short: nothing must go */
    bool names; /* names of counters were short when it began: all phases are about them, or none */
};

/* Reads a table, or a dictionary of which what has no mark goes. The first two columns say where a step ends, the
 * others are numbers of the kinds that follow. */
struct phase {
    const char *sql;  /* bound: where the last step ended, how many rows */
    const char *drop; /* removes the row of a number; NULL: the table is only read */
    enum kind of;     /* what the dictionary's numbers are */
    enum kind kinds[MOST_COLUMNS];
    bool down;    /* from the greatest key to the smallest */
    bool single;  /* gives a row each time */
    bool changes; /* of owner_changes and offloads, which not each file has */
    bool groups;  /* drop removes what has no mark of all that have the row's first two columns */
    bool names;   /* only where names of counters are short */
};

/* clang-format off */
static const struct phase phases[] = {
    {.sql = "SELECT life, 0, service, local, owner, life FROM open WHERE life > ?1 AND ?2 >= -1 ORDER BY life LIMIT ?3",
     .kinds = {SERVICES, ADDRESSES, OWNERS, LIVES}},
    {.sql = "SELECT key, 0, service, local, owner, life FROM closed WHERE key < ?1 AND ?2 >= -1 ORDER BY key DESC LIMIT ?3",
     .kinds = {SERVICES, ADDRESSES, OWNERS, LIVES}, .down = true},
    {.sql = "SELECT life, owner, owner FROM holders WHERE (life, owner) > (?1, ?2) ORDER BY life, owner LIMIT ?3",
     .kinds = {OWNERS}},
    {.sql = "SELECT life, until_ms, owner FROM owner_changes WHERE (life, until_ms) > (?1, ?2) ORDER BY life, until_ms LIMIT ?3",
     .kinds = {OWNERS}, .changes = true},
    {.sql = "SELECT service, 0, service FROM tallies WHERE service > ?1 AND ?2 >= -1 AND ?3 ORDER BY service LIMIT 1",
     .kinds = {SERVICES}, .single = true},
    {.sql = "SELECT tier, service, service FROM tally_rollups WHERE (tier, service, state) > (?1, ?2, " BEHIND_ALL ") AND ?3 ORDER BY tier, service, state LIMIT 1",
     .kinds = {SERVICES}, .single = true},
    {.sql = "SELECT tier, service, service FROM netns_tallies WHERE (tier, service, state) > (?1, ?2, " BEHIND_ALL ") AND ?3 ORDER BY tier, service, state LIMIT 1",
     .kinds = {SERVICES}, .single = true},
    {.sql = "SELECT at_ms, netns, netns FROM netns_covers WHERE tier = 3 AND (at_ms, netns) > (?1, ?2) ORDER BY at_ms, netns LIMIT ?3",
     .kinds = {NETNS}},
    {.sql = "SELECT tier, service, service FROM rate_rollups WHERE (tier, service, at_ms) > (?1, ?2, " BEHIND_ALL ") AND ?3 ORDER BY tier, service, at_ms LIMIT 1",
     .kinds = {SERVICES}, .single = true},
    {.sql = "SELECT netns, from_ms, netns FROM netns_spans WHERE (netns, from_ms) > (?1, ?2) ORDER BY netns, from_ms LIMIT ?3",
     .kinds = {NETNS}},
    {.sql = "SELECT start_ms, netns, netns FROM incomplete WHERE (start_ms, netns) > (?1, ?2) ORDER BY start_ms, netns LIMIT ?3",
     .kinds = {NETNS}},
    {.sql = "SELECT netns, 0, netns FROM counters WHERE netns > ?1 AND ?2 >= -1 AND ?3 ORDER BY netns LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT tier, netns, netns FROM counter_rollups WHERE (tier, netns, at_ms) > (?1, ?2, " BEHIND_ALL ") AND ?3 ORDER BY tier, netns, at_ms LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT tier, netns, netns FROM counter_cover WHERE (tier, netns, at_ms) > (?1, ?2, " BEHIND_ALL ") AND ?3 ORDER BY tier, netns, at_ms LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT netns, 0, netns FROM interfaces WHERE netns > ?1 AND ?2 >= -1 AND ?3 ORDER BY netns LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT netns, 0, netns FROM routes WHERE netns > ?1 AND ?2 >= -1 AND ?3 ORDER BY netns LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT at_ms, netns, netns FROM reading_lacks WHERE (at_ms, netns) > (?1, ?2) ORDER BY at_ms, netns LIMIT ?3",
     .kinds = {NETNS}},
    {.sql = "SELECT id, 0, boot FROM recordings WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .kinds = {BOOTS}},
    {.sql = "SELECT id, 0, process, program, cgroup FROM owners WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM owners WHERE id = ?1", .of = OWNERS, .kinds = {PROCESSES, PROGRAMS, CGROUPS}},
    {.sql = "SELECT id, 0, boot FROM processes WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM processes WHERE id = ?1", .of = PROCESSES, .kinds = {BOOTS}},
    {.sql = "SELECT id, 0 FROM programs WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM programs WHERE id = ?1", .of = PROGRAMS},
    {.sql = "SELECT id, 0 FROM cgroups WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM cgroups WHERE id = ?1", .of = CGROUPS},
    {.sql = "SELECT id, 0 FROM addresses WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM addresses WHERE id = ?1", .of = ADDRESSES},
    {.sql = "SELECT id, 0, netns FROM services WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM services WHERE id = ?1", .of = SERVICES, .kinds = {NETNS}},
    /* the recorder's own is that of all boots, and stays */
    {.sql = "SELECT id, 0, boot FROM netns WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM netns WHERE id = ?1 AND boot IS NOT NULL", .of = NETNS, .kinds = {BOOTS}},
    {.sql = "SELECT id, 0 FROM boots WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM boots WHERE id = ?1", .of = BOOTS},
    {.sql = "SELECT life, 0 FROM late WHERE life > ?1 AND ?2 >= -1 ORDER BY life LIMIT ?3",
     .drop = "DELETE FROM late WHERE life = ?1", .of = LIVES},
    {.sql = "SELECT life, 0 FROM holders WHERE life > ?1 AND ?2 >= -1 AND ?3 ORDER BY life LIMIT 1",
     .drop = "DELETE FROM holders WHERE life = ?1", .of = LIVES, .single = true},
    {.sql = "SELECT life, 0 FROM queues WHERE life > ?1 AND ?2 >= -1 AND ?3 ORDER BY life LIMIT 1",
     .drop = "DELETE FROM queues WHERE life = ?1", .of = LIVES, .single = true},
    {.sql = "SELECT life, 0 FROM owner_changes WHERE life > ?1 AND ?2 >= -1 AND ?3 ORDER BY life LIMIT 1",
     .drop = "DELETE FROM owner_changes WHERE life = ?1", .of = LIVES, .single = true, .changes = true},
    {.sql = "SELECT life, 0 FROM offloads WHERE life > ?1 AND ?2 >= -1 AND ?3 ORDER BY life LIMIT 1",
     .drop = "DELETE FROM offloads WHERE life = ?1", .of = LIVES, .single = true, .changes = true},
    /* Where names of counters are short: those of interfaces that have gone go with all that was counted, but for
     * the ones that came last. */
    {.sql = "SELECT id, 0, id FROM counter_names WHERE id > ?1 AND ?2 >= -1 AND protocol > 0 ORDER BY id LIMIT ?3",
     .kinds = {COUNTERS}, .names = true},
    {.sql = "SELECT i.id, c.id, c.id FROM interfaces AS i CROSS JOIN counter_names AS c "
            "ON c.name > 'interface.' || i.name || '.' AND c.name < 'interface.' || i.name || '/' "
            "WHERE i.id >= ?1 AND (i.id, c.id) > (?1, ?2) AND (i.until_ms IS NULL OR i.id >= coalesce("
            "(SELECT l.id FROM interfaces AS l ORDER BY l.id DESC LIMIT 1 OFFSET 255), 0)) "
            "ORDER BY i.id, c.id LIMIT ?3",
     .kinds = {COUNTERS}, .names = true},
    {.sql = "SELECT netns, at_ms FROM counters WHERE (netns, at_ms) > (?1, ?2) AND ?3 ORDER BY netns, at_ms LIMIT 1",
     .drop = "DELETE FROM counters WHERE netns = ?1 AND at_ms = ?2 AND is_unmarked(counter)", .groups = true, .names = true},
    {.sql = "SELECT tier << 40 | netns, at_ms FROM counter_rollups "
            "WHERE (tier, netns, at_ms) > (?1 >> 40, ?1 & (1 << 40) - 1, ?2) AND ?3 ORDER BY tier, netns, at_ms LIMIT 1",
     .drop = "DELETE FROM counter_rollups WHERE tier = ?1 >> 40 AND netns = (?1 & (1 << 40) - 1) AND at_ms = ?2 "
             "AND is_unmarked(counter)", .groups = true, .names = true},
    {.sql = "SELECT id, 0 FROM counter_names WHERE id > ?1 AND ?2 >= -1 ORDER BY id LIMIT ?3",
     .drop = "DELETE FROM counter_names WHERE id = ?1", .of = COUNTERS, .names = true},
};
/* clang-format on */

#define PHASES (sizeof(phases) / sizeof(phases[0]))
#define NAMES  (PHASES - 5) /* the first that is about names of counters */

_Static_assert(PHASES <= STMT_SWEEP_LAST - STMT_SWEEP_READ, "each phase keeps its statement");

static int64_t bit_of(enum kind kind, int64_t id)
{
    return kind == LIVES ? (int64_t)((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 44) % LIFE_BITS
                         : id;
}

static void mark(struct orphans *sweep, enum kind kind, int64_t id)
{
    struct marks *marks;
    int64_t bit;

    if (kind == KIND_NONE || id <= 0)
        return;
    marks = &sweep->marks[kind];
    bit = bit_of(kind, id);
    if (bit >= MOST_BITS) {
        sweep->failed = true;
        return;
    }
    if ((size_t)bit / 8 >= marks->n) {
        size_t n = ((size_t)bit / 8 + 1) * 3 / 2 + 64;
        uint8_t *bits = realloc(marks->bits, n);

        if (!bits) {
            sweep->failed = true;
            return;
        }
        memset(bits + marks->n, 0, n - marks->n);
        *marks = (struct marks){bits, n};
    }
    marks->bits[bit / 8] |= (uint8_t)(1 << bit % 8);
}

static bool is_marked(const struct orphans *sweep, enum kind kind, int64_t id)
{
    const struct marks *marks = &sweep->marks[kind];
    int64_t bit = bit_of(kind, id);

    return bit >= 0 && (size_t)bit / 8 < marks->n && marks->bits[bit / 8] >> bit % 8 & 1;
}

void orphans_note(struct store *store, unsigned find, int64_t id)
{
    static const struct {
        unsigned find;
        enum kind kind;
    } finds[] = {
        {STMT_FIND_SERVICE, SERVICES}, {STMT_FIND_ADDRESS, ADDRESSES},
        {STMT_FIND_OWNER, OWNERS},     {STMT_FIND_PROCESS, PROCESSES},
        {STMT_FIND_PROGRAM, PROGRAMS}, {STMT_FIND_CGROUP, CGROUPS},
        {STMT_FIND_NETNS, NETNS},      {STMT_PUT_OPEN, LIVES},
        {STMT_FIND_COUNTER, COUNTERS},
    };

    if (!store->retention.sweep)
        return;
    for (size_t i = 0; i < sizeof(finds) / sizeof(finds[0]); i++)
        if (finds[i].find == find)
            mark(store->retention.sweep, finds[i].kind, id);
}

void orphans_abandon(struct store *store)
{
    struct orphans *sweep = store->retention.sweep;

    if (!sweep)
        return;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        free(sweep->marks[kind].bits);
    free(sweep);
    store->retention.sweep = NULL;
}

static void begin_phase(struct orphans *sweep, unsigned phase)
{
    sweep->phase = phase;
    sweep->at[0] = phase < PHASES && phases[phase].down ? INT64_MAX : -1;
    sweep->at[1] = -1;
}

/* is_unmarked(number of a counter), in SQL. */
static void is_unmarked(sqlite3_context *context, int n, sqlite3_value **values)
{
    const struct store *store = sqlite3_user_data(context);
    const struct orphans *sweep = store->retention.sweep;

    (void)n;
    sqlite3_result_int(context, sweep && !sweep->failed &&
                                    !is_marked(sweep, COUNTERS, sqlite3_value_int64(values[0])));
}

static int begin(struct store *store, unsigned phase, struct err *err)
{
    struct orphans *sweep = calloc(1, sizeof(*sweep));
    int r;

    if (!sweep)
        return err_errno(err, -ENOMEM, "%s", store->path);
    r = sqlite3_create_function(store->db, "is_unmarked", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, store,
                                is_unmarked, NULL, NULL);
    if (r != SQLITE_OK) {
        free(sweep);
        return sql_fail(store->db, r, err);
    }
    begin_phase(sweep, phase);
    sweep->names = store->retention.names_short;
    mark(sweep, BOOTS, store->boot);
    store->retention.sweep = sweep;
    if (phase < NAMES)
        store->retention.removed = 0;
    if (sweep->names)
        store->retention.named_ms = store->retention.last_ms;
    return 0;
}

/* Numbers of a step that have no mark. */
struct unmarked {
    int64_t ids[STEP_DROPS];
    size_t n;
};

static void take_row(struct orphans *sweep, const struct phase *phase, sqlite3_stmt *stmt,
                     struct unmarked *unmarked)
{
    int64_t id = sqlite3_column_int64(stmt, 0);

    if (phase->drop && !is_marked(sweep, phase->of, id)) {
        /* what stays in any case refers to others, too */
        unmarked->ids[unmarked->n++] = id;
        return;
    }
    for (int i = 2; i < sqlite3_column_count(stmt); i++)
        if (sqlite3_column_type(stmt, i) == SQLITE_INTEGER)
            mark(sweep, phase->kinds[i - 2], sqlite3_column_int64(stmt, i));
}

/* Reads rows from at on, which moves along. 1: there may be more. */
static int read_rows(struct store *store, const struct phase *phase, int64_t at[static 2],
                     struct unmarked *unmarked, struct err *err)
{
    struct orphans *sweep = store->retention.sweep;
    int64_t most = phase->drop ? STEP_DROPS : STEP_READS, rows = 0;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_SWEEP_READ + sweep->phase, phase->sql, &stmt, err);

    if (r < 0)
        return r;
    do {
        int64_t before = rows;

        SQL_BIND(stmt, at[0], at[1], most);
        while ((r = sql_step(stmt, err)) > 0) {
            take_row(sweep, phase, stmt, unmarked);
            at[0] = sqlite3_column_int64(stmt, 0);
            at[1] = sqlite3_column_int64(stmt, 1);
            rows++;
        }
        if (r < 0 || rows == before)
            return r;
    } while (phase->single && rows < most / 8);
    return phase->single || rows == most;
}

static int drop_rows(struct store *store, const struct phase *phase, int64_t at[static 2],
                     struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct unmarked unmarked = {.n = 0};
    int more = 0, r = writer_begin(store, err);

    if (r < 0)
        return r;
    r = sql_prepare(store->db, phase->drop, &stmt, err);
    if (r >= 0)
        r = more = read_rows(store, phase, at, &unmarked, err);
    if (store->retention.sweep->failed)
        unmarked.n = 0;
    for (size_t i = 0; i < unmarked.n && r >= 0; i++) {
        SQL_BIND(stmt, unmarked.ids[i]);
        r = sql_run(stmt, err);
    }
    if (unmarked.n)
        dictionary_forget(&store->dictionary); /* it may have numbers that are gone */
    r = writer_end(store, r, err);
    return r < 0 ? r : more;
}

/* Rows of counters that have no mark, a group after the other. 1: there may be more. */
static int drop_groups(struct store *store, const struct phase *phase, int64_t at[static 2],
                       struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *drop = NULL;
    int64_t rows = 0;
    sqlite3_stmt *stmt;
    int more = 1, r = writer_begin(store, err);

    if (r < 0)
        return r;
    r = writer_stmt(store, STMT_SWEEP_READ + store->retention.sweep->phase, phase->sql, &stmt, err);
    if (r >= 0)
        r = sql_prepare(store->db, phase->drop, &drop, err);
    for (int groups = 0; groups < STEP_GROUPS && rows < STEP_DROPS && more > 0 && r >= 0;
         groups++) {
        SQL_BIND(stmt, at[0], at[1], 1);
        r = more = sql_step(stmt, err);
        if (r <= 0)
            break;
        at[0] = sqlite3_column_int64(stmt, 0);
        at[1] = sqlite3_column_int64(stmt, 1);
        sqlite3_reset(stmt);
        SQL_BIND(drop, at[0], at[1]);
        r = sql_run(drop, err);
        rows += r < 0 ? 0 : sqlite3_changes(store->db);
    }
    r = writer_end(store, r, err);
    return r < 0 ? r : more;
}

static bool is_due(struct store *store, struct err *err)
{
    int64_t pages = 0;

    if (store->retention.removed < LEAST_GONE ||
        sql_query_i64(store->db, "PRAGMA page_count", &pages, err) < 0)
        return false;
    return store->retention.removed >= pages * GONE_SHARE;
}

/* The sweep of names alone, which reads no sockets. */
static bool are_names_due(const struct store *store)
{
    const struct retention *retention = &store->retention;

    return retention->names_short &&
           (!retention->named_ms || retention->last_ms - retention->named_ms >= NAMES_PACE);
}

static int begin_if_due(struct store *store, struct err *err)
{
    int r = 0;

    if (is_due(store, err))
        r = begin(store, 0, err);
    else if (are_names_due(store))
        r = begin(store, NAMES, err);
    return r < 0 ? r : store->retention.sweep != NULL;
}

static int run_phase(struct store *store, const struct phase *phase, int64_t at[static 2],
                     struct err *err)
{
    struct unmarked none = {.n = 0};

    if ((phase->changes && !store->retention.has_changes) ||
        (phase->names && !store->retention.sweep->names))
        return 0;
    if (phase->groups)
        return drop_groups(store, phase, at, err);
    return phase->drop ? drop_rows(store, phase, at, err) : read_rows(store, phase, at, &none, err);
}

int orphans_step(struct store *store, struct err *err)
{
    struct orphans *sweep = store->retention.sweep;
    int64_t at[2];
    int r;

    if (!store->retention.set || !store->recording)
        return 0;
    if (!sweep)
        return begin_if_due(store, err);
    if (sweep->phase >= PHASES || sweep->failed) {
        if (!sweep->failed && sweep->names) /* whether they still are is seen when another comes */
            store->retention.names_short = false;
        orphans_abandon(store);
        return 0;
    }
    memcpy(at, sweep->at, sizeof(at));
    r = run_phase(store, &phases[sweep->phase], at, err);
    if (r < 0)
        return r;
    memcpy(sweep->at, at, sizeof(at));
    if (r == 0)
        begin_phase(sweep, sweep->phase + 1);
    return 1;
}
