/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/history.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "edition.h"
#include "hours.h"
#include "stored_life.h"
#include "trend_rows.h"
#include "visits.h"

struct life_counter {
    struct lookup *lookup;                 /* not owned */
    const struct trend_question *question; /* not owned */
    struct labels *labels;                 /* not owned */
    struct sweep *sweep;                   /* not owned */
    int64_t
        *kept; /* for each snapshot how many more lives there were than at the one before, whoever
                      owns them; owned by the caller */
};

/* A life that is being counted. */
struct counted_life {
    const struct stored_life *life;
    struct series_key key;           /* but for the state */
    size_t first;                    /* index of the first snapshot at which it had this owner */
    size_t end;                      /* index behind the last one */
    const struct known_owner *owner; /* NULL: not known */
    bool wanted;                     /* it belongs to the answer, not to `kept` alone */
};

/* A life was in a state from at_ms on, which the snapshots from `first` to before `end` saw. */
static int count_stretch(struct life_counter *counter, const struct counted_life *counted,
                         const struct history_change *change, size_t first, size_t end)
{
    struct series_key key = counted->key;
    const struct known_owner *owner = counted->owner;

    if (first < counted->first)
        first = counted->first;
    if (end > counted->end)
        end = counted->end;
    if (change->state == 0 || end <= first ||
        !filter_state(&counter->question->filter, change->state))
        return 0;
    counter->kept[first]++;
    counter->kept[end]--; /* there is one place more than snapshots */
    if (!counted->wanted)
        return 0;
    if (counter->question->by & TREND_BY_STATE)
        key.state = change->state;
    if (sweep_add(counter->sweep, &key, first, 1) < 0 ||
        sweep_add(counter->sweep, &key, end, -1) < 0)
        return -ENOMEM;
    if (end < counter->sweep->n_times)
        return 0;
    return sweep_note(counter->sweep, &key, change->at_ms, owner ? owner->owner.pid : 0,
                      owner ? owner->started_ms : 0);
}

static int count_states(struct life_counter *counter, const struct counted_life *counted)
{
    const struct stored_life *life = counted->life;
    size_t end = life->ended_ms == LIFE_OPEN ? counter->sweep->n_times
                                             : sweep_index(counter->sweep, 0, life->ended_ms);
    struct history_change change = {.at_ms = life->since_ms}, before = {0};
    size_t offset = 0, first = 0;
    int r;

    while ((r = history_next(life->states, life->n_states, &offset, &change)) > 0) {
        size_t next = sweep_index(counter->sweep, first, change.at_ms);

        if (next > end) /* a state that began when the life was over: nothing shows it */
            break;
        r = count_stretch(counter, counted, &before, first, next);
        if (r < 0)
            return r;
        before = change;
        first = next;
    }
    return r < 0 ? r : count_stretch(counter, counted, &before, first, end);
}

/* Whether the life itself belongs to the answer, and what it is told apart by. */
static int read_life(struct life_counter *counter, struct counted_life *counted, struct err *err)
{
    const struct trend_question *question = counter->question;
    const struct stored_life *life = counted->life;
    struct series_key *key = &counted->key;
    struct endpoints ends;
    int r;

    r = stored_life_endpoints(life, counter->lookup, &ends, err);
    if (r == 0)
        r = owner_lookup_get(&counter->lookup->owners, life->owner, &counted->owner, err);
    if (r < 0)
        return r;
    counted->wanted =
        filter_endpoints(&question->filter, ends.family, &ends.local, &ends.remote) &&
        filter_owner(&question->filter, counted->owner ? &counted->owner->owner : NULL);
    if (question->by & TREND_BY_PEER) {
        /* listening and unconnected sockets have no peer */
        counted->wanted &= !address_is_any(ends.family, &ends.remote);
        series_key_set_peer(key, ends.family, &ends.remote);
    }
    if (question->by & TREND_BY_UID)
        key->uid = counted->owner && counted->owner->uid >= 0 ? (uint32_t)counted->owner->uid
                                                              : UID_UNKNOWN;
    if (!counted->wanted)
        return 0;
    r = labels_of_service(counter->labels, question->by, life->service, &key->labels);
    if (r == 0 && question->by & TREND_BY_OWNER)
        r = labels_of_owner(counter->labels, question->by, life, counted->owner, &key->labels);
    return r < 0 ? err_errno(err, r, "counting the sockets") : 0;
}

/* A life as long as it had one owner. */
static int count_span(struct life_counter *counter, const struct stored_life *life, size_t first,
                      size_t end, struct err *err)
{
    struct counted_life counted = {.life = life, .first = first, .end = end};
    int r;

    counted.key = series_key_make(counter->question->by, &life->service->key, 0);
    r = read_life(counter, &counted, err);
    if (r < 0)
        return r;
    r = count_states(counter, &counted);
    if (r == -EBADMSG)
        return err_set(err, r, "the file is damaged: a socket's states can't be read");
    return r < 0 ? err_errno(err, r, "counting the sockets") : 0;
}

static int count_life(void *arg, const struct stored_life *life, struct err *err)
{
    struct life_counter *counter = arg;
    const struct owner_spans *spans = &counter->lookup->spans;
    size_t first = 0;
    int r;

    if (!life->service->chosen)
        return 0;
    r = owner_spans_read(&counter->lookup->spans, life, err);
    for (size_t i = 0; i < spans->items.n && r == 0; i++) {
        const struct owner_span *span = &spans->items.items[i];
        const struct stored_life own = owner_span_life(span, life);
        size_t end = counter->sweep->n_times;

        if (i + 1 < spans->items.n)
            end = sweep_index(counter->sweep, first, span->until_ms);
        r = count_span(counter, &own, first, end, err);
        first = end;
    }
    return r;
}

