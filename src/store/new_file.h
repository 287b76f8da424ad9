/* SPDX-License-Identifier: MIT */
/* A file that is made beside its name and gets it when it is complete: what has that name before is never
 * overwritten, and what has it then is whole. */
#pragma once

#include <sqlite3.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"

struct new_file {
    sqlite3 *db;   /* owned */
    char *path;    /* the name; owned */
    char *partial; /* the name until it is complete; owned */
};

/* -EEXIST: there is such a file. */
int new_file_open(const char *path, struct new_file **ret, struct err *err);

/* Brings it to the edition that a file has; 0 < edition <= file_edition(). */
int new_file_format(struct new_file *file, int edition, struct err *err);

/* Closes it, makes sure that it is on the disk, and gives it its name. */
int new_file_finish(struct new_file *file, struct err *err);

/* Without new_file_finish() nothing is left of it. */
void new_file_free(struct new_file *file);
DEFINE_CLEANUP(struct new_file *, new_file_free)
