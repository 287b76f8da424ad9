/* SPDX-License-Identifier: MIT */
/* The lock that keeps a second recorder away: PATH-recorder, locked by open file description (so
 * that SQLite's own locks, which belong to the process, are left alone), with the recorder's pid as
 * text. */
#pragma once

#include <stdbool.h>

#include "connhist/base/err.h"

/* Takes the lock; *ret_fd holds it until it is closed. *ret_made: the lock file was not there
 * before. -EBUSY: another recorder has it. */
int lock_take(const char *path, int *ret_fd, bool *ret_made, struct err *err);

/* Whether the lock file is still the one that fd has open. */
bool lock_is_in_place(const char *path, int fd);

/* Gives it back. */
void lock_release(int fd);

/* Gives it back and removes the lock file: for files that turned out not to be ours. */
void lock_remove(const char *path, int fd);

/* The path of the lock file in memory that the caller frees; NULL when memory is short. */
char *lock_path(const char *path);
