/* SPDX-License-Identifier: MIT */
/* Rows read from pages, against what SQLite reads of the same file. */
#include "made_file.h"

#include <stdlib.h>
#include <string.h>

#include "store/record_cell.h"

#define VALUES                                                                                  \
    "(0), (1), (-1), (127), (128), (-128), (-129), (32767), (32768), (-32769), (8388607), "     \
    "(8388608), (-8388609), (2147483647), (2147483648), (140737488355327), (140737488355328), " \
    "(9223372036854775807), (-9223372036854775807 - 1), (NULL), (1.5), (-0.25), (1e300), "      \
    "('text'), (''), (x''), (x'00ff'), (zeroblob(100)), (zeroblob(476)), (zeroblob(477)), "     \
    "(randomblob(1000)), (randomblob(20000)), (hex(randomblob(300)))"

static const char sql[] =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY) STRICT;"
    "CREATE TABLE w (k INTEGER, v ANY, PRIMARY KEY (k)) STRICT, WITHOUT ROWID;"
    "INSERT INTO t (v) VALUES " VALUES ";"
    "INSERT INTO t (id, v) VALUES (9223372036854775807, 1), (-5, 2), (1 << 40, 3);"
    "INSERT INTO w SELECT id, v FROM t";

static void assert_value(sqlite3_stmt *stmt, int column, const struct value *value)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_NULL:
        assert_int_equal(value->kind, VALUE_NULL);
        break;
    case SQLITE_INTEGER:
        assert_int_equal(value->kind, VALUE_INTEGER);
        assert_true(value->integer == sqlite3_column_int64(stmt, column));
        break;
    case SQLITE_FLOAT:
        assert_int_equal(value->kind, VALUE_REAL);
        assert_true(value->real == sqlite3_column_double(stmt, column));
        break;
    default:
        assert_int_equal(value->kind, sqlite3_column_type(stmt, column) == SQLITE_TEXT
                                          ? VALUE_TEXT
                                          : VALUE_BLOB);
        assert_int_equal(value->n, sqlite3_column_bytes(stmt, column));
        if (value->n)
            assert_memory_equal(value->bytes, sqlite3_column_blob(stmt, column), value->n);
    }
}

struct oracle {
    sqlite3 *db;
    sqlite3_stmt *rows[2]; /* of t, of w: by their number */
    int n;                 /* compared so far */
};

