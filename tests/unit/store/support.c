/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    if (!place)
        return -1;
    snprintf(place->folder, sizeof(place->folder), "/tmp/connhist-store-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/connhist.db", place->folder);
    *state = place;
    return 0;
}

int place_teardown(void **state)
{
    struct place *place = *state;
    char command[256];

    snprintf(command, sizeof(command), "rm -rf '%s'", place->folder);
    if (system(command) != 0)
        return -1;
    free(place);
    return 0;
}

struct store *open_store(const struct place *place)
{
    struct store_options options = {.path = place->path};
    struct store *store = NULL;
    struct err err = {0};

    assert_ok(store_open(&options, &store, &err));
    return store;
}

void begin_recording(struct store *store, const char *boot, int64_t started_ms)
{
    struct recording recording = {.boot_base_ms = started_ms - 5000,
                                  .started_ms = started_ms,
                                  .interval_ms = 1000,
                                  .detail = "on",
                                  .version = "test"};
    struct service_name names[] = {{8000, 6, "qq"}};
    struct err err = {0};

    snprintf(recording.boot_id, sizeof(recording.boot_id), "%s", boot);
    assert_ok(store_begin_recording(store, &recording, names, 1, &err));
}

struct store *open_recording(const struct place *place, const char *boot, int64_t started_ms)
{
    struct store *store = open_store(place);

    begin_recording(store, boot, started_ms);
    return store;
}

struct batch *make_batch(int64_t start_ms)
{
    struct batch *batch = batch_new();
    struct netns_ref own = {.id = 0, .inode = 4026531840};

    assert_non_null(batch);
    batch->has_snapshot = true;
    batch->snapshot.start_ms = start_ms;
    batch->netns.items = calloc(1, sizeof(own));
    assert_non_null(batch->netns.items);
    batch->netns.items[0] = own;
    batch->netns.n = batch->netns.capacity = 1;
    return batch;
}

void write_batch(struct store *store, struct batch *batch)
{
    struct err err = {0};

    batch_seal(batch);
    assert_ok(store_write(store, batch, &err));
    batch_free(batch);
}

void set_addresses(struct life *life, const char *local, const char *remote)
{
    uint8_t family;

    memset(&life->local, 0, sizeof(life->local));
    memset(&life->remote, 0, sizeof(life->remote));
    assert_int_equal(address_parse(local, &life->family, &life->local), 0);
    assert_int_equal(address_parse(remote, &family, &life->remote), 0);
    assert_int_equal(family, life->family);
}

struct life make_life(uint64_t number, int64_t since_ms)
{
    static const uint8_t established[] = {STATE_ESTABLISHED};
    struct life life = {
        .number = number,
        .cookie = 0x99bb9 + number,
        .since_ms = since_ms,
        .ended_ms = TIME_UNKNOWN,
        .local_port = 40000,
        .remote_port = 80,
        .inode = 1234,
        .uid = 1000,
        .service = {.port = 80, .protocol = PROTOCOL_TCP, .role = ROLE_CLIENT},
        .state = STATE_ESTABLISHED,
        .role_source = ROLE_BY_TCP_INFO,
        .opened_known = true,
        .history_bytes = 1,
        .history = established,
    };

    set_addresses(&life, "192.0.2.7", "192.0.2.1");
    return life;
}

void add_life(struct batch *batch, struct life_vec *to, const struct life *life)
{
    assert_int_equal(batch_add_life(batch, to, life), 0);
}

static sqlite3 *connect_to(const struct place *place)
{
    sqlite3 *db;

    assert_int_equal(
        sqlite3_open_v2(place->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
        SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return db;
}

const char *ask(const struct place *place, const char *sql, char buf[static 256])
{
    sqlite3 *db = connect_to(place);
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        snprintf(buf, 256, "%s", text ? text : "(null)");
    } else if (rc == SQLITE_DONE) {
        snprintf(buf, 256, "(none)");
    } else {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return buf;
}

int64_t ask_number(const struct place *place, const char *sql)
{
    char buf[256];

    return strtoll(ask(place, sql, buf), NULL, 10);
}

void tell(const struct place *place, const char *sql)
{
    sqlite3 *db = connect_to(place);

    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

int64_t size_now(const struct place *place)
{
    static const char *const names[] = {"", "-wal", "-shm"};
    int64_t bytes = 0;

    for (size_t i = 0; i < 3; i++) {
        char name[300];
        struct stat st;

        snprintf(name, sizeof(name), "%s%s", place->path, names[i]);
        bytes += stat(name, &st) == 0 ? st.st_size : 0;
    }
    return bytes;
}
