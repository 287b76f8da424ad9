/* SPDX-License-Identifier: MIT */
/* The inside of struct db and struct stmt, for the files that read. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "connhist/store/db.h"

struct db {
    sqlite3 *db;         /* read-only connection */
    char *path;          /* as it was given */
    int edition;         /* PRAGMA user_version when it was opened */
    int64_t deadline_ns; /* CLOCK_BOOTTIME; 0: none */
    int64_t vm_steps;    /* of statements that are gone */
    int64_t limit_ns;    /* what db_begin() sets the deadline to, from then; 0: leaves it */
    bool late;           /* the running statement was ended at the deadline */
    bool user;           /* a user's statement is being prepared: the authorizer is stricter */
    bool denied;         /* the authorizer refused something since this was cleared */
};

struct stmt {
    struct db *db;
    sqlite3_stmt *stmt;
    int bind_rc; /* first error of a bind since the last reset */
    bool user;   /* written by whoever asks: what is wrong with it is his */
};

/* Sets err for a failed call; knows of the deadline. -EPROTO in place of -EINVAL: statements of our own
 * are right, so it is the file that is not as they expect. */
int reader_fail(struct db *db, int rc, struct err *err);

/* The same for a statement of whoever asks: -EINVAL. */
int reader_fail_user(struct db *db, int rc, struct err *err);

/* Sets the deadline as db_set_limit() wants it. */
void reader_start_limit(struct db *db);

/* Takes stmt, also on error. */
int reader_wrap(struct db *db, sqlite3_stmt *stmt, struct stmt **ret, struct err *err);

/* Registers the helpers that db.h names. */
int functions_register(sqlite3 *db, struct err *err);

/* Those of them that are about histograms; called by the former. */
int functions_register_histogram(sqlite3 *db, struct err *err);

/* sqlite3_set_authorizer()'s callback; arg: the struct db. */
int user_sql_authorize(void *arg, int action, const char *a, const char *b, const char *schema,
                       const char *trigger);
