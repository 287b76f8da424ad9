/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "connhist/model/history.h"
#include "stored_life.h"
#include "trend_rows.h"

struct life_counter {
    struct lookup *lookup;                 /* not owned */
    const struct trend_question *question; /* not owned */
    struct sweep *sweep;                   /* not owned */
};

/* A life was in a state at the snapshots from `first` to before `end`. */
static int count_stretch(struct life_counter *counter, const struct stored_life *life,
                         const struct endpoints *ends, uint8_t state, size_t first, size_t end)
{
    struct series_key key = series_key_make(counter->question->by, &life->service->key, state,
                                            ends->family, &ends->remote);

    if (state == 0 || end <= first || !filter_state(&counter->question->filter, state))
        return 0;
    if (sweep_add(counter->sweep, &key, first, 1) < 0 ||
        sweep_add(counter->sweep, &key, end, -1) < 0)
        return -ENOMEM;
    return 0;
}

static int count_states(struct life_counter *counter, const struct stored_life *life,
                        const struct endpoints *ends)
{
    size_t end = life->ended_ms == LIFE_OPEN ? counter->sweep->n_times
                                             : sweep_index(counter->sweep, 0, life->ended_ms);
    struct history_change change = {.at_ms = life->since_ms};
    size_t offset = 0, first = 0;
    uint8_t state = 0;
    int r;

    while ((r = history_next(life->states, life->n_states, &offset, &change)) > 0) {
        size_t next = sweep_index(counter->sweep, first, change.at_ms);

        if (next > end) /* a state that began when the life was over: nothing shows it */
            break;
        r = count_stretch(counter, life, ends, state, first, next);
        if (r < 0)
            return r;
        state = change.state;
        first = next;
    }
    return r < 0 ? r : count_stretch(counter, life, ends, state, first, end);
}

static int count_life(void *arg, const struct stored_life *life, struct err *err)
{
    struct life_counter *counter = arg;
    struct endpoints ends;
    int r;

    if (!life->service->chosen)
        return 0;
    r = stored_life_endpoints(life, counter->lookup, &ends, err);
    if (r < 0)
        return r;
    if (!filter_endpoints(&counter->question->filter, ends.family, &ends.local, &ends.remote))
        return 0;
    /* listening and unconnected sockets have no peer */
    if (counter->question->by & TREND_BY_PEER && address_is_any(ends.family, &ends.remote))
        return 0;
    r = count_states(counter, life, &ends);
    if (r == -EBADMSG)
        return err_set(err, r, "the file is damaged: a socket's states can't be read");
    return r < 0 ? err_errno(err, r, "counting the sockets") : 0;
}

int trend_load_lives(struct db *db, struct lookup *lookup, const struct trend_question *question,
                     struct sweep *sweep, struct err *err)
{
    struct life_counter counter = {.lookup = lookup, .question = question, .sweep = sweep};

    return stored_life_each(db, lookup, LIVES_ALL, sweep->times[0],
                            sweep->times[sweep->n_times - 1], count_life, &counter, err);
}
