/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture.h"
#include "connhist/render/text.h"

static void expect(void (*write)(FILE *, const char *), const char *text, const char *wanted)
{
    struct capture capture;

    capture_begin(&capture);
    write(capture.out, text);
    assert_string_equal(capture_text(&capture), wanted);
    capture_finish(&capture);
}

static void text_of_any_script_is_left_alone(void **unused)
{
    (void)unused;
    expect(text_for_terminal, "nginx: worker", "nginx: worker");
    expect(text_for_terminal, "größe 日本 🦊", "größe 日本 🦊");
    expect(text_for_json, "größe 日本 🦊", "\"größe 日本 🦊\"");
    expect(text_for_csv, "größe 日本 🦊", "größe 日本 🦊");
    expect(text_for_terminal, "", "");
    expect(text_for_json, "", "\"\"");
    expect(text_for_csv, "", "");
}

static void controls_never_reach_a_terminal(void **unused)
{
    (void)unused;
    expect(text_for_terminal, "\033]0;owned\a\033[2J", "\\x1b]0;owned\\x07\\x1b[2J");
    expect(text_for_terminal, "a\nb\tc\rd\b", "a\\x0ab\\x09c\\x0dd\\x08");
    expect(text_for_terminal, "\x7f", "\\x7f");
    /* C1: U+009B is CSI in eight bits, as UTF-8 and as a lone byte */
    expect(text_for_terminal,
           "\xc2\x9b"
           "31m",
           "\\xc2\\x9b31m");
    expect(text_for_terminal,
           "\x9b"
           "31m",
           "\\x9b31m");
    expect(text_for_terminal, "\xc2\xa0", "\xc2\xa0");
}

static void text_is_not_reordered_by_what_it_says(void **unused)
{
    (void)unused;
    expect(text_for_terminal, "a\u202eb", "a\\xe2\\x80\\xaeb");
    expect(text_for_terminal, "\u202a\u2066\u2069\u200f",
           "\\xe2\\x80\\xaa\\xe2\\x81\\xa6\\xe2\\x81\\xa9\\xe2\\x80\\x8f");
    expect(text_for_terminal, "\u2065\u206a", "\u2065\u206a");
    expect(text_for_json, "a\u202eb\u2069", "\"a\\u202eb\\u2069\"");
    expect(text_for_csv, "a\u202eb", "a\\xe2\\x80\\xaeb");
}

static void an_escape_cannot_be_imitated(void **unused)
{
    (void)unused;
    expect(text_for_terminal, "\\x1b", "\\x5cx1b");
    expect(text_for_terminal, "\\xFF\\x5c", "\\x5cxFF\\x5cx5c");
    expect(text_for_terminal, "C:\\temp\\", "C:\\temp\\");
}

static void the_escapes_of_systemds_units_stay_as_they_are(void **unused)
{
    (void)unused;
    expect(text_for_terminal, "a\\x2db\\x20c\\x7e.service", "a\\x2db\\x20c\\x7e.service");
    expect(text_for_terminal, "\\x", "\\x");
    expect(text_for_terminal, "\\x1", "\\x1");
    expect(text_for_terminal, "\\xg1", "\\xg1");
}

/* The wanted pieces are those of Python's bytes.decode("utf-8", "replace"). */
static void broken_utf8_is_replaced_as_unicode_recommends(void **unused)
{
    static const struct {
        const char *text;
        unsigned replaced;
    } broken[] = {
        {"\x80", 1},             /* continuation alone */
        {"\xff\xfe", 2},         /* never in UTF-8 */
        {"\xc0\xaf", 2},         /* overlong '/' */
        {"\xe0\x80\xaf", 3},     /* overlong in three */
        {"\xf0\x80\x80\xaf", 4}, /* overlong in four */
        {"\xed\xa0\x80", 3},     /* surrogate U+D800 */
        {"\xed\xbf\xbf", 3},     /* surrogate U+DFFF */
        {"\xf4\x90\x80\x80", 4}, /* U+110000 */
        {"\xf5\x80\x80\x80", 4}, /* beyond every lead */
        {"\xe2\x82", 1},         /* cut */
        {"\xf0\x9f\xa6", 1},     /* cut */
        {"\xc3", 1},             /* cut */
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        char text[32], wanted[64] = "\"", csv[64] = "";

        snprintf(text, sizeof(text), "%sz", broken[i].text);
        for (unsigned k = 0; k < broken[i].replaced; k++) {
            strcat(wanted, "\\ufffd");
            strcat(csv, "\ufffd");
        }
        expect(text_for_json, text, strcat(wanted, "z\""));
        expect(text_for_csv, text, strcat(csv, "z"));
    }
    expect(text_for_terminal, "\xe2\x82z\xed\xa0\x80", "\\xe2\\x82z\\xed\\xa0\\x80");
}

static void the_ends_of_every_range_are_good_utf8(void **unused)
{
    static const char *const good[] = {
        "\xc3\x80",     "\xdf\xbf",     "\xe0\xa0\x80",     "\xed\x9f\xbf",
        "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        expect(text_for_terminal, good[i], good[i]);
}

static void json_strings_keep_every_character(void **unused)
{
    (void)unused;
    expect(text_for_json, "\"\\/\b\f\n\r\t", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"");
    expect(text_for_json, "\001\033\x7f\xc2\x9b", "\"\\u0001\\u001b\\u007f\\u009b\"");
}

static void csv_fields_are_quoted_when_they_must(void **unused)
{
    (void)unused;
    expect(text_for_csv, "a,b", "\"a,b\"");
    expect(text_for_csv, "say \"hi\"", "\"say \"\"hi\"\"\"");
    expect(text_for_csv, "a\nb", "\"a\nb\"");
    expect(text_for_csv, "a\r\nb", "\"a\r\nb\"");
    expect(text_for_csv, " a", "\" a\"");
    expect(text_for_csv, "a ", "\"a \"");
    expect(text_for_csv, "a\033[2J", "a\\x1b[2J");
}

static void formulas_never_reach_a_spreadsheet(void **unused)
{
    (void)unused;
    expect(text_for_csv, "=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0");
    expect(text_for_csv, "=HYPERLINK(\"http://x\",1)", "\"'=HYPERLINK(\"\"http://x\"\",1)\"");
    expect(text_for_csv, "+1", "'+1");
    expect(text_for_csv, "-1", "'-1");
    expect(text_for_csv, "@SUM(A1)", "'@SUM(A1)");
    expect(text_for_csv, "\t=1", "'\t=1");
    expect(text_for_csv, "\r=1", "\"'\r=1\"");
    expect(text_for_csv, "\uff1d1", "'\uff1d1");
    expect(text_for_csv, "a=1", "a=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_any_script_is_left_alone),
        cmocka_unit_test(controls_never_reach_a_terminal),
        cmocka_unit_test(text_is_not_reordered_by_what_it_says),
        cmocka_unit_test(an_escape_cannot_be_imitated),
        cmocka_unit_test(the_escapes_of_systemds_units_stay_as_they_are),
        cmocka_unit_test(broken_utf8_is_replaced_as_unicode_recommends),
        cmocka_unit_test(the_ends_of_every_range_are_good_utf8),
        cmocka_unit_test(json_strings_keep_every_character),
        cmocka_unit_test(csv_fields_are_quoted_when_they_must),
        cmocka_unit_test(formulas_never_reach_a_spreadsheet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
