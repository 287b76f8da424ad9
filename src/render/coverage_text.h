/* SPDX-License-Identifier: MIT */
#pragma once

#include "connhist/render/text.h"
#include "layout.h"

/* coverage_print() within the layout's width. */
void coverage_layout(struct layout *layout, const struct coverage *coverage, bool utc,
                     size_t max_gaps);
