/* SPDX-License-Identifier: MIT */
#include "owners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/utf8.h"
#include "sql.h"
#include "writer.h"

char *owners_clean_text(const char *text)
{
    size_t n = 0;
    char *clean = malloc(strlen(text) * 4 + 1);

    if (!clean)
        return NULL;
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        for (unsigned i = 0; i < c.bytes; i++) {
            if (c.valid)
                clean[n++] = text[i];
            else
                n += (size_t)snprintf(clean + n, 5, "\\x%02x", (unsigned)(uint8_t)text[i]);
        }
    }
    clean[n] = '\0';
    return clean;
}

struct process_what {
    int64_t boot; /* boots.id */
    int64_t start_ms;
    uint32_t pid;
};

static void bind_process(sqlite3_stmt *stmt, const void *what)
{
    const struct process_what *w = what;

    SQL_BIND(stmt, w->pid, w->start_ms, w->boot);
}

static int find_process(struct store *store, const struct owner *owner, int64_t *ret,
                        struct err *err)
{
    const struct process_what what = {store->boot, store->boot_base_ms + owner->start_ms,
                                      owner->pid};
    const struct lookup lookup = {
        .find = STMT_FIND_PROCESS,
        .find_sql = "SELECT id FROM processes WHERE pid = ?1 AND start_ms = ?2 AND boot = ?3",
        .add = STMT_ADD_PROCESS,
        .add_sql = "INSERT INTO processes (pid, start_ms, boot) VALUES (?1, ?2, ?3)",
        .bind = bind_process,
        .what = &what,
    };

    return owner->pid ? dictionary_find_or_add(store, &lookup, ret, err) : 0;
}

/* Up to three strings, bound in their order. */
struct texts_what {
    const char *texts[3];
};

static void bind_texts(sqlite3_stmt *stmt, const void *what)
{
    const struct texts_what *w = what;
    int n = sqlite3_bind_parameter_count(stmt);

    for (int i = 0; i < n && i < 3; i++)
        sql_bind_string(stmt, i + 1, w->texts[i]);
}

static int find_program(struct store *store, const struct owner *owner, int64_t *ret,
                        struct err *err)
{
    _cleanup_free_ char *comm = owners_clean_text(owner->comm);
    _cleanup_free_ char *exe = owners_clean_text(owner->exe);
    const struct texts_what what = {{exe, comm}};
    const struct lookup lookup = {
        .find = STMT_FIND_PROGRAM,
        .find_sql = "SELECT id FROM programs WHERE exe = ?1 AND process = ?2",
        .add = STMT_ADD_PROGRAM,
        .add_sql = "INSERT INTO programs (exe, process) VALUES (?1, ?2)",
        .bind = bind_texts,
        .what = &what,
    };

    if (!comm || !exe)
        return err_errno(err, -ENOMEM, "%s", store->path);
    return *comm || *exe ? dictionary_find_or_add(store, &lookup, ret, err) : 0;
}

static int find_cgroup(struct store *store, const struct owner *owner, int64_t *ret,
                       struct err *err)
{
    _cleanup_free_ char *path = owners_clean_text(owner->cgroup);
    _cleanup_free_ char *unit = owners_clean_text(owner->unit);
    _cleanup_free_ char *container = owners_clean_text(owner->container);
    const struct texts_what what = {{path, unit, container}};
    const struct lookup lookup = {
        .find = STMT_FIND_CGROUP,
        .find_sql = "SELECT id FROM cgroups WHERE path = ?1",
        .add = STMT_ADD_CGROUP,
        .add_sql = "INSERT INTO cgroups (path, unit, container) VALUES (?1, ?2, ?3)",
        .bind = bind_texts,
        .what = &what,
    };

    if (!path || !unit || !container)
        return err_errno(err, -ENOMEM, "%s", store->path);
    return *path ? dictionary_find_or_add(store, &lookup, ret, err) : 0;
}

static int find_one(struct store *store, const struct owner_ref *ref, struct owner_ids *ret,
                    struct err *err)
{
    int r;

    *ret = (struct owner_ids){.number = ref->number, .uid = ref->owner.uid};
    r = find_process(store, &ref->owner, &ret->process, err);
    if (r >= 0)
        r = find_program(store, &ref->owner, &ret->program, err);
    if (r >= 0)
        r = find_cgroup(store, &ref->owner, &ret->cgroup, err);
    return r;
}

static int compare_ids(const void *left, const void *right)
{
    const struct owner_ids *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

int owners_find_all(struct store *store, const struct batch *batch, struct owner_ids **ret,
                    struct err *err)
{
    size_t n = batch->owners.n;
    _cleanup_free_ struct owner_ids *ids = calloc(n + 1, sizeof(*ids));
    int r = 0;

    if (!ids)
        return err_errno(err, -ENOMEM, "%s", store->path);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = find_one(store, &batch->owners.items[i], &ids[i], err);
    if (r < 0)
        return r;
    qsort(ids, n, sizeof(*ids), compare_ids);
    *ret = TAKE_PTR(ids);
    return 0;
}

struct owner_what {
    uint32_t uid;
    const struct owner_ids *ids;
};

static void bind_owner(sqlite3_stmt *stmt, const void *what)
{
    const struct owner_what *w = what;

    sql_bind_unless(stmt, 1, w->uid, UID_UNKNOWN);
    sql_bind_unless(stmt, 2, w->ids->process, 0);
    sql_bind_unless(stmt, 3, w->ids->program, 0);
    sql_bind_unless(stmt, 4, w->ids->cgroup, 0);
}

int owners_find(struct store *store, uint32_t uid, const struct owner_ids *ids, int64_t *ret,
                struct err *err)
{
    static const struct owner_ids none = {.uid = UID_UNKNOWN};
    const struct owner_what what = {uid != UID_UNKNOWN ? uid
                                    : ids              ? ids->uid
                                                       : UID_UNKNOWN,
                                    ids ? ids : &none};
    const struct lookup lookup = {
        .find = STMT_FIND_OWNER,
        .find_sql = "SELECT id FROM owners WHERE uid IS ?1 AND process IS ?2 AND program IS ?3 "
                    "AND cgroup IS ?4",
        .add = STMT_ADD_OWNER,
        .add_sql = "INSERT INTO owners (uid, process, program, cgroup) VALUES (?1, ?2, ?3, ?4)",
        .bind = bind_owner,
        .what = &what,
    };
    const uint32_t parts[] = {what.uid, (uint32_t)what.ids->process, (uint32_t)what.ids->program,
                              (uint32_t)what.ids->cgroup};
    struct dictionary_key key = {{KIND_OWNER}};

    *ret = 0;
    if (what.uid == UID_UNKNOWN && !what.ids->process && !what.ids->program && !what.ids->cgroup)
        return 0;
    memcpy(key.bytes + 4, parts, sizeof(parts));
    return dictionary_recall_or_find(store, &key, &lookup, ret, err);
}
