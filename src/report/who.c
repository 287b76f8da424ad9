/* SPDX-License-Identifier: MIT */
#include "connhist/report/who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "between.h"
#include "connhist/base/cleanup.h"
#include "connhist/model/history.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "holdings.h"
#include "hours.h"
#include "socket_row.h"

static const char sharers_sql[] = "SELECT owner FROM holders WHERE life = ?1";

struct who {
    struct row_maker maker;              /* owned */
    const struct who_question *question; /* not owned */
    struct between between;              /* owned */
    const struct coverage *coverage;     /* not owned */
    struct stmt *sharers;                /* owned */
    struct holdings holdings;            /* owned */
    struct visits skips;                 /* times in which nothing closed that matters; owned */
    struct {
        VEC_FIELDS(struct who_row);
    } rows; /* owned */
};

static void who_finish(struct who *who)
{
    row_maker_finish(&who->maker);
    stmt_free(who->sharers);
    between_finish(&who->between);
    holdings_finish(&who->holdings);
    vec_finish(&who->skips);
    vec_finish(&who->rows);
}

const char *who_use_name(unsigned use)
{
    static const char *const names[] = {"listener", "sharer", "bound", "connection", "client"};

    return use < sizeof(names) / sizeof(names[0]) ? names[use] : "?";
}

/* A life that is being looked at, as long as it had one owner. */
struct user {
    const struct stored_life *life;
    struct endpoints ends;
    const struct known_owner *owner; /* NULL: not known */
    int64_t from_ms;
    int64_t until_ms; /* INT64_MAX: open */
    int64_t after_ms; /* as in struct holding */
    int64_t by_ms;    /* likewise */
    bool first;       /* its first owner */
    bool last;        /* its last one */
};

/* How a life in a state uses one of the ports asked for; -1: not at all. */
static int use_of(const struct filter *filter, const struct stored_life *life, unsigned state)
{
    bool udp = life->service->key.protocol == PROTOCOL_UDP;
    bool local = filter_port(filter, life->local_port);
    bool remote = life->remote_port && filter_port(filter, life->remote_port);

    if (state == STATE_LISTEN || (udp && state == STATE_CLOSE && !life->remote_port))
        return local ? WHO_LISTENER : -1;
    if (!life->remote_port)
        return local ? WHO_BOUND : -1;
    /* the remote end of a server's connection is its client's own port, which is not held here */
    if (remote && life->service->key.role == ROLE_CLIENT)
        return WHO_CLIENT;
    return local ? WHO_CONNECTION : -1;
}

static struct holder_key key_of(const struct user *user, enum who_use use, unsigned source)
{
    const struct stored_life *life = user->life;
    struct holder_key key = {
        .owner = life->owner,
        .netns = life->service->key.netns,
        .protocol = life->service->key.protocol,
        .port = use == WHO_CLIENT ? life->remote_port : life->local_port,
        .use = (uint8_t)use,
        .kernel = source == OWNER_IS_KERNEL,
    };

    if (use != WHO_CLIENT) {
        key.family = user->ends.family;
        key.local = user->ends.local;
        key.scope_ifindex = life->scope_ifindex;
    }
    return key;
}

static bool in_span(const struct who *who, const struct holding *holding)
{
    return holding->until_ms > who->question->from_ms &&
           holding->from_ms <= who->question->until_ms;
}

/* Lets a stretch begin with the owner's process. False: nothing is left of it. */
static bool begin_with(const struct known_owner *known, struct holding *holding)
{
    if (!known_owner_later(known, holding->from_ms))
        return true;
    holding->from_ms = known->started_ms;
    holding->after_ms = 0;
    holding->from_known = true;
    return holding->from_ms < holding->until_ms;
}

/* A process may go by several names: they are owners of their own. */
static bool is_same_process(const struct known_owner *a, const struct known_owner *b)
{
    return a && b && a->owner.pid && a->owner.pid == b->owner.pid && a->started_ms == b->started_ms;
}

