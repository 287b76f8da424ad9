/* SPDX-License-Identifier: MIT */
/* What is said about the snapshot that stands for an instant. */
#pragma once

#include "connhist/report/sockets.h"

#include "context.h"

/* Complains, in one line each, of what a table of this snapshot can't tell. */
void snapshot_complain(const struct context *ctx, const struct snapshot_choice *choice);
