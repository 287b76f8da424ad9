/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define T0 INT64_C(1763800000000)

static struct store *recorded(const struct place *place)
{
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct life life = make_life(1, T0 + 1);

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    return store;
}

/* The path of a file beside the database; it stays until the next call with the same buffer. */
static const char *beside(const struct place *place, const char *suffix, char buf[static 256])
{
    assert_true(snprintf(buf, 256, "%s%s", place->path, suffix) < 256);
    return buf;
}

static void the_same_file_goes_on_without_a_new_recording(void **state)
{
    struct store *store = recorded(*state);
    struct err err = {0};
    bool same = false;

    assert_true(store_is_in_place(store));
    store_disconnect(store);
    assert_false(store_is_in_place(store));
    assert_ok(store_reopen(store, &same, &err));
    assert_true(same);
    assert_true(store_is_in_place(store));
    write_batch(store, make_batch(T0 + 2));
    assert_int_equal(ask_number(*state, "SELECT count(*) FROM snapshots"), 2);
    assert_int_equal(ask_number(*state, "SELECT count(*) FROM recordings"), 1);
    store_close(store);
}

static void a_removed_log_loses_nothing(void **state)
{
    char buf[256];
    struct store *store = recorded(*state);
    struct err err = {0};
    bool same = false;

    assert_int_equal(unlink(beside(*state, "-wal", buf)), 0);
    assert_false(store_is_in_place(store));
    assert_ok(store_reopen(store, &same, &err));
    assert_true(same);
    assert_int_equal(ask_number(*state, "SELECT count(*) FROM open"), 1);
    store_close(store);
}

static void a_removed_file_is_made_again_without_its_old_log(void **state)
{
    struct store *store = recorded(*state);
    struct err err = {0};
    bool same = true;

    assert_int_equal(unlink(((struct place *)*state)->path), 0);
    assert_false(store_is_in_place(store));
    assert_ok(store_reopen(store, &same, &err));
    assert_false(same);
    assert_int_equal(ask_number(*state, "SELECT count(*) FROM recordings"), 0);
    begin_recording(store, BOOT_A, T0 + 10);
    write_batch(store, make_batch(T0 + 11));
    assert_answer(*state, "ok", "PRAGMA integrity_check");
    store_close(store);
}

static void a_file_that_was_cut_off_is_found_damaged_until_it_is_set_aside(void **state)
{
    struct store *store = recorded(*state);
    _cleanup_free_ char *name = NULL;
    struct batch *batch;
    struct err err = {0};
    struct stat st;
    bool same = true;

    store_close(store); /* brings all from the log into the file */
    store = open_recording(*state, BOOT_A, T0 + 5);
    assert_int_equal(truncate(((struct place *)*state)->path, 40000), 0);
    batch = make_batch(T0 + 6);
    assert_int_equal(store_write(store, batch, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "was cut off"));
    store_disconnect(store);
    for (int i = 0; i < 2; i++)
        assert_int_equal(store_reopen(store, &same, &err), -EBADMSG);
    assert_ok(store_set_aside(store, &name, &err));
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_size, 40000);
    assert_non_null(strstr(name, ".damaged-"));
    assert_int_equal(access(((struct place *)*state)->path, F_OK), -1);
    assert_ok(store_reopen(store, &same, &err));
    assert_false(same);
    begin_recording(store, BOOT_A, T0 + 7);
    assert_ok(store_write(store, batch, &err));
    batch_free(batch);
    store_close(store);
}

static void another_file_in_its_place_is_not_set_aside(void **state)
{
    struct store *store = recorded(*state);
    char *name = NULL, buf[256];
    struct err err = {0};

    assert_int_equal(rename(((struct place *)*state)->path, beside(*state, "-moved", buf)), 0);
    tell(*state, "CREATE TABLE letters (text)");
    assert_int_equal(store_set_aside(store, &name, &err), -ESTALE);
    assert_null(name);
    assert_int_equal(access(((struct place *)*state)->path, F_OK), 0);
    store_close(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_same_file_goes_on_without_a_new_recording),
        TEST(a_removed_log_loses_nothing),
        TEST(a_removed_file_is_made_again_without_its_old_log),
        TEST(a_file_that_was_cut_off_is_found_damaged_until_it_is_set_aside),
        TEST(another_file_in_its_place_is_not_set_aside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