/* Others that held a listener's socket when it was looked at last. */
static int add_sharers(struct who *who, const struct user *user, struct holder_key key,
                       const struct holding *holding, struct err *err)
{
    const struct known_owner *sharer;
    struct holding own;
    int r;

    if (!user->life->number)
        return 0;
    key.use = WHO_SHARER;
    stmt_reset(who->sharers);
    stmt_bind_i64(who->sharers, 1, user->life->number);
    while ((r = stmt_step(who->sharers, err)) > 0) {
        key.owner = stmt_i64(who->sharers, 0);
        r = owner_lookup_get(&who->maker.lookup.owners, key.owner, &sharer, err);
        if (r < 0)
            return r;
        if (key.owner == user->life->owner || is_same_process(user->owner, sharer))
            continue;
        own = *holding;
        r = begin_with(sharer, &own) && in_span(who, &own)
                ? holdings_add(&who->holdings, &key, OWNER_BY_INODE, &own)
                : 0;
        if (r < 0)
            return err_errno(err, -ENOMEM, "reading the sockets");
    }
    return r;
}

/* By the life's owner, or one that is not known. */
static int add_held(struct who *who, const struct user *user, int use, bool known,
                    const struct holding *holding, struct err *err)
{
    bool has_process = user->owner && user->owner->owner.pid;
    unsigned source = known ? file_traits_owner_source(user->life->traits, has_process)
                            : (unsigned)OWNER_BY_NOTHING;
    struct holder_key key = key_of(user, (enum who_use)use, source);

    if (!known)
        key.owner = 0;
    if (in_span(who, holding) && holdings_add(&who->holdings, &key, source, holding) < 0)
        return err_errno(err, -ENOMEM, "reading the sockets");
    return 0;
}

/* A stretch of a life in which it used the port in one way. What lies before its latest owner's
 * process had an owner that is not known any more. */
static int add_stretch(struct who *who, const struct user *user, int use,
                       const struct holding *holding, struct err *err)
{
    struct holding own = *holding, before = *holding;
    bool any = begin_with(user->owner, &own);
    int r = 0;

    if (use < 0 || !in_span(who, holding))
        return 0;
    if (!any || own.from_ms > before.from_ms) {
        before.exact |= any;
        before.until_ms = any ? own.from_ms : holding->until_ms;
        before.by_ms = any ? 0 : holding->by_ms;
        r = add_held(who, user, use, false, &before, err);
    }
    if (r == 0 && any)
        r = add_held(who, user, use, true, &own, err);
    return r < 0 || use != WHO_LISTENER || !user->last
               ? r
               : add_sharers(who, user, key_of(user, WHO_SHARER, OWNER_BY_INODE), holding, err);
}

/* Cuts it where its use changes. */
static int add_stretches(struct who *who, const struct user *user, struct err *err)
{
    const struct stored_life *life = user->life;
    struct history_change change = {.at_ms = life->since_ms};
    struct holding holding = {.from_ms = user->from_ms,
                              .after_ms = user->after_ms,
                              .from_known = user->first ? file_traits_opened_known(life->traits)
                                                        : !user->after_ms,
                              .sockets = 1};
    int r, use = -1;
    size_t offset = 0;

    while ((r = history_next(life->states, life->n_states, &offset, &change)) > 0 &&
           /* what no snapshot saw begins and ends at one instant */
           (change.at_ms < user->until_ms || change.at_ms <= user->from_ms)) {
        int next = use_of(&who->question->filter, life, change.state);

        if (next == use)
            continue;
        if (change.at_ms > user->from_ms) {
            holding.until_ms = change.at_ms;
            r = add_stretch(who, user, use, &holding, err);
            if (r < 0)
                return r;
            holding.from_known = true;
            holding.from_ms = change.at_ms;
            holding.after_ms = 0;
        }
        use = next;
    }
    if (r < 0)
        return err_set(err, -EBADMSG, "the file is damaged: a socket's states can't be read");
    holding.until_ms = user->until_ms;
    holding.by_ms = user->by_ms;
    holding.exact = user->last && stored_life_end_is_exact(life);
    return add_stretch(who, user, use, &holding, err);
}

