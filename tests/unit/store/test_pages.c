/* SPDX-License-Identifier: MIT */
/* Which page belongs to which table: SQLite's own word (dbstat) is the oracle. */
#include "made_file.h"

#include <stdlib.h>
#include <string.h>

#include "store/pages.h"

static const char sql[] =
    "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE b (k INTEGER, v BLOB, PRIMARY KEY (k)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE c (v BLOB);"
    "CREATE TABLE empty (v);"
    "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
    " INSERT INTO a SELECT i, 'some text ' || i FROM n;"
    "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
    " INSERT INTO b SELECT i, randomblob(40) FROM n;"
    "INSERT INTO c VALUES (zeroblob(9000)), (zeroblob(50));";
#define COLUMN(n) "a_column_with_a_name_as_long_as_that_number_" #n " TEXT"
#define COLUMNS                                                                                                                                \
    COLUMN(1)                                                                                                                                  \
    "," COLUMN(2) "," COLUMN(3) "," COLUMN(4) "," COLUMN(5) "," COLUMN(6) "," COLUMN(7) "," COLUMN(8) "," COLUMN(9) "," COLUMN(10) "," COLUMN( \
        11) "," COLUMN(12) "," COLUMN(13) "," COLUMN(14) "," COLUMN(15) "," COLUMN(16) "," COLUMN(17) "," COLUMN(18) "," COLUMN(19) "," COLUMN(20)
/* So many tables that the first page only leads to the schema. */
static const char wide_sql[] =
    "CREATE TABLE a (a TEXT, " COLUMNS ");"
    "CREATE TABLE b (b TEXT, " COLUMNS ");"
    "CREATE TABLE c (c TEXT, " COLUMNS ");"
    "CREATE VIEW v AS SELECT * FROM a;"
    "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
    " INSERT INTO a (a) SELECT randomblob(200) FROM n;"
    "INSERT INTO b (b) SELECT 'some' FROM a";
static const char wider_sql[] = "CREATE TABLE d (d TEXT, " COLUMNS ");"
                                "CREATE TABLE e (e TEXT, " COLUMNS ");";
static const char more_sql[] = "DELETE FROM a WHERE id BETWEEN 200 AND 700;";

/* Compares with what was noted before the damage. */
struct oracle {
    char name[400][TREE_NAME_MAX]; /* by number of the page; "": overflow, free, the map */
    uint32_t n_pages;
};

static void ask_sqlite(const struct place *place, struct oracle *oracle)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;

    memset(oracle, 0, sizeof(*oracle));
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT name, pageno FROM dbstat WHERE pagetype <> 'overflow'", -1,
                           &stmt, NULL),
        SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        int page = sqlite3_column_int(stmt, 1);

        assert_in_range(page, 1, 399);
        strncpy(oracle->name[page], (const char *)sqlite3_column_text(stmt, 0), TREE_NAME_MAX - 1);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    oracle->n_pages = (uint32_t)ask_number(place, "PRAGMA page_count");
    assert_in_range(oracle->n_pages, 60, 399);
}

/* Each page has the tree that SQLite said, but for those of which nothing tells. */
static uint32_t compare(const struct place *place, const struct oracle *oracle, bool all)
{
    struct pages pages;
    struct image image;
    uint32_t unknown = 0;

    made_open(place, &image);
    assert_int_equal(image.n_pages, oracle->n_pages);
    assert_int_equal(pages_init(&pages, &image), 0);
    for (uint32_t i = 1; i <= image.n_pages; i++) {
        uint16_t owner = pages.owner[i];

        if (owner == PAGE_UNKNOWN)
            unknown++;
        else if (owner == PAGE_OTHER)
            assert_string_equal(oracle->name[i], "");
        else
            assert_string_equal(pages.trees[owner].name, oracle->name[i]);
        if (all && oracle->name[i][0])
            assert_true(owner < PAGE_OTHER);
    }
    pages_finish(&pages);
    image_close(&image);
    return unknown;
}

static void make(const struct place *place, uint32_t page_size, bool vacuum, struct oracle *oracle)
{
    made_file(place, page_size, vacuum, sql);
    tell(place, more_sql);
    ask_sqlite(place, oracle);
}

