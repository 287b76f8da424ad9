/* SPDX-License-Identifier: MIT */
/* What rows of the file refer to by number: services with their namespaces, owners, addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/address.h"
#include "connhist/model/owner.h"
#include "connhist/model/service.h"
#include "connhist/report/filter.h"
#include "owner_spans.h"

struct db;
struct stmt;

struct known_service {
    int64_t id;             /* services.id */
    struct service_key key; /* netns is netns.id */
    bool in_netns;          /* its namespace belongs to the answer */
    bool chosen;            /* ... and its ports, protocol and role as well */
    char netns[80];         /* name of its namespace */
};

struct known_owner {
    int64_t id;         /* owners.id */
    int64_t uid;        /* user id; -1: not known */
    int64_t started_ms; /* when its process started, record time; TIME_UNKNOWN */
    struct owner owner; /* start_ms is not set; strings in texts */
    char texts[];
};

/* Those that were asked for, by number. */
struct owner_lookup {
    struct known_owner **slots; /* hash table; owned */
    size_t n_slots;             /* a power of two, or 0 */
    size_t n;                   /* in use */
    struct stmt *stmt;          /* owned */
};

int owner_lookup_init(struct owner_lookup *lookup, struct db *db, struct err *err);
void owner_lookup_finish(struct owner_lookup *lookup);

/* *ret stays until owner_lookup_finish(); NULL: id is 0, or there is no such owner. 0 or a negative
 * errno. */
int owner_lookup_get(struct owner_lookup *lookup, int64_t id, const struct known_owner **ret,
                     struct err *err);

struct known_address {
    int64_t id;             /* addresses.id; 0: the place is free */
    uint8_t family;         /* AF_INET or AF_INET6 */
    struct address address; /* network byte order */
};

#define KNOWN_ADDRESSES 1024

/* See sharers.h and scope_names.h: their statements are prepared when they are needed first. */
struct sharers {
    struct db *db;     /* not owned */
    struct stmt *stmt; /* owned */
};
struct scope_names {
    struct db *db;     /* not owned */
    struct stmt *stmt; /* owned */
};

struct lookup {
    struct {
        VEC_FIELDS(struct known_service);
    } services; /* ascending by id */
    struct owner_lookup owners;
    struct owner_spans spans;  /* of one life at a time */
    struct stmt *address_stmt; /* owned */
    struct known_address
        *addresses; /* KNOWN_ADDRESSES places, an address has one by its number; owned */
};

/* Reads services; finish it also after an error. */
int lookup_load(struct lookup *lookup, struct db *db, const struct filter *filter, struct err *err);
void lookup_finish(struct lookup *lookup);

/* NULL: no such service. */
const struct known_service *lookup_service(const struct lookup *lookup, int64_t id);

/* Whether sockets of the ports asked for may be among those of a service: it stands for what was
 * not told apart. */
bool lookup_may_hide(const struct filter *filter, const struct known_service *service);

/* -EBADMSG: no such address. */
int lookup_address(struct lookup *lookup, int64_t id, uint8_t *ret_family, struct address *ret,
                   struct err *err);
