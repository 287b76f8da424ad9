/* SPDX-License-Identifier: MIT */
/* What sockets are told apart by beside their ports: owners and namespaces. Each is put down once
 * and has a number, so that keys of series stay small. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/report/trend.h"
#include "lookup.h"
#include "stored_life.h"

/* Of one kind and with the same strings and numbers: the same. */
struct label {
    int64_t start_ms; /* when the process started, record time; 0: any */
    char *name;       /* process, unit, container or namespace; NULL: not known; owned */
    char *exe;        /* of a process, "" if not known; owned; NULL */
    uint32_t pid;     /* 0: any, or not known */
    uint8_t kind;     /* enum trend_by */
};

/* The numbers of what a socket belongs to, from 1; 0: summed over. */
struct label_set {
    uint32_t process;
    uint32_t unit;
    uint32_t container;
    uint32_t netns;
};

#define LABEL_MEMO 256

/* The last answer for an owner, a place for each by its number. */
struct label_memo {
    int64_t owner; /* owners.id */
    bool used;
    struct label_set set; /* netns is 0 */
};

struct labels {
    struct {
        VEC_FIELDS(struct label);
    } items; /* owned */
    struct {
        VEC_FIELDS(uint32_t);
    } places;                 /* hash table: number, 0: free; its size is a power of 2; owned */
    struct label_memo *memos; /* LABEL_MEMO of them; owned; NULL until the first is needed */
};

void labels_finish(struct labels *labels);

/* Whether a process is none, but the kernel. */
bool labels_is_kernel(const struct label *process);

/* number: from 1. */
const struct label *labels_get(const struct labels *labels, uint32_t number);

/* The numbers of a namespace, if `by` (enum trend_by) names it. 0 or -ENOMEM. */
int labels_of_service(struct labels *labels, unsigned by, const struct known_service *service,
                      struct label_set *ret);

/* The numbers of a life's owner, as far as `by` names parts of it; netns is left alone. known: NULL
 * where the owner is not. 0 or -ENOMEM. */
int labels_of_owner(struct labels *labels, unsigned by, const struct stored_life *life,
                    const struct known_owner *known, struct label_set *ret);

/* Orders labels by what people see; 0 stands before all. */
int labels_compare(const struct labels *labels, uint32_t a, uint32_t b);