static void each_page_has_its_tree(void **state)
{
    struct place *place = *state;
    struct oracle oracle;

    make(place, 512, false, &oracle);
    compare(place, &oracle, true);
}

static void each_page_has_its_tree_by_the_map(void **state)
{
    struct place *place = *state;
    struct oracle oracle;

    make(place, 512, true, &oracle);
    assert_int_equal(compare(place, &oracle, true), 0);
}

static void without_the_map_inner_pages_lead(void **state)
{
    struct place *place = *state;
    struct oracle oracle;

    make(place, 512, true, &oracle);
    made_blank(place, 512, 2);
    made_blank(place, 512, 2 + 512 / 5 + 1);
    compare(place, &oracle, true);
}

static void without_inner_pages_the_map_leads(void **state)
{
    struct place *place = *state;
    struct oracle oracle;
    char text[256];
    uint32_t pages[64], n = 0;

    make(place, 512, true, &oracle);
    ask(place,
        "SELECT group_concat(pageno, ' ') FROM dbstat WHERE pagetype = 'internal' AND pageno > 1",
        text);
    for (char *p = text, *rest; n < 64 && *p; p = rest + (*rest != 0))
        pages[n++] = (uint32_t)strtoul(p, &rest, 10);
    assert_true(n >= 4);
    for (uint32_t i = 0; i < n; i++)
        made_blank(place, 512, pages[i]);
    assert_int_equal(compare(place, &oracle, true), 0);
}

/* The schema is found by its rows. Pages are as large as ours are: nothing tells it. */
static void without_the_first_page_and_the_map_tables_are_found(void **state)
{
    struct place *place = *state;
    struct oracle oracle;

    made_file(place, 4096, true, wide_sql);
    tell(place, wider_sql);
    ask_sqlite(place, &oracle);
    made_blank(place, 4096, 1);
    made_blank(place, 4096, 2);
    compare(place, &oracle, true);
}

static void parents_in_a_ring_end(void **state)
{
    struct place *place = *state;
    struct oracle oracle;
    struct pages pages;
    struct image image;
    uint8_t map[510];

    make(place, 512, true, &oracle);
    for (uint32_t i = 0; i < 102; i++) {
        uint32_t parent = 3 + (i + 1) % 50;

        map[i * 5] = 5;
        map[i * 5 + 1] = map[i * 5 + 2] = map[i * 5 + 3] = 0;
        map[i * 5 + 4] = (uint8_t)parent;
    }
    made_damage(place, 512, map, sizeof(map));
    made_blank(place, 512, 3);
    made_open(place, &image);
    assert_int_equal(pages_init(&pages, &image), 0);
    pages_finish(&pages);
    image_close(&image);
}

static void a_tree_is_added_where_nobody_is(void **state)
{
    struct place *place = *state;
    struct pages pages;
    struct image image;

    made_file(place, 512, false, sql);
    made_open(place, &image);
    assert_int_equal(pages_init(&pages, &image), 0);
    assert_true(pages_find(&pages, "a") > 0);
    assert_int_equal(pages_find(&pages, "none"), -1);
    assert_int_equal(pages_add(&pages, &image, "none", 3), 0);
    assert_int_equal(pages_find(&pages, "none"), -1); /* that page is another's */
    assert_int_equal(pages_add(&pages, &image, "none", image.n_pages + 1), 0);
    assert_int_equal(pages_find(&pages, "none"), -1);
    pages.owner[3] = PAGE_UNKNOWN;
    assert_int_equal(pages_add(&pages, &image, "none", 3), 0);
    assert_true(pages_find(&pages, "none") > 0);
    assert_true(pages.trees[pages_find(&pages, "none")].is_guess);
    pages_finish(&pages);
    image_close(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_page_has_its_tree, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(each_page_has_its_tree_by_the_map, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(without_the_map_inner_pages_lead, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(without_inner_pages_the_map_leads, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(without_the_first_page_and_the_map_tables_are_found,
                                        place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(parents_in_a_ring_end, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_tree_is_added_where_nobody_is, place_setup,
                                        place_teardown),
    };

    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
