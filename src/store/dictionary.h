/* SPDX-License-Identifier: MIT */
/* What the file stores once and refers to by number: namespaces, services, addresses, owners. The
 * numbers looked up lately are kept in a table of fixed size; others are looked up in the file. */
#pragma once

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
int dictionary_owner(struct store *store, uint32_t uid, int64_t *ret, struct err *err);
int dictionary_address(struct store *store, uint8_t family, const struct address *address,
                       int64_t *ret, struct err *err);
