/* SPDX-License-Identifier: MIT */
/* Owners as this host's /proc shows them, for source_live(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/model/owner.h"

struct owners_live;

/* clock must outlive it. */
int owners_live_new(const struct clock *clock, struct owners_live **ret, struct err *err);
void owners_live_free(struct owners_live *owners);

/* As the ops `owners`, `gone` and `check_owner` of struct source_ops. */
void owners_live_look(struct owners_live *owners, struct owner_want *wants, size_t n, bool recheck);
void owners_live_gone(struct owners_live *owners, const uint32_t *inodes, size_t n);
int owners_live_check(const struct owners_live *owners, const struct owner *owner);
