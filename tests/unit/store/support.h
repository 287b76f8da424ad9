/* SPDX-License-Identifier: MIT */
/* What the store's tests share: a folder of their own, made-up lives and batches, plain SQL. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "connhist/model/batch.h"
#include "connhist/store/store.h"

#define BOOT_A "11111111-1111-1111-1111-111111111111"
#define BOOT_B "22222222-2222-2222-2222-222222222222"

struct place {
    char folder[64]; /* made for this test */
    char path[256];  /* of the database in it */
};

/* cmocka setup and teardown; *state is a struct place. */
int place_setup(void **state);
int place_teardown(void **state);

struct store *open_store(const struct place *place);

/* Opens and begins a recording at started_ms. */
struct store *open_recording(const struct place *place, const char *boot, int64_t started_ms);
void begin_recording(struct store *store, const char *boot, int64_t started_ms);

/* A batch with a complete snapshot at start_ms and the recorder's own namespace as number 0. */
struct batch *make_batch(int64_t start_ms);
void write_batch(struct store *store, struct batch *batch);

/* An ESTABLISHED IPv4 connection to 192.0.2.1:80. */
struct life make_life(uint64_t number, int64_t since_ms);

/* Sets local and remote (text). */
void set_addresses(struct life *life, const char *local, const char *remote);

/* The same with its history set to n bytes. */
void add_life(struct batch *batch, struct life_vec *to, const struct life *life);

/* The first column of the first row by a connection of its own; "(null)", "(none)" without a row.
 */
const char *ask(const struct place *place, const char *sql, char buf[static 256]);
int64_t ask_number(const struct place *place, const char *sql);

/* What the database takes with its -wal and -shm, bytes. */
int64_t size_now(const struct place *place);

/* SQL by a connection of its own. */
void tell(const struct place *place, const char *sql);

#define assert_ok(expression)                                           \
    do {                                                                \
        int assert_ok_r_ = (expression);                                \
        if (assert_ok_r_ < 0)                                           \
            fail_msg("%s: %d %s", #expression, assert_ok_r_, err.text); \
    } while (0)

#define assert_answer(place, expected, sql)                                \
    do {                                                                   \
        char assert_buf_[256];                                             \
        assert_string_equal(ask((place), (sql), assert_buf_), (expected)); \
    } while (0)
