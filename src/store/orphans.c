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
    bool changes; /* of owner_changes, which not each file has */
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
    {.sql = "SELECT tier, service, service FROM tally_rollups WHERE (tier, service) > (?1, ?2) AND ?3 ORDER BY tier, service LIMIT 1",
     .kinds = {SERVICES}, .single = true},
    {.sql = "SELECT tier, service, service FROM rate_rollups WHERE (tier, service) > (?1, ?2) AND ?3 ORDER BY tier, service LIMIT 1",
     .kinds = {SERVICES}, .single = true},
    {.sql = "SELECT netns, from_ms, netns FROM netns_spans WHERE (netns, from_ms) > (?1, ?2) ORDER BY netns, from_ms LIMIT ?3",
     .kinds = {NETNS}},
    {.sql = "SELECT start_ms, netns, netns FROM incomplete WHERE (start_ms, netns) > (?1, ?2) ORDER BY start_ms, netns LIMIT ?3",
     .kinds = {NETNS}},
    {.sql = "SELECT netns, 0, netns FROM counters WHERE netns > ?1 AND ?2 >= -1 AND ?3 ORDER BY netns LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT tier, netns, netns FROM counter_rollups WHERE (tier, netns) > (?1, ?2) AND ?3 ORDER BY tier, netns LIMIT 1",
     .kinds = {NETNS}, .single = true},
    {.sql = "SELECT tier, netns, netns FROM counter_cover WHERE (tier, netns) > (?1, ?2) AND ?3 ORDER BY tier, netns LIMIT 1",
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
};
/* clang-format on */

#define PHASES (sizeof(phases) / sizeof(phases[0]))

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
        {STMT_FIND_SERVICE, SERVICES},  {STMT_FIND_ADDRESS, ADDRESSES}, {STMT_FIND_OWNER, OWNERS},
        {STMT_FIND_PROCESS, PROCESSES}, {STMT_FIND_PROGRAM, PROGRAMS},  {STMT_FIND_CGROUP, CGROUPS},
        {STMT_FIND_NETNS, NETNS},       {STMT_PUT_OPEN, LIVES},
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

static int begin(struct store *store, struct err *err)
{
    struct orphans *sweep = calloc(1, sizeof(*sweep));

    if (!sweep)
        return err_errno(err, -ENOMEM, "%s", store->path);
    begin_phase(sweep, 0);
    mark(sweep, BOOTS, store->boot);
    store->retention.sweep = sweep;
    store->retention.removed = 0;
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

static bool is_due(struct store *store, struct err *err)
{
    int64_t pages = 0;

    if (store->retention.removed < LEAST_GONE ||
        sql_query_i64(store->db, "PRAGMA page_count", &pages, err) < 0)
        return false;
    return store->retention.removed >= pages * GONE_SHARE;
}

int orphans_step(struct store *store, struct err *err)
{
    struct orphans *sweep = store->retention.sweep;
    struct unmarked none = {.n = 0};
    const struct phase *phase;
    int64_t at[2];
    int r;

    if (!store->retention.set || !store->recording)
        return 0;
    if (!sweep) {
        r = is_due(store, err) ? begin(store, err) : 0;
        return r < 0 ? r : store->retention.sweep != NULL;
    }
    if (sweep->phase >= PHASES || sweep->failed) {
        orphans_abandon(store);
        return 0;
    }
    phase = &phases[sweep->phase];
    memcpy(at, sweep->at, sizeof(at));
    if (phase->changes && !store->retention.has_changes)
        r = 0;
    else if (phase->drop)
        r = drop_rows(store, phase, at, err);
    else
        r = read_rows(store, phase, at, &none, err);
    if (r < 0)
        return r;
    memcpy(sweep->at, at, sizeof(at));
    if (r == 0)
        begin_phase(sweep, sweep->phase + 1);
    return 1;
}
