/* SPDX-License-Identifier: MIT */
/* Owners in the file: processes, programs and cgroups once each, and each combination once. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/batch.h"

struct store;

/* An owner's numbers in the file; 0: not known. */
struct owner_ids {
    uint32_t number; /* the batch's */
    uint32_t uid;    /* of its process; UID_UNKNOWN */
    int64_t process; /* processes.id */
    int64_t program; /* programs.id */
    int64_t cgroup;  /* cgroups.id */
};

/* Finds or makes what a batch's owners consist of; *ret gets batch->owners.n of them, ascending by
 * number, for the caller to free. Inside a transaction. */
int owners_find_all(struct store *store, const struct batch *batch, struct owner_ids **ret,
                    struct err *err);

/* The number of an owner; *ret 0: neither uid nor owner is known. uid: the socket's. ids: NULL or
 * one of owners_find_all(). Inside a transaction. */
int owners_find(struct store *store, uint32_t uid, const struct owner_ids *ids, int64_t *ret,
                struct err *err);

/* The same text in UTF-8: bytes that are none become \xNN each. The caller frees it; NULL: no
 * memory. */
char *owners_clean_text(const char *text);
