/* SPDX-License-Identifier: MIT */
/* connhist report: the rows of counts. */
#pragma once

#include "connhist/render/writer.h"
#include "connhist/report/trend.h"

#include "context.h"

/* Writes the answer in ctx->format. part: what JSON has beside; NULL: nothing. Returns an exit status; complains itself. */
int report_rows(const struct context *ctx, const struct trend_question *question,
                const struct trend *trend, const struct part *part);