static void oracle_open(const struct place *place, struct oracle *oracle)
{
    oracle->n = 0;
    assert_int_equal(sqlite3_open(place->path, &oracle->db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(oracle->db, "SELECT id, v FROM t WHERE id = ?1", -1,
                                        &oracle->rows[0], NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(oracle->db, "SELECT k, v FROM w WHERE k = ?1", -1,
                                        &oracle->rows[1], NULL),
                     SQLITE_OK);
}

static void oracle_close(struct oracle *oracle)
{
    sqlite3_finalize(oracle->rows[0]);
    sqlite3_finalize(oracle->rows[1]);
    sqlite3_close(oracle->db);
}

static void compare_row(struct oracle *oracle, bool table, const struct record *record)
{
    sqlite3_stmt *stmt = oracle->rows[table ? 0 : 1];

    assert_int_equal(record->n, 2);
    sqlite3_bind_int64(stmt, 1, table ? record->rowid : record->values[0].integer);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    if (table)
        assert_int_equal(record->values[0].kind, VALUE_NULL);
    assert_value(stmt, 1, &record->values[1]);
    sqlite3_reset(stmt);
    oracle->n++;
}

static bool has_rows(const struct page *page)
{
    return page->kind == PAGE_TABLE_LEAF || page->kind == PAGE_INDEX_LEAF ||
           page->kind == PAGE_INDEX_INTERIOR;
}

static void rows_are_read_as_sqlite_wrote_them(void **state)
{
    struct place *place = *state;
    struct record record = {0};
    struct oracle oracle;
    struct image image;
    uint8_t buf[IMAGE_PAGE_MAX];

    made_file(place, 512, false, sql);
    made_open(place, &image);
    oracle_open(place, &oracle);
    for (uint32_t number = 2; number <= image.n_pages; number++) {
        struct page page;

        assert_true(image_read(&image, number, buf));
        if (!page_open(&image, number, buf, &page) || !has_rows(&page))
            continue;
        for (uint32_t i = 0; i < page.n_cells; i++) {
            assert_true(record_read(&image, &page, i, &record));
            compare_row(&oracle, page.kind == PAGE_TABLE_LEAF, &record);
        }
    }
    assert_int_equal(oracle.n, ask_number(place, "SELECT 2 * count(*) FROM t"));
    oracle_close(&oracle);
    record_finish(&record);
    image_close(&image);
}

/* All values lie in the page, or in the record's own memory. */
static void assert_inside(const struct record *record, const uint8_t *buf, uint32_t size)
{
    for (unsigned i = 0; i < record->n; i++) {
        const struct value *value = &record->values[i];
        bool inside = value->bytes >= buf && value->bytes + value->n <= buf + size;

        if (value->n > 0 && !inside)
            assert_non_null(record->buf);
        assert_true(value->n <= 1 << 20);
    }
}

static void read_all(const struct image *image, uint32_t number, uint8_t *buf,
                     struct record *record)
{
    struct page page;

    if (!page_open(image, number, buf, &page))
        return;
    for (uint32_t i = 0; i <= page.n_cells && page_is_interior(&page); i++)
        page_child(image, &page, i);
    for (uint32_t i = 0; i < page.n_cells && page.kind != PAGE_TABLE_INTERIOR; i++)
        if (record_read(image, &page, i, record))
            assert_inside(record, buf, image->page_size);
}

/* The page stands in memory of exactly its size: a sanitizer sees a byte too many. */
static void any_byte_of_a_page_may_be_another(void **state)
{
    struct place *place = *state;
    uint8_t *buf = malloc(512), *whole = malloc(IMAGE_PAGE_MAX);
    struct record record = {0};
    struct image image;

    assert_true(buf && whole);
    made_file(place, 512, false, sql);
    made_open(place, &image);
    for (uint32_t number = 1; number <= image.n_pages; number += number < 12 ? 1 : 7) {
        assert_true(image_read(&image, number, whole));
        for (int i = 0; i < 512; i++) {
            memcpy(buf, whole, 512);
            buf[i] = (uint8_t)(i % 3 == 0 ? 0xff : i % 3 == 1 ? buf[i] ^ 0x80 : buf[i] + 1);
            read_all(&image, number, buf, &record);
        }
    }
    record_finish(&record);
    image_close(&image);
    free(buf);
    free(whole);
}

static void what_is_no_page_of_rows_is_refused(void **state)
{
    const struct image image = {.page_size = 512, .usable = 512, .n_pages = 9};
    uint8_t bytes[512] = {PAGE_TABLE_LEAF, 0, 0, 0, 1, 1, 0};
    struct page page;

    (void)state;
    assert_true(page_open(&image, 2, bytes, &page));
    assert_false(page_open(&image, 1, bytes, &page)); /* there it begins behind the file's head */
    bytes[0] = 7;
    assert_false(page_open(&image, 2, bytes, &page));
    bytes[0] = PAGE_TABLE_LEAF;
    bytes[5] = 3; /* content behind its end */
    assert_false(page_open(&image, 2, bytes, &page));
    bytes[5] = 1;
    bytes[3] = 1; /* more cells than there is room for */
    assert_false(page_open(&image, 2, bytes, &page));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_read_as_sqlite_wrote_them, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(any_byte_of_a_page_may_be_another, place_setup,
                                        place_teardown),
        cmocka_unit_test(what_is_no_page_of_rows_is_refused),
    };

    return cmocka_run_group_tests_name("record_cell", tests, NULL, NULL);
}
