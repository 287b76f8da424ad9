/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "connhist/render/writer.h"

static const struct column columns[] = {
    {.name = "at_ms", .heading = "TIME"},
    {.name = "local_port", .heading = "PORT", .right = true},
    {.name = "hidden"},
    {.name = "avg", .heading = "AVG", .right = true},
    {.name = "process", .heading = "PROCESS"},
};

static const struct document document = {
    .schema = "connhist/test/1", .columns = columns, .n_columns = 5};

static void expect(const struct writer_options *options, const struct cell (*rows)[5], size_t n,
                   const char *wanted)
{
    struct writer_options used = *options;
    struct writer *writer = NULL;
    struct capture capture;

    capture_begin(&capture);
    used.format = FORMAT_TABLE;
    used.out = capture.out;
    assert_int_equal(writer_new(&used, &writer), 0);
    assert_int_equal(writer_begin(writer, &document), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(writer_row(writer, rows[i]), 0);
    assert_int_equal(writer_end(writer, NULL), 0);
    writer_free(writer);
    assert_string_equal(capture_text(&capture), wanted);
    capture_finish(&capture);
}

static const struct cell two_rows[][5] = {
    {{.kind = CELL_TIME, .integer = 1763780400000},
     {.kind = CELL_INT, .integer = 80},
     {.kind = CELL_INT, .integer = 7},
     {.kind = CELL_REAL, .real = 12.5},
     {.kind = CELL_TEXT, .text = "nginx"}},
    {{.kind = CELL_NULL},
     {.kind = CELL_INT, .integer = 65535},
     {.kind = CELL_INT, .integer = 7},
     {.kind = CELL_REAL, .real = NAN},
     {.kind = CELL_TEXT, .text = ""}},
};

static void columns_are_aligned_and_nothing_is_a_dash(void **unused)
{
    (void)unused;
    expect(&(struct writer_options){.utc = true}, two_rows, 2,
           "TIME                  PORT   AVG PROCESS\n"
           "2025-11-22T03:00:00Z    80 12.50 nginx\n"
           "-                    65535     - -\n");
}

static void headings_from_outside_are_escaped_like_cells(void **unused)
{
    static const struct column odd[] = {{.name = "a", .heading = "\xff\033[31m"},
                                        {.name = "b", .heading = "grö"}};
    static const struct document asked = {
        .schema = "connhist/test/1", .columns = odd, .n_columns = 2};
    const struct cell row[] = {cell_int(1), cell_int(2)};

    (void)unused;
    for (int rows = 0; rows < 2; rows++) {
        struct writer *writer = NULL;
        struct capture capture;

        capture_begin(&capture);
        assert_int_equal(writer_new(&(struct writer_options){.out = capture.out}, &writer), 0);
        assert_int_equal(writer_begin(writer, &asked), 0);
        if (rows)
            assert_int_equal(writer_row(writer, row), 0);
        assert_int_equal(writer_end(writer, NULL), 0);
        writer_free(writer);
        assert_string_equal(capture_text(&capture), rows ? "\\xff\\x1b[31m gr\\xc3\\xb6\n"
                                                           "1            2\n"
                                                         : "\\xff\\x1b[31m gr\\xc3\\xb6\n");
        capture_finish(&capture);
    }
}

static void times_are_local_unless_utc(void **unused)
{
    (void)unused;
    setenv("TZ", "EST5", 1);
    tzset();
    expect(&(struct writer_options){0}, two_rows, 1,
           "TIME                PORT   AVG PROCESS\n"
           "2025-11-21 22:00:00   80 12.50 nginx\n");
    unsetenv("TZ");
    tzset();
}

static void an_empty_table_shows_its_headings(void **unused)
{
    (void)unused;
    expect(&(struct writer_options){0}, NULL, 0, "TIME PORT AVG PROCESS\n");
    expect(&(struct writer_options){.color = true}, NULL, 0,
           "\033[1mTIME\033[0m \033[1mPORT\033[0m \033[1mAVG\033[0m \033[1mPROCESS\033[0m\n");
}

static void headings_are_bold_in_colour(void **unused)
{
    (void)unused;
    expect(&(struct writer_options){.utc = true, .color = true}, two_rows, 1,
           "\033[1mTIME                \033[0m \033[1mPORT\033[0m \033[1m  AVG\033[0m "
           "\033[1mPROCESS\033[0m\n"
           "2025-11-22T03:00:00Z   80 12.50 nginx\n");
}

static void hostile_names_are_neutralised(void **unused)
{
    const struct cell rows[][5] = {
        {cell_null(), cell_int(1), cell_null(), cell_null(), cell_text("\033[2J\nroot\u202e\xff")},
        {cell_null(), cell_int(2), cell_null(), cell_null(), cell_text("\\x1b")},
    };

    (void)unused;
    expect(&(struct writer_options){0}, rows, 2,
           "TIME PORT AVG PROCESS\n"
           "-       1   - \\x1b[2J\\x0aroot\\xe2\\x80\\xae\\xff\n"
           "-       2   - \\x5cx1b\n");
}

static void a_long_text_is_cut_in_the_middle_on_a_terminal_alone(void **unused)
{
    char name[4097], wanted[5000];
    const struct cell rows[][5] = {
        {cell_null(), cell_int(1), cell_null(), cell_null(), cell_text(name)}};

    (void)unused;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(wanted, sizeof(wanted), "TIME PORT AVG PROCESS\n-       1   - %s\n", name);
    expect(&(struct writer_options){0}, rows, 1, wanted);
    memcpy(name, "/begin", 6);
    memcpy(name + sizeof(name) - 5, "/end", 4);
    snprintf(wanted, sizeof(wanted), "TIME PORT AVG PROCESS\n-       1   - %.60s~%s\n", name,
             name + sizeof(name) - 1 - 59);
    expect(&(struct writer_options){.width = 40}, rows, 1, wanted);
    name[120] = '\0';
    snprintf(wanted, sizeof(wanted), "TIME PORT AVG PROCESS\n-       1   - %s\n", name);
    expect(&(struct writer_options){.width = 40}, rows, 1, wanted);
}

static void other_scripts_are_aligned_in_a_utf8_locale(void **unused)
{
    static const struct column wide[] = {{.name = "a", .heading = "A"},
                                         {.name = "b", .heading = "B"}};
    const struct document document_wide = {.schema = "s", .columns = wide, .n_columns = 2};
    const struct cell rows[][2] = {{cell_text("größe"), cell_int(1)},
                                   {cell_text("日本"), cell_int(2)}};
    struct writer *writer = NULL;
    struct capture capture;

    (void)unused;
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    capture_begin(&capture);
    writer_new(&(struct writer_options){.format = FORMAT_TABLE, .out = capture.out}, &writer);
    writer_begin(writer, &document_wide);
    writer_row(writer, rows[0]);
    writer_row(writer, rows[1]);
    assert_int_equal(writer_end(writer, NULL), 0);
    writer_free(writer);
    assert_string_equal(capture_text(&capture), "A     B\ngröße 1\n日本  2\n");
    capture_finish(&capture);
    setlocale(LC_CTYPE, "C");
}

/* The last blank of a line that ends there. */
static const char *last_blank(const char *line, const char *end)
{
    return memrchr(line, ' ', (size_t)(end - line));
}

/* Longer than one chunk: one heading, every row once, columns in line. */
static void a_long_table_is_one_table(void **unused)
{
    const int64_t n = 12001;
    struct writer *writer = NULL;
    struct capture capture;
    const char *line;
    ptrdiff_t last;

    (void)unused;
    capture_begin(&capture);
    writer_new(&(struct writer_options){.format = FORMAT_TABLE, .out = capture.out, .utc = true},
               &writer);
    assert_int_equal(writer_begin(writer, &document), 0);
    for (int64_t i = 0; i < n; i++) {
        const struct cell row[5] = {cell_time(i * 1000), cell_int(i), cell_null(), cell_null(),
                                    cell_text(i % 5000 == 0 ? "a-long-name" : "b")};

        assert_int_equal(writer_row(writer, row), 0);
    }
    assert_int_equal(writer_end(writer, NULL), 0);
    writer_free(writer);
    line = capture_text(&capture);
    assert_memory_equal(line, "TIME ", 5);
    last = last_blank(line, strchr(line, '\n')) - line;
    line = strchr(line, '\n') + 1;
    for (int64_t i = 0; i < n; i++) {
        const char *end = strchr(line, '\n');

        assert_non_null(end);
        /* "1970-01-01T00:00:00Z  PORT   - NAME": the name ends the line */
        assert_memory_equal(line, "1970-01-01T", 11);
        /* its begin is below the last heading's, until PORT takes a column more */
        assert_int_equal(last_blank(line, end) - line, last + (i > 9999));
        assert_int_equal(strtoll(line + 20, NULL, 10), i);
        line = end + 1;
    }
    assert_string_equal(line, "");
    assert_null(strstr(capture.text + 1, "TIME"));
    capture_finish(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned_and_nothing_is_a_dash),
        cmocka_unit_test(headings_from_outside_are_escaped_like_cells),
        cmocka_unit_test(times_are_local_unless_utc),
        cmocka_unit_test(an_empty_table_shows_its_headings),
        cmocka_unit_test(headings_are_bold_in_colour),
        cmocka_unit_test(hostile_names_are_neutralised),
        cmocka_unit_test(a_long_text_is_cut_in_the_middle_on_a_terminal_alone),
        cmocka_unit_test(other_scripts_are_aligned_in_a_utf8_locale),
        cmocka_unit_test(a_long_table_is_one_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
