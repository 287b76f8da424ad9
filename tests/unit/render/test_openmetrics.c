/* SPDX-License-Identifier: MIT */
/* The text against what the specification of OpenMetrics 1.0 shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "connhist/render/openmetrics.h"

static void samples_stand_below_their_family_with_their_times(void **state)
{
    const struct metric_label labels[] = {
        {"netns", ""}, {"port", "80"}, {"state", NULL}, {"x", "y"}};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_non_null(out);
    openmetrics_family(out, "some", OPENMETRICS_GAUGE, NULL, "Words.");
    openmetrics_sample(out, "some", labels, 4, 7, 1700000000005);
    openmetrics_sample(out, "some", labels, 1, 0, 1700000001000);
    openmetrics_end(out);
    fclose(out);
    assert_string_equal(text, "# TYPE some gauge\n# HELP some Words.\n"
                              "some{port=\"80\",x=\"y\"} 7 1700000000.005\n"
                              "some 0 1700000001.000\n# EOF\n");
    free(text);
}

static void a_counter_has_its_unit_before_its_samples(void **state)
{
    const struct metric_label label = {"interface", "eth0"};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_non_null(out);
    openmetrics_family(out, "sent_bytes", OPENMETRICS_COUNTER, "bytes", "Words.");
    openmetrics_sample(out, "sent_bytes_total", &label, 1, 7, 2000);
    fclose(out);
    assert_string_equal(text,
                        "# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\n"
                        "# HELP sent_bytes Words.\nsent_bytes_total{interface=\"eth0\"} 7 2.000\n");
    free(text);
}

static void a_value_stays_within_its_quotes(void **state)
{
    const struct metric_label label = {"name", "a\"b\\c\nd\x1b[1m"};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_non_null(out);
    openmetrics_sample(out, "some", &label, 1, 1, 2000);
    fclose(out);
    assert_string_equal(text, "some{name=\"a\\\"b\\\\c\\nd\\\\x1b[1m\"} 1 2.000\n");
    free(text);
}

static void what_is_no_utf8_is_written_out_and_no_two_become_one(void **state)
{
    static const char *const values[][2] = {
        {"eth\xc3\xa9", "eth\xc3\xa9"},
        {"a\xff"
         "b",
         "a\\\\xff"
         "b"},
        {"a\x01"
         "b",
         "a\\\\x01"
         "b"},
        {"a\x02"
         "b",
         "a\\\\x02"
         "b"},
        {"a\x7f", "a\\\\x7f"},
        {"a\xc3", "a\\\\xc3"},
        {"a\\x01"
         "b",
         "a\\\\x5cx01"
         "b"},
        {"u\\x2d", "u\\\\x2d"},
        {"\xe2\x80\xae", "\\\\xe2\\\\x80\\\\xae"},
        {"\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct metric_label label = {"name", values[i][0]};
        char *text = NULL, wanted[64];
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);

        assert_non_null(out);
        openmetrics_sample(out, "some", &label, 1, 1, 2000);
        fclose(out);
        snprintf(wanted, sizeof(wanted), "some{name=\"%s\"} 1 2.000\n", values[i][1]);
        assert_string_equal(text, wanted);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_stand_below_their_family_with_their_times),
        cmocka_unit_test(a_counter_has_its_unit_before_its_samples),
        cmocka_unit_test(a_value_stays_within_its_quotes),
        cmocka_unit_test(what_is_no_utf8_is_written_out_and_no_two_become_one),
    };

    return cmocka_run_group_tests_name("openmetrics", tests, NULL, NULL);
}
