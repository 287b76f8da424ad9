/* SPDX-License-Identifier: MIT */
/* What a database is, and how it becomes one of the newest edition. */
#pragma once

#include <sqlite3.h>

#include "connhist/base/err.h"

/* Tells whose file this is. *ret_edition: PRAGMA user_version; 0: it is empty. No transaction may be
 * open. -EMEDIUMTYPE: no SQLite database, or one of another program; -EPROTO: from a newer connhist, or
 * something lacks that its edition has; -EBADMSG: damaged. */
int format_check(sqlite3 *db, int *ret_edition, struct err *err);

/* Applies the migrations behind `edition`, each in a transaction of its own. */
int format_migrate(sqlite3 *db, int edition, struct err *err);

/* Makes an empty database one of that edition, which may be older than the newest. */
int format_make(sqlite3 *db, int edition, struct err *err);
