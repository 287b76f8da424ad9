/* SPDX-License-Identifier: MIT */
/* Names of users, looked up when they are shown: the file has their numbers. */
#pragma once

#include <stdint.h>

#include "connhist/base/vec.h"

struct known_user {
    uint32_t uid;
    char *name; /* owned; NULL: this host has none */
};

/* Those looked up so far. Zeroed: none. */
struct users {
    VEC_FIELDS(struct known_user); /* ascending by uid */
};

void users_finish(struct users *users);

/* The name of a user on this host, valid until users_finish(); NULL: there is none, or uid is
 * negative. */
const char *users_name(struct users *users, int64_t uid);