/* The span of index i: its owner, and what is known of its begin and end. */
static int read_span(struct who *who, size_t i, struct user *user, struct err *err)
{
    struct lookup *lookup = &who->maker.lookup;
    const struct owner_span *span = &lookup->spans.items.items[i];

    user->first = i == 0;
    user->last = i + 1 == lookup->spans.items.n;
    user->from_ms = span->from_ms;
    user->until_ms =
        user->last && row_maker_is_open(&who->maker, user->life) ? INT64_MAX : span->until_ms;
    user->after_ms = !user->first && span[-1].between ? span[-1].from_ms : 0;
    user->by_ms = !user->last && span[1].between ? span[1].until_ms : 0;
    return owner_lookup_get(&lookup->owners, span->owner, &user->owner, err);
}

static int add_life(void *arg, const struct stored_life *life, struct err *err)
{
    struct who *who = arg;
    struct lookup *lookup = &who->maker.lookup;
    struct endpoints ends;
    int r = row_maker_wants(&who->maker, &who->question->filter, life, who->question->from_ms,
                            who->question->until_ms, &ends, err);

    if (r > 0)
        r = owner_spans_read(&lookup->spans, life, err);
    else
        vec_clear(&lookup->spans.items);
    for (size_t i = 0; i < lookup->spans.items.n && r == 0; i++) {
        const struct stored_life own = owner_span_life(&lookup->spans.items.items[i], life);
        struct user user = {.life = &own, .ends = ends};

        r = read_span(who, i, &user, err);
        if (r == 0)
            r = add_stretches(who, &user, err);
    }
    return r;
}

/* Whether an instant lies in a gap of the record, or ends one. */
static bool ends_gap(const struct who *who, int64_t at_ms)
{
    int64_t wall_ms = walltime_of_record(who->maker.walltime, at_ms);

    for (size_t i = 0; i < who->coverage->gaps.n; i++)
        if (who->coverage->gaps.items[i].from_ms < wall_ms &&
            who->coverage->gaps.items[i].until_ms >= wall_ms)
            return true;
    return false;
}

/* No snapshot lies between that could have seen an interruption, and there is neither a gap in the
 * record nor another boot. */
static int is_joined(void *arg, int64_t first_ms, int64_t second_ms, struct err *err)
{
    struct who *who = arg;
    int64_t before_ms;
    int r;

    r = between_seen(&who->between, first_ms, second_ms, err);
    if (r != 0 || ends_gap(who, second_ms))
        return r < 0 ? r : 0;
    r = openings_after(&who->maker.openings, second_ms, &before_ms, err);
    return r < 0 ? r : before_ms != TIME_UNKNOWN;
}

static int read_begin(struct who *who, const struct holding *holding, struct who_row *row,
                      struct err *err)
{
    const struct walltime *walltime = who->maker.walltime;
    int64_t after_ms;
    int r =
        openings_after(&who->maker.openings,
                       holding->after_ms ? holding->after_ms : holding->from_ms, &after_ms, err);

    if (r < 0)
        return r;
    row->first_seen_ms = walltime_of_record(walltime, holding->from_ms);
    row->from_ms = holding->from_known ? row->first_seen_ms : TIME_UNKNOWN;
    row->from_after_ms = walltime_of_record(walltime, after_ms);
    return 0;
}

static int read_end(struct who *who, const struct holding *holding, struct who_row *row,
                    struct err *err)
{
    const struct walltime *walltime = who->maker.walltime;
    int64_t before_ms = holding->from_ms;
    const struct last *last;
    int r = lasts_before(&who->maker.lasts, holding->until_ms, &last, err);

    if (r < 0)
        return r;
    if (last->before_ms != TIME_UNKNOWN && last->before_ms > before_ms)
        before_ms = last->before_ms;
    row->until_ms = row->until_before_ms = TIME_UNKNOWN;
    row->open = holding->until_ms == INT64_MAX;
    row->last_seen_ms = walltime_of_record(walltime, before_ms);
    if (row->open)
        return 0;
    row->until_before_ms =
        walltime_of_record(walltime, holding->by_ms ? holding->by_ms : holding->until_ms);
    if (holding->by_ms)
        return 0;
    if (holding->exact)
        row->last_seen_ms = row->until_before_ms;
    if (holding->exact || !last->gap)
        row->until_ms = row->until_before_ms;
    return 0;
}

