/* SPDX-License-Identifier: MIT */
#include "narrow.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cut.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

static int taken(const struct narrow_column *columns, size_t n)
{
    int total = -1;

    for (size_t i = 0; i < n; i++)
        total += columns[i].out ? 0 : 1 + columns[i].width;
    return total;
}

static void what_fits_is_left_as_it_is(void **unused)
{
    struct narrow_column columns[] = {{.natural = 10, .least = 4}, {.natural = 9, .gives = 1}};

    (void)unused;
    narrow_fit(columns, SUM(columns), 20);
    assert_int_equal(taken(columns, 2), 20);
    assert_int_equal(columns[0].width, 10);
    assert_false(columns[1].out);
}

static void the_widest_is_cut_first_and_none_below_its_least(void **unused)
{
    struct narrow_column columns[] = {
        {.natural = 30, .least = 10}, {.natural = 20, .least = 10}, {.natural = 8}};

    (void)unused;
    narrow_fit(columns, SUM(columns), 48);
    assert_int_equal(columns[0].width, 19);
    assert_int_equal(columns[1].width, 19);
    assert_int_equal(columns[2].width, 8);
    narrow_fit(columns, SUM(columns), 5);
    assert_int_equal(taken(columns, 3), 10 + 10 + 8 + 2);
}

static void where_leaving_out_is_not_enough_more_is_cut(void **unused)
{
    struct narrow_column columns[] = {{.natural = 30, .least = 20, .tight = 12},
                                      {.natural = 11, .least = 11, .tight = 8},
                                      {.natural = 9, .least = 9, .gives = 1},
                                      {.natural = 5, .tight = 2}};

    (void)unused;
    narrow_fit(columns, SUM(columns), 48);
    assert_false(columns[2].out);
    assert_int_equal(columns[0].width, 20);
    narrow_fit(columns, SUM(columns), 47);
    assert_true(columns[2].out);
    assert_int_equal(columns[0].width, 29);
    narrow_fit(columns, SUM(columns), 37);
    assert_int_equal(columns[0].width, 19);
    assert_int_equal(columns[1].width, 11);
    narrow_fit(columns, SUM(columns), 5);
    assert_int_equal(taken(columns, 4), 12 + 8 + 5 + 2);
}

static void empty_columns_are_left_out_first_then_those_that_give_most(void **unused)
{
    struct narrow_column columns[] = {{.natural = 10, .gives = 9},
                                      {.natural = 10, .gives = 1, .empty = true},
                                      {.natural = 10, .gives = 2},
                                      {.natural = 10},
                                      {.natural = 10, .empty = true}};

    (void)unused;
    narrow_fit(columns, SUM(columns), 43);
    assert_true(columns[1].out);
    assert_int_equal(taken(columns, 5), 43);
    narrow_fit(columns, SUM(columns), 42);
    assert_true(columns[0].out && columns[1].out);
    assert_false(columns[2].out);
    narrow_fit(columns, SUM(columns), 1);
    assert_true(columns[2].out);
    assert_false(columns[3].out || columns[4].out);
}

static int smallest(const struct narrow_column *column)
{
    int smallest = column->natural;

    if (column->least && column->least < smallest)
        smallest = column->least;
    if (column->least && column->tight && column->tight < smallest)
        smallest = column->tight;
    return smallest;
}

/* Whatever the columns are: nothing is wasted, and it fits where it can. */
static void any_table_takes_the_room_that_there_is(void **unused)
{
    unsigned seed = 7;

    (void)unused;
    for (int round = 0; round < 2000; round++) {
        struct narrow_column columns[8];
        int natural = -1, least = -1, room = rand_r(&seed) % 150;

        for (size_t i = 0; i < SUM(columns); i++) {
            columns[i] = (struct narrow_column){.natural = 1 + rand_r(&seed) % 40,
                                                .least = (uint8_t)(rand_r(&seed) % 20),
                                                .tight = (uint8_t)(rand_r(&seed) % 20),
                                                .gives = (uint8_t)(rand_r(&seed) % 4)};
            natural += 1 + columns[i].natural;
            if (columns[i].gives)
                continue;
            least += 1 + smallest(&columns[i]);
        }
        narrow_fit(columns, SUM(columns), room);
        if (natural <= room)
            assert_int_equal(taken(columns, SUM(columns)), natural);
        else if (least <= room)
            assert_true(taken(columns, SUM(columns)) <= room);
        else
            assert_int_equal(taken(columns, SUM(columns)), least);
    }
}

static void expect_cut(const char *text, int most, bool at_end, const char *wanted)
{
    char *cut = NULL;

    assert_int_equal(cut_text(text, most, at_end, &cut), 0);
    if (wanted)
        assert_string_equal(cut, wanted);
    else
        assert_null(cut);
    free(cut);
}

static void texts_are_cut_by_their_columns(void **unused)
{
    (void)unused;
    expect_cut("/usr/sbin/nginx", 15, false, NULL);
    expect_cut("/usr/sbin/nginx", 9, false, "/usr~ginx");
    expect_cut("/usr/sbin/nginx", 9, true, "/usr/sbi~");
    expect_cut("/usr/sbin/nginx", 1, false, "~");
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    expect_cut("größer", 5, true, "größ…");
    expect_cut("größer", 6, true, NULL);
    expect_cut("日本語日本語", 7, false, "日…語");
    assert_int_equal(cut_columns("日本…"), 5);
    setlocale(LC_CTYPE, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_left_as_it_is),
        cmocka_unit_test(the_widest_is_cut_first_and_none_below_its_least),
        cmocka_unit_test(where_leaving_out_is_not_enough_more_is_cut),
        cmocka_unit_test(empty_columns_are_left_out_first_then_those_that_give_most),
        cmocka_unit_test(any_table_takes_the_room_that_there_is),
        cmocka_unit_test(texts_are_cut_by_their_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
