/* SPDX-License-Identifier: MIT */
/* What the recorder noted as lost, and how that reads as the reason of a gap. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/batch.h"

struct db;

struct noted_loss {
    struct loss loss;
    int64_t earliest_ms; /* smallest from_ms of this one and all behind it */
};

struct noted_losses {
    VEC_FIELDS(struct noted_loss); /* ascending by until_ms */
};

/* Those that touch [from_ms, until_ms] of record time. */
int losses_load(struct noted_losses *losses, struct db *db, int64_t from_ms, int64_t until_ms,
                struct err *err);

/* Ticks not taken and snapshots not written within [from_ms, until_ms]; of a loss that lies partly
 * outside the overlapping share. */
int64_t losses_missed(const struct noted_losses *losses, int64_t from_ms, int64_t until_ms);

/* Words for why the snapshots between two complete ones lack; "" when nothing was noted. */
void losses_reason(const struct noted_losses *losses, int64_t from_ms, int64_t until_ms, char *buf,
                   size_t size);
