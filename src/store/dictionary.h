/* SPDX-License-Identifier: MIT */
/* What the file stores once and refers to by number: namespaces, services, addresses; owners (see
 * owners.h). The numbers looked up lately are kept in a table of fixed size; others are looked up
 * in the file. */
#pragma once

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/address.h"
#include "connhist/model/service.h"

struct store;

#define DICTIONARY_SLOTS 4096 /* even: slots are used in pairs */

struct dictionary_slot {
    uint8_t key[24]; /* kind, then what is looked up, then zeros */
    int64_t id;      /* its number; 0: slot is free */
};

struct dictionary {
    struct dictionary_slot *slots; /* owned; touched only as far as used */
};

/* 0 or -ENOMEM. */
int dictionary_init(struct dictionary *dictionary);
void dictionary_finish(struct dictionary *dictionary);

/* Forgets what it knows: after a rollback some of it is not in the file. */
void dictionary_forget(struct dictionary *dictionary);

/* Each gives the number, and makes one if it is new. Inside a transaction. */
int dictionary_netns(struct store *store, const struct netns_ref *netns, int64_t *ret,
                     struct err *err);
int dictionary_service(struct store *store, int64_t netns, const struct service_key *service,
                       int64_t *ret, struct err *err);
int dictionary_address(struct store *store, uint8_t family, const struct address *address,
                       int64_t *ret, struct err *err);

enum { KIND_SERVICE = 1, KIND_OWNER = 2, KIND_ADDRESS4 = 3, KIND_ADDRESS6 = 4 };

struct dictionary_key {
    uint8_t bytes[sizeof(((struct dictionary_slot *)0)->key)];
};

/* How a number is found or made. Both statements are bound alike. */
struct lookup {
    unsigned find, add;   /* enum writer_stmt: where they are kept */
    const char *find_sql; /* gives the number */
    const char *add_sql;  /* inserts */
    void (*bind)(sqlite3_stmt *stmt, const void *what);
    const void *what; /* handed to bind */
};

/* In the file. Inside a transaction. */
int dictionary_find_or_add(struct store *store, const struct lookup *lookup, int64_t *ret,
                           struct err *err);

/* The same after a look at what was looked up lately. */
int dictionary_recall_or_find(struct store *store, const struct dictionary_key *key,
                              const struct lookup *lookup, int64_t *ret, struct err *err);
