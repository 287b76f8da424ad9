/* SPDX-License-Identifier: MIT */
/* Processes that held a socket when it was looked at last, beside its owner. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/filter.h"
#include "lookup.h"
#include "stored_life.h"

/* The first of them that a filter asks for and that ran by until_ms, record time; NULL: none.
 * Zeroed: *sharers is ready but for its file. Returns 0 or a negative errno. */
int sharers_find(struct sharers *sharers, struct owner_lookup *owners, const struct filter *filter,
                 const struct stored_life *life, int64_t until_ms, const struct known_owner **ret,
                 struct err *err);
