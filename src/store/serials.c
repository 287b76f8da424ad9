/* SPDX-License-Identifier: MIT */
#include "serials.h"

#include <errno.h>

#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

#define SERIALS_PER_MS FILE_SERIALS
#define LATE_MAX_MS    100000 /* 6.5 billion sockets closed in one ms: not in this world */

void serials_forget(struct serials *serials)
{
    for (unsigned i = 0; i < SERIALS_SLOTS; i++)
        serials->slots[i].first = -1;
    for (unsigned class = 0; class < FILE_CLASSES; class ++)
        serials->last[class] = INT64_MIN;
}

/* Multiplication spreads class (top bits) and milliseconds over the slots. */
static unsigned slot_of(int64_t first)
{
    return (unsigned)(((uint64_t)first >> 16) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SERIALS_SLOTS;
}

/* 1: *ret is the last key of a range; 0: there is none. */
static int look_up_last(struct store *store, int64_t from, int64_t until, int64_t *ret,
                        struct err *err)
{
    static const char sql[] = "SELECT key FROM closed WHERE key BETWEEN ?1 AND ?2 "
                              "ORDER BY key DESC LIMIT 1";
    sqlite3_stmt *stmt;
    int r = lives_flush_closed(store, err);

    if (r >= 0)
        r = writer_stmt(store, STMT_LAST_KEY, sql, &stmt, err);
    if (r < 0)
        return r;
    SQL_BIND(stmt, from, until);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return 1;
}

static int look_up_class(struct store *store, unsigned class, struct err *err)
{
    int64_t from = file_closed_key(class, 0, 0), key = from - 1;
    int r = look_up_last(store, from, file_closed_key(class, FILE_CLOSING_MAX, SERIALS_PER_MS - 1),
                         &key, err);

    if (r >= 0)
        store->serials.last[class] = r ? key - (key & (SERIALS_PER_MS - 1)) : key;
    return r;
}

/* Most sockets close later than all before: then nothing need be looked up. */
static int find_next(struct store *store, unsigned class, int64_t first, uint32_t *ret,
                     struct err *err)
{
    int64_t *last = &store->serials.last[class], key = 0;
    int r = 0;

    if (*last == INT64_MIN)
        r = look_up_class(store, class, err);
    if (r < 0)
        return r;
    if (first > *last) {
        *last = first;
        *ret = 0;
        return 0;
    }
    r = look_up_last(store, first, first + SERIALS_PER_MS - 1, &key, err);
    if (r >= 0)
        *ret = r ? (uint32_t)(key - first) + 1 : 0;
    return r < 0 ? r : 0;
}

/* 1: *ret is a free key; 0: this class has none left in this millisecond. */
static int take_at(struct store *store, unsigned class, int64_t at_ms, int64_t *ret,
                   struct err *err)
{
    int64_t first = file_closed_key(class, at_ms, 0);
    unsigned i = slot_of(first);
    uint32_t next;
    int r;

    if (store->serials.slots[i].first != first) {
        r = find_next(store, class, first, &next, err);
        if (r < 0)
            return r;
        store->serials.slots[i].first = first;
        store->serials.slots[i].next = next;
    }
    if (store->serials.slots[i].next >= SERIALS_PER_MS)
        return 0;
    *ret = first + store->serials.slots[i].next++;
    return 1;
}

int serials_take(struct store *store, int64_t since_ms, int64_t ended_ms, int64_t *ret_key,
                 int64_t *ret_late_ms, struct err *err)
{
    int64_t at_ms = ended_ms < 0 ? 0 : ended_ms > FILE_CLOSING_MAX ? FILE_CLOSING_MAX : ended_ms;
    int64_t end_ms =
        at_ms < FILE_CLOSING_MAX - LATE_MAX_MS ? at_ms + LATE_MAX_MS : FILE_CLOSING_MAX;

    for (; at_ms <= end_ms; at_ms++) {
        /* of the time in the key, so that file_alive_range() holds for it */
        unsigned class = file_closed_class(at_ms - since_ms);
        int r = take_at(store, class, at_ms, ret_key, err);

        if (r < 0)
            return r;
        if (r > 0) {
            *ret_late_ms = at_ms - ended_ms;
            return hours_note(store, *ret_key, err);
        }
    }
    return err_set(err, -EOVERFLOW, "%s: too many sockets closed at %lld ms", store->path,
                   (long long)ended_ms);
}
