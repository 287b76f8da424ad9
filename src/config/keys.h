/* SPDX-License-Identifier: MIT */
/* The keys that a configuration may hold: a const table, and one reader for each type of value. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/config/config.h"

#define CONFIG_FULL_NAME_MAX 64
#define CONFIG_KEYS_MAX      64

enum config_key_kind {
    CONFIG_KEY_VALUE,    /* one value */
    CONFIG_KEY_LIST,     /* a list of values, each taken by `read` */
    CONFIG_KEY_SECTION,  /* keys of the table below it */
    CONFIG_KEY_SERVICES, /* PORT/PROTOCOL: NAME below it */
};

struct config_key {
    const char *section; /* the key it stands below; "" at the top */
    const char *name;
    enum config_key_kind kind;
    /* Checks text and puts it into *config. -EINVAL: err says what is wrong and what would be
     * right; -ENOMEM. NULL unless kind is CONFIG_KEY_VALUE or _LIST. */
    int (*read)(const struct config_key *key, const char *text, struct config *config,
                struct err *err);
    size_t offset;        /* of the member of struct config */
    int64_t min, max;     /* of numbers, sizes (bytes) and durations (ms) */
    const char *fallback; /* the default as text; NULL: none, the member stays 0 */
    const char *right;    /* what is right, for messages */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* "limits.queue". Returns buf. */
const char *config_key_full_name(const struct config_key *key,
                                 char buf[static CONFIG_FULL_NAME_MAX]);

/* Most patterns in a list. */
#define CONFIG_MAX_PATTERNS 1024

void config_patterns_finish(struct config_patterns *patterns);

/* Reads one entry of `services`: "8000/tcp" and its name. Errors as those of config_key.read. */
int config_service_read_port(const char *text, struct config_service *ret, struct err *err);
int config_service_read_name(const char *text, struct config_service *ret, struct err *err);
