/* SPDX-License-Identifier: MIT */
/* What a file of an older edition can't tell: it is read as it is, never changed. */
#pragma once

#include <stdbool.h>

#include "connhist/base/err.h"

struct db;

/* Whether the file's edition holds what the kernel told of closed sockets. */
int edition_has_events(struct db *db, bool *ret, struct err *err);
