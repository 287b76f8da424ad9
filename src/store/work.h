/* SPDX-License-Identifier: MIT */
/* What the kinds of work on a whole file share. */
#pragma once

#include <stdarg.h>

#include "connhist/store/maintain.h"

/* Tells one finding; the line of progress makes room for it. */
__attribute__((format(printf, 2, 0))) void work_vtell(const struct maintenance *work,
                                                      const char *format, va_list args);

/* -EBUSY: a recorder writes the file. */
int work_refuse_recorder(const char *path, struct err *err);