/* What the tallies count beyond the lives, at most, as far as they are kept tick by tick. */
static int count_unkept(struct db *db, const struct life_counter *counter, const struct kept *kept,
                        int64_t *ret, struct err *err)
{
    _cleanup_(sweep_finish) struct sweep tallies = {0};
    struct moments moments = *counter->sweep->moments;
    struct piece piece = {.tier = TIER_TICKS, .end_ms = INT64_MAX};
    struct trend_question total = *counter->question;
    struct sweep_walk walk = {0};
    struct stretch stretch;
    int64_t lives = 0;
    size_t at = 0;
    int r;

    total.by = 0;
    piece.from_ms = kept->from_ms[TIER_TICKS + 1];
    moments.pieces.items = &piece;
    moments.pieces.n = 1;
    sweep_init(&tallies, &moments);
    r = trend_load(db, counter->lookup, &total, NULL, &tallies, err);
    if (r < 0 || tallies.series.n == 0)
        return r;
    sweep_settle(&tallies);
    while (sweep_next(&tallies, &tallies.series.items[0], &walk, tallies.n_times, &stretch))
        for (; at < stretch.end; at++) {
            lives += counter->kept[at];
            if (stretch.max - lives > *ret)
                *ret = stretch.max - lives;
        }
    return 0;
}

/* Whether each socket that a snapshot counted is in the file: then nobody need count those that are not asked for. A
 * file without periods is read whole. */
static int all_kept(struct db *db, const struct kept *kept, int64_t first_ms, int64_t last_ms,
                    bool *ret, struct err *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT 1 FROM losses WHERE kind IN (7, 8) AND until_ms >= ?1 AND from_ms "
        "<= "
        "?2) OR EXISTS (SELECT 1 FROM recordings WHERE detail = 'off' AND started_ms <= ?2 AND "
        "coalesce(ended_ms, ?2) >= ?1) OR EXISTS (SELECT 1 FROM cover_rollups WHERE tier = 2 AND "
        "at_ms > ?1 - 3600000 AND at_ms <= ?2 AND unkept > 0) OR EXISTS (SELECT 1 FROM snapshots "
        "WHERE start_ms >= max(?1, ?3) AND start_ms <= ?2 AND unkept > 0)";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    *ret = false;
    if (!edition_has_tiers(db) || kept->from_ms[TIER_HOURS + 1] > first_ms)
        return 0;
    r = db_prepare(db, sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, first_ms);
    stmt_bind_i64(stmt, 2, last_ms);
    stmt_bind_i64(stmt, 3, kept->until_ms[TIER_HOURS + 1]);
    r = stmt_step(stmt, err);
    *ret = r > 0 && stmt_i64(stmt, 0) == 0;
    return r < 0 ? r : 0;
}

/* Where ports were asked for the hours in which their services had sockets are looked through, no
 * others. */
static int count_lives(struct db *db, struct life_counter *counter, const struct kept *kept,
                       bool *ret_all_kept, struct err *err)
{
    struct life_choice choice = life_choice_services(&counter->question->filter);
    const struct sweep *sweep = counter->sweep;
    int64_t first_ms = sweep->times[0], last_ms = sweep->times[sweep->n_times - 1];
    struct visits visits = {0}, skips = {0};
    unsigned which = LIVES_ALL;
    int r = 0;

    if (choice.ports) {
        r = visits_find(&visits, db, counter->lookup, kept, first_ms, last_ms, err);
        which = visits.n ? LIVES_ALL : LIVES_OPEN;
    }
    if (r == 0)
        r = all_kept(db, kept, first_ms, last_ms, ret_all_kept, err);
    if (r == 0 && *ret_all_kept) {
        const struct life_choice sockets = life_choice_sockets(&counter->question->filter);

        choice.mask = sockets.mask;
        choice.network = sockets.network;
    }
    /* else by ports alone: `kept` is of all that are counted, whatever else is asked for */
    if (r == 0)
        r = hours_find(&skips, db, &counter->question->filter, !*ret_all_kept, first_ms, last_ms,
                       err);
    choice.skips = skips.items;
    choice.n_skips = skips.n;
    choice.visits = visits.items;
    choice.n_visits = visits.n;
    if (r == 0)
        r = stored_life_each(db, counter->lookup, which, &choice, first_ms, last_ms, count_life,
                             counter, err);
    vec_finish(&visits);
    vec_finish(&skips);
    return r;
}

int trend_load_lives(struct db *db, struct lookup *lookup, const struct trend_question *question,
                     struct labels *labels, const struct kept *kept_tiers, struct sweep *sweep,
                     int64_t *ret_unkept, struct err *err)
{
    _cleanup_free_ int64_t *kept = calloc(sweep->n_times + 1, sizeof(*kept));
    struct life_counter counter = {
        .lookup = lookup, .question = question, .labels = labels, .sweep = sweep, .kept = kept};
    bool is_whole = false;
    int r;

    if (!kept)
        return err_errno(err, -ENOMEM, "counting the sockets");
    r = count_lives(db, &counter, kept_tiers, &is_whole, err);
    return r < 0 || is_whole ? r : count_unkept(db, &counter, kept_tiers, ret_unkept, err);
}
