/* SPDX-License-Identifier: MIT */
/* How answers call namespaces: by name, and where two of one boot have the same, by number too. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

struct db;
struct filter;

struct netns_name {
    int64_t id;    /* netns.id */
    int64_t boot;  /* boots.id; 0: not known */
    int64_t inode; /* netns.inode */
    int64_t cookie;
    char name[64]; /* as it is in the file */
    char text[80]; /* as it is shown */
};

/* Those that have services and belong to an answer, by name, then boot. */
struct netns_names {
    VEC_FIELDS(struct netns_name);
};

int netns_names_load(struct netns_names *ret, struct db *db, const struct filter *filter,
                     struct err *err);

/* How one is shown; NULL: it does not belong to the answer. */
const char *netns_names_text(const struct netns_names *names, int64_t id);

/* How many are told apart: those of one name in different boots are one. */
size_t netns_names_count(const struct netns_names *names);
