/* SPDX-License-Identifier: MIT */
/* Owners are read when a row names them: years of a host hold many, an answer few. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "lookup.h"

#define FIRST_SLOTS 64

enum { COLUMN_UID, COLUMN_PID, COLUMN_START, COLUMN_TEXTS, TEXTS = 5 };

static const char owner_sql[] =
    "SELECT o.uid, p.pid, p.start_ms, g.process, g.exe, c.unit, c.container, c.path "
    "FROM owners AS o LEFT JOIN processes AS p ON p.id = o.process "
    "LEFT JOIN programs AS g ON g.id = o.program LEFT JOIN cgroups AS c ON c.id = o.cgroup "
    "WHERE o.id = ?1";

int owner_lookup_init(struct owner_lookup *lookup, struct db *db, struct err *err)
{
    return db_prepare(db, owner_sql, &lookup->stmt, err);
}

void owner_lookup_finish(struct owner_lookup *lookup)
{
    for (size_t i = 0; i < lookup->n_slots; i++)
        free(lookup->slots[i]);
    free(lookup->slots);
    stmt_free(lookup->stmt);
    *lookup = (struct owner_lookup){0};
}

/* Where an owner is, or would be put. */
static struct known_owner **slot_of(struct known_owner **slots, size_t n, int64_t id)
{
    size_t i = (size_t)((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (n - 1);

    while (slots[i] && slots[i]->id != id)
        i = (i + 1) & (n - 1);
    return &slots[i];
}

/* Room for one more. 0 or -ENOMEM. */
static int grow(struct owner_lookup *lookup)
{
    size_t n = lookup->n_slots ? lookup->n_slots * 2 : FIRST_SLOTS;
    struct known_owner **slots;

    if (lookup->n * 2 < lookup->n_slots)
        return 0;
    slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < lookup->n_slots; i++)
        if (lookup->slots[i])
            *slot_of(slots, n, lookup->slots[i]->id) = lookup->slots[i];
    free(lookup->slots);
    lookup->slots = slots;
    lookup->n_slots = n;
    return 0;
}

/* The row that was stepped to, with its texts behind it; NULL: no memory. */
static struct known_owner *read_row(struct stmt *stmt, int64_t id)
{
    struct known_owner *known;
    const char **strings[TEXTS];
    size_t n = 0;
    char *text;

    for (int i = 0; i < TEXTS; i++)
        n += strlen(stmt_text(stmt, COLUMN_TEXTS + i)) + 1;
    known = calloc(1, sizeof(*known) + n);
    if (!known)
        return NULL;
    known->id = id;
    known->uid = stmt_is_null(stmt, COLUMN_UID) ? -1 : stmt_i64(stmt, COLUMN_UID);
    known->started_ms =
        stmt_is_null(stmt, COLUMN_START) ? TIME_UNKNOWN : stmt_i64(stmt, COLUMN_START);
    known->owner.pid = (uint32_t)stmt_i64(stmt, COLUMN_PID);
    known->owner.uid = known->uid < 0 ? UID_UNKNOWN : (uint32_t)known->uid;
    strings[0] = &known->owner.comm;
    strings[1] = &known->owner.exe;
    strings[2] = &known->owner.unit;
    strings[3] = &known->owner.container;
    strings[4] = &known->owner.cgroup;
    text = known->texts;
    for (int i = 0; i < TEXTS; i++) {
        const char *from = stmt_text(stmt, COLUMN_TEXTS + i);
        size_t bytes = strlen(from) + 1;

        *strings[i] = memcpy(text, from, bytes);
        text += bytes;
    }
    return known;
}

int owner_lookup_get(struct owner_lookup *lookup, int64_t id, const struct known_owner **ret,
                     struct err *err)
{
    struct known_owner **slot;
    int r;

    *ret = NULL;
    if (id == 0)
        return 0;
    if (grow(lookup) < 0)
        return err_errno(err, -ENOMEM, "reading the owners");
    slot = slot_of(lookup->slots, lookup->n_slots, id);
    if (!*slot) {
        stmt_bind_i64(lookup->stmt, 1, id);
        r = stmt_step(lookup->stmt, err);
        if (r <= 0) /* no such row: not known */
            return r;
        *slot = read_row(lookup->stmt, id);
        stmt_reset(lookup->stmt);
        if (!*slot)
            return err_errno(err, -ENOMEM, "reading the owners");
        lookup->n++;
    }
    *ret = *slot;
    return 0;
}
