/* SPDX-License-Identifier: MIT */
#include "record_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "connhist/model/history.h"

static void must(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%d: %s", r, err->text);
}

static void open_store(struct record_file *file)
{
    struct store_options options = {.path = file->path};
    struct err err = {0};

    must(store_open(&options, &file->store, &err), &err);
}

void record_file_init(struct record_file *file)
{
    *file = (struct record_file){.folder = "/tmp/connhist-report-XXXXXX"};
    assert_non_null(mkdtemp(file->folder));
    snprintf(file->path, sizeof(file->path), "%s/connhist.db", file->folder);
    open_store(file);
}

void record_begin(struct record_file *file, char boot, int64_t started_ms, int64_t interval_ms)
{
    struct recording recording = {
        .boot_id = {boot},
        .started_ms = started_ms,
        .interval_ms = interval_ms,
        .detail = "on",
        .version = "test",
    };
    struct err err = {0};

    must(store_begin_recording(file->store, &recording, NULL, 0, &err), &err);
}

static struct batch *batch_of(struct record_file *file)
{
    struct netns_ref own = {.inode = 4026531840};

    if (!file->batch) {
        file->batch = batch_new();
        assert_non_null(file->batch);
        file->batch->cost.event_buffer = file->deaf ? 0 : 1 << 20;
        assert_int_equal(vec_push(&file->batch->netns, own), 0);
    }
    return file->batch;
}

void record_snapshot(struct record_file *file, int64_t start_ms, bool anchor)
{
    struct batch *batch = batch_of(file);

    batch->has_snapshot = true;
    batch->snapshot = (struct snapshot){.start_ms = start_ms, .anchor = anchor, .took_us = 1000};
}

void record_interrupted(struct record_file *file, int64_t start_ms)
{
    record_snapshot(file, start_ms, false);
    file->batch->snapshot.status = SNAPSHOT_INTERRUPTED;
}

void record_tally(struct record_file *file, uint8_t protocol, uint8_t role, int32_t port,
                  uint8_t state, uint32_t count)
{
    struct tally_change tally = {
        .service = {.port = port, .protocol = protocol, .role = role},
        .state = state,
        .count = count,
    };

    assert_int_equal(vec_push(&batch_of(file)->tallies, tally), 0);
}

void record_loss(struct record_file *file, uint8_t kind, int64_t from_ms, int64_t until_ms,
                 uint64_t count)
{
    struct loss loss = {.from_ms = from_ms, .until_ms = until_ms, .count = count, .kind = kind};

    assert_int_equal(vec_push(&batch_of(file)->losses, loss), 0);
}

void record_epoch(struct record_file *file, int64_t from_ms, int64_t offset_ms)
{
    struct epoch epoch = {.from_ms = from_ms, .offset_ms = offset_ms};

    assert_int_equal(vec_push(&batch_of(file)->epochs, epoch), 0);
}

void record_rate(struct record_file *file, const struct rate_change *rate)
{
    assert_int_equal(vec_push(&batch_of(file)->rates, *rate), 0);
}

/* Reads "ADDRESS:PORT" or "[ADDRESS]:PORT"; returns what follows. */
static const char *read_end(const char *text, uint8_t *family, struct address *address,
                            uint16_t *port)
{
    char host[ADDRESS_TEXT_MAX] = "";
    int n = 0;

    if (sscanf(text, "[%46[0-9a-f:.]]:%hu%n", host, port, &n) != 2)
        assert_int_equal(sscanf(text, "%46[0-9.]:%hu%n", host, port, &n), 2);
    assert_int_equal(address_parse(host, family, address), 0);
    return text + n;
}

struct life record_life(uint64_t number, const char *ends, uint8_t role, const uint8_t *states,
                        size_t n_states, int64_t since_ms)
{
    struct life life = {
        .number = number,
        .cookie = number,
        .since_ms = since_ms,
        .ended_ms = TIME_UNKNOWN,
        .uid = UID_UNKNOWN,
        .role_source = ROLE_BY_STATE,
        .state = (uint8_t)history_state_at(states, n_states, since_ms, INT64_MAX, NULL),
        .history = states,
        .history_bytes = (uint8_t)n_states,
    };

    ends = read_end(ends, &life.family, &life.local, &life.local_port);
    read_end(ends + 1, &life.family, &life.remote, &life.remote_port);
    life.service.protocol = PROTOCOL_TCP;
    life.service.role = role;
    life.service.port = role == ROLE_SERVER ? life.local_port : life.remote_port;
    return life;
}

void record_write(struct record_file *file)
{
    struct err err = {0};

    batch_seal(batch_of(file));
    must(store_write(file->store, file->batch, &err), &err);
    batch_free(file->batch);
    file->batch = NULL;
}

void record_end(struct record_file *file, int64_t ended_ms)
{
    struct err err = {0};

    must(store_end_recording(file->store, ended_ms, &err), &err);
}

void record_read(struct record_file *file)
{
    store_close(file->store);
    file->store = NULL;
    record_look(file);
}

void record_look(struct record_file *file)
{
    struct err err = {0};

    must(db_open(file->path, &file->db, &err), &err);
    must(db_begin(file->db, &err), &err);
    must(walltime_load(&file->walltime, file->db, &err), &err);
}

void record_file_finish(struct record_file *file)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-recorder", "-journal"};
    char path[128];

    batch_free(file->batch);
    store_close(file->store);
    walltime_finish(&file->walltime);
    db_close(file->db);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", file->path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(file->folder), 0);
}