static const char *netns_name(const struct who *who, int64_t netns)
{
    for (size_t i = 0; i < who->maker.lookup.services.n; i++)
        if (who->maker.lookup.services.items[i].key.netns == netns)
            return who->maker.lookup.services.items[i].netns;
    return "";
}

static int add_row(struct who *who, const struct holding *holding, struct err *err)
{
    const struct holder *holder = &who->holdings.holders.items[holding->holder];
    const struct known_owner *known;
    struct who_row row = {
        .sockets = holding->sockets,
        .netns = netns_name(who, holder->key.netns),
        .local = holder->key.local,
        .scope_ifindex = holder->key.scope_ifindex,
        .port = holder->key.port,
        .protocol = holder->key.protocol,
        .family = holder->key.family,
        .use = holder->key.use,
        .owner_source = holder->source,
    };
    int r = owner_lookup_get(&who->maker.lookup.owners, holder->key.owner, &known, err);

    if (r == 0)
        r = read_begin(who, holding, &row, err);
    if (r == 0)
        r = read_end(who, holding, &row, err);
    if (r < 0)
        return r;
    row.uid = known ? known->uid : -1;
    row.owner = known ? &known->owner : NULL;
    row.process_started_ms =
        known ? walltime_of_record(who->maker.walltime, known->started_ms) : TIME_UNKNOWN;
    return vec_push(&who->rows, row) < 0 ? err_errno(err, -ENOMEM, "reading the sockets") : 0;
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_rows(const void *left, const void *right)
{
    const struct who_row *a = left, *b = right;
    int r = compare_numbers(a->port, b->port);

    if (r == 0)
        r = compare_numbers(a->protocol, b->protocol);
    if (r == 0)
        r = compare_numbers(a->use, b->use);
    if (r == 0)
        r = strcmp(a->netns, b->netns);
    if (r == 0)
        r = compare_numbers(a->first_seen_ms, b->first_seen_ms);
    if (r == 0)
        r = compare_numbers(a->owner ? a->owner->pid : 0, b->owner ? b->owner->pid : 0);
    if (r == 0)
        r = compare_numbers(a->family, b->family);
    if (r == 0)
        r = memcmp(&a->local, &b->local, sizeof(a->local));
    return r ? r : compare_numbers(a->uid, b->uid);
}

static int make_rows(struct who *who, struct err *err)
{
    int r = holdings_merge(&who->holdings, is_joined, who, err);

    for (size_t i = 0; r == 0 && i < who->holdings.items.n; i++)
        r = add_row(who, &who->holdings.items.items[i], err);
    if (r == 0 && who->rows.n > 1)
        qsort(who->rows.items, who->rows.n, sizeof(*who->rows.items), compare_rows);
    return r;
}

int who_ask(struct db *db, const struct walltime *walltime, const struct who_question *question,
            const struct snapshot_times *times, const struct coverage *coverage, who_row_fn fn,
            void *arg, struct err *err)
{
    _cleanup_(who_finish) struct who who = {
        .question = question, .between = {.times = times}, .coverage = coverage};
    struct life_choice choice = life_choice_sockets(&question->filter);
    int r = row_maker_init(&who.maker, db, walltime, &question->filter, err);

    if (r == 0)
        r = db_prepare(db, sharers_sql, &who.sharers, err);
    if (r == 0)
        r = between_init(&who.between, db, err);
    if (r == 0)
        r = hours_find(&who.skips, db, &question->filter, false, question->from_ms,
                       question->until_ms, err);
    choice.skips = who.skips.items;
    choice.n_skips = who.skips.n;
    if (r == 0)
        r = stored_life_each(db, &who.maker.lookup, LIVES_ALL, &choice, question->from_ms,
                             question->until_ms, add_life, &who, err);
    if (r == 0)
        r = make_rows(&who, err);
    if (r < 0)
        return r;
    db_end(db);
    for (size_t i = 0; r >= 0 && i < who.rows.n; i++)
        r = fn(arg, &who.rows.items[i]);
    return r < 0 ? r : 0;
}
