/* SPDX-License-Identifier: MIT */
#include "dictionary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "writer.h"

int dictionary_init(struct dictionary *dictionary)
{
    dictionary->slots = calloc(DICTIONARY_SLOTS, sizeof(*dictionary->slots));
    return dictionary->slots ? 0 : -ENOMEM;
}

void dictionary_finish(struct dictionary *dictionary)
{
    free(dictionary->slots);
    dictionary->slots = NULL;
}

void dictionary_forget(struct dictionary *dictionary)
{
    memset(dictionary->slots, 0, DICTIONARY_SLOTS * sizeof(*dictionary->slots));
}

/* The first of the two slots in which the key may stand. */
static struct dictionary_slot *pair_of(struct dictionary *dictionary,
                                       const struct dictionary_key *key)
{
    uint64_t words[3], hash = 0;

    memcpy(words, key->bytes, sizeof(words));
    for (size_t i = 0; i < 3; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return &dictionary->slots[hash % (DICTIONARY_SLOTS / 2) * 2];
}

static int64_t recall(struct dictionary *dictionary, const struct dictionary_key *key)
{
    struct dictionary_slot *pair = pair_of(dictionary, key);

    for (size_t i = 0; i < 2; i++)
        if (pair[i].id && memcmp(pair[i].key, key->bytes, sizeof(key->bytes)) == 0)
            return pair[i].id;
    return 0;
}

/* The newer of a pair stays one round longer. */
static void remember(struct dictionary *dictionary, const struct dictionary_key *key, int64_t id)
{
    struct dictionary_slot *pair = pair_of(dictionary, key);

    pair[1] = pair[0];
    memcpy(pair[0].key, key->bytes, sizeof(key->bytes));
    pair[0].id = id;
}

int dictionary_find_or_add(struct store *store, const struct lookup *lookup, int64_t *ret,
                           struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, lookup->find, lookup->find_sql, &stmt, err);

    if (r < 0)
        return r;
    lookup->bind(stmt, lookup->what);
    r = sql_step(stmt, err);
    if (r > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
        orphans_note(store, lookup->find, *ret);
        return 0;
    }
    if (r == 0)
        r = writer_stmt(store, lookup->add, lookup->add_sql, &stmt, err);
    if (r < 0)
        return r;
    lookup->bind(stmt, lookup->what);
    r = sql_run(stmt, err);
    if (r < 0)
        return r;
    *ret = sqlite3_last_insert_rowid(store->db);
    orphans_note(store, lookup->find, *ret);
    return 0;
}

int dictionary_recall_or_find(struct store *store, const struct dictionary_key *key,
                              const struct lookup *lookup, int64_t *ret, struct err *err)
{
    int64_t id = recall(&store->dictionary, key);
    int r;

    if (!id) {
        r = dictionary_find_or_add(store, lookup, &id, err);
        if (r < 0)
            return r;
        remember(&store->dictionary, key, id);
    } else {
        orphans_note(store, lookup->find, id);
    }
    *ret = id;
    return 0;
}

struct netns_what {
    const struct netns_ref *ref;
    int64_t boot; /* number in the file */
};

static void bind_netns(sqlite3_stmt *stmt, const void *what)
{
    const struct netns_what *w = what;

    SQL_BIND(stmt, w->ref->inode, w->ref->cookie, w->boot);
    sql_bind_string(stmt, 4, w->ref->name);
}

/* It may have got another name meanwhile, such as a bind mount's. */
static int rename_netns(struct store *store, int64_t id, const char *name, struct err *err)
{
    static const char sql[] = "UPDATE netns SET name = ?2 WHERE id = ?1 AND name != ?2";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_RENAME_NETNS, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, id);
    sql_bind_string(stmt, 2, name);
    return sql_run(stmt, err);
}

int dictionary_netns(struct store *store, const struct netns_ref *netns, int64_t *ret,
                     struct err *err)
{
    const struct netns_what what = {netns, store->boot};
    const struct lookup lookup = {
        .find = STMT_FIND_NETNS,
        .find_sql = "SELECT id FROM netns WHERE inode = ?1 AND cookie = ?2 AND boot = ?3",
        .add = STMT_ADD_NETNS,
        .add_sql = "INSERT INTO netns (inode, cookie, boot, name) VALUES (?1, ?2, ?3, ?4)",
        .bind = bind_netns,
        .what = &what,
    };
    int r = dictionary_find_or_add(store, &lookup, ret, err);

    return r < 0 ? r : rename_netns(store, *ret, netns->name, err);
}

struct service_what {
    int64_t netns; /* number in the file */
    const struct service_key *service;
};

static void bind_service(sqlite3_stmt *stmt, const void *what)
{
    const struct service_what *w = what;

    SQL_BIND(stmt, w->service->port, w->service->protocol, w->service->role, w->netns);
}

int dictionary_service(struct store *store, int64_t netns, const struct service_key *service,
                       int64_t *ret, struct err *err)
{
    const struct service_what what = {netns, service};
    const struct lookup lookup = {
        .find = STMT_FIND_SERVICE,
        .find_sql = "SELECT id FROM services "
                    "WHERE port = ?1 AND protocol = ?2 AND role = ?3 AND netns = ?4",
        .add = STMT_ADD_SERVICE,
        .add_sql = "INSERT INTO services (port, protocol, role, netns) VALUES (?1, ?2, ?3, ?4)",
        .bind = bind_service,
        .what = &what,
    };
    struct dictionary_key key = {{KIND_SERVICE, service->protocol, service->role}};

    memcpy(key.bytes + 4, &service->port, sizeof(service->port));
    memcpy(key.bytes + 8, &netns, sizeof(netns));
    return dictionary_recall_or_find(store, &key, &lookup, ret, err);
}

struct address_what {
    const struct address *address;
    size_t n; /* bytes of it */
};

static void bind_address(sqlite3_stmt *stmt, const void *what)
{
    const struct address_what *w = what;

    sql_bind_bytes(stmt, 1, w->address->bytes, w->n);
}

int dictionary_address(struct store *store, uint8_t family, const struct address *address,
                       int64_t *ret, struct err *err)
{
    const struct address_what what = {address, address_bytes(family)};
    const struct lookup lookup = {
        .find = STMT_FIND_ADDRESS,
        .find_sql = "SELECT id FROM addresses WHERE bytes = ?1",
        .add = STMT_ADD_ADDRESS,
        .add_sql = "INSERT INTO addresses (bytes) VALUES (?1)",
        .bind = bind_address,
        .what = &what,
    };
    struct dictionary_key key = {{what.n == 4 ? KIND_ADDRESS4 : KIND_ADDRESS6}};

    memcpy(key.bytes + 4, address->bytes, what.n);
    return dictionary_recall_or_find(store, &key, &lookup, ret, err);
}
