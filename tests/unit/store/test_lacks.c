/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connhist/store/db.h"

static int try_open(const struct place *place, struct err *err)
{
    struct store_options options = {.path = place->path};
    struct store *store = NULL;
    int r = store_open(&options, &store, err);

    store_close(store);
    return r;
}

/* Both programs, in words that name what lacks; and the file is left as it is. */
static void assert_lacks(struct place *place, const char *change, const char *what)
{
    struct err err = {0};
    struct db *db = NULL;

    unlink(place->path);
    store_close(open_store(place));
    tell(place, change);
    assert_int_equal(db_open(place->path, &db, &err), -EPROTO);
    assert_null(db);
    assert_non_null(strstr(err.text, place->path));
    assert_non_null(strstr(err.text, what));
    err = (struct err){0};
    assert_int_equal(try_open(place, &err), -EPROTO);
    assert_non_null(strstr(err.text, what));
}

static void a_file_that_lacks_what_its_edition_has_is_refused_by_name(void **state)
{
    struct place *place = *state;

    assert_lacks(place, "DROP VIEW counter_minutes; DROP TABLE counters", "lacks counters.");
    assert_lacks(place, "ALTER TABLE boots DROP COLUMN base_ms", "lacks boots.base_ms:");
    assert_lacks(place, "DROP VIEW listeners", "lacks the view listeners:");
}

static void a_table_more_than_its_edition_has_is_no_fault(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    struct db *db = NULL;

    store_close(open_store(place));
    tell(place, "CREATE TABLE mine (x); CREATE INDEX mine_too ON closed (service); "
                "ALTER TABLE boots ADD COLUMN mine ANY");
    assert_ok(try_open(place, &err));
    assert_ok(db_open(place->path, &db, &err));
    db_close(db);
}

static void a_table_that_lacks_is_no_fault_of_who_asks_unless_he_named_it(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    const char *tail;
    struct db *db = NULL;

    store_close(open_store(place));
    assert_ok(db_open(place->path, &db, &err));
    tell(place, "DROP TABLE queues");
    assert_ok(db_begin(db, &err)); /* which looks at the schema again */
    db_end(db);
    assert_int_equal(db_prepare(db, "SELECT * FROM queues", &stmt, &err), -EPROTO);
    assert_int_equal(err.code, -EPROTO);
    assert_non_null(strstr(err.text, "no such table: queues"));
    assert_non_null(strstr(err.text, place->path));
    assert_int_equal(db_prepare_user(db, "SELECT * FROM queues", &stmt, &tail, &err), -EINVAL);
    assert_ok(db_prepare_user(db, "SELECT abs(-9223372036854775808)", &stmt, &tail, &err));
    assert_int_equal(stmt_step(stmt, &err), -EINVAL);
    stmt_free(stmt);
    assert_ok(db_prepare(db, "SELECT abs(-9223372036854775808)", &stmt, &err));
    assert_int_equal(stmt_step(stmt, &err), -EPROTO);
    stmt_free(stmt);
    db_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_lacks_what_its_edition_has_is_refused_by_name),
        TEST(a_table_more_than_its_edition_has_is_no_fault),
        TEST(a_table_that_lacks_is_no_fault_of_who_asks_unless_he_named_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
