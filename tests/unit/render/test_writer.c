/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "capture.h"
#include "connhist/render/writer.h"

static const struct column columns[] = {
    {.name = "at_ms", .heading = "TIME"},
    {.name = "process", .heading = "PROCESS"},
    {.name = "count", .heading = "COUNT", .right = true},
    {.name = "avg", .heading = "AVG", .right = true},
};

static const struct document plain = {
    .schema = "connhist/test/1", .columns = columns, .n_columns = 4};

static void write_all(struct capture *capture, enum format format, const struct document *document,
                      const struct cell (*rows)[4], size_t n)
{
    struct writer *writer = NULL;
    struct err err = {0};

    capture_begin(capture);
    assert_int_equal(
        writer_new(&(struct writer_options){.format = format, .out = capture->out, .utc = true},
                   &writer),
        0);
    assert_int_equal(writer_begin(writer, document), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(writer_row(writer, rows[i]), 0);
    assert_int_equal(writer_end(writer, &err), 0);
    writer_free(writer);
}

static void expect(enum format format, const struct document *document,
                   const struct cell (*rows)[4], size_t n, const char *wanted)
{
    struct capture capture;

    write_all(&capture, format, document, rows, n);
    assert_string_equal(capture_text(&capture), wanted);
    capture_finish(&capture);
}

static void formats_are_found_by_their_names(void **unused)
{
    enum format format = FORMAT_CSV;

    (void)unused;
    assert_int_equal(format_parse("json", &format), 0);
    assert_int_equal(format, FORMAT_JSON);
    assert_int_equal(format_parse("jsonl", &format), 0);
    assert_int_equal(format, FORMAT_JSONL);
    assert_int_equal(format_parse("CSV", &format), 0);
    assert_int_equal(format, FORMAT_CSV);
    assert_int_equal(format_parse("table", &format), 0);
    assert_int_equal(format, FORMAT_TABLE);
    assert_int_equal(format_parse("xml", &format), -EINVAL);
    assert_int_equal(format, FORMAT_TABLE);
    assert_int_equal(format_parse("", &format), -EINVAL);
}

static void json_is_one_object_with_a_row_a_line(void **unused)
{
    struct gap gaps[] = {{.from_ms = 1000, .until_ms = 2000, .reason = "not \"running\""},
                         {.from_ms = 5000, .until_ms = 6000, .reason = ""}};
    struct gap deaf = {.from_ms = 7000, .until_ms = 7001, .reason = "the \"buffer\""};
    struct pruned pruned = {.from_ms = 10, .until_ms = 20, .what = "ticks", .cause = "age"};
    struct coverage coverage = {.planned = 10,
                                .done = 7,
                                .interrupted = 1,
                                .missed = 2,
                                .events_lost = 3,
                                .unkept = 7,
                                .details = COVERAGE_DETAIL_ON | COVERAGE_DETAIL_OFF,
                                .gaps = {.items = gaps, .n = 2},
                                .deaf = {.items = &deaf, .n = 1},
                                .pruned = {.items = &pruned, .n = 1}};
    const struct field fields[] = {{"since_ms", cell_time(1000)}, {"step_ms", cell_null()}};
    struct document document = {.schema = "connhist/report/1",
                                .fields = fields,
                                .n_fields = 2,
                                .coverage = &coverage,
                                .columns = columns,
                                .n_columns = 4};
    const struct cell rows[][4] = {
        {cell_time(1763780400000), cell_text("ngi\"nx"), cell_int(-3), cell_real(0.1)},
        {cell_time(INT64_MIN), cell_text(NULL), cell_int(INT64_MAX), cell_real(NAN)},
    };

    (void)unused;
    expect(FORMAT_JSON, &document, rows, 2,
           "{\"schema\": \"connhist/report/1\", \"since_ms\": 1000, \"step_ms\": null,\n"
           "\"coverage\": {\"planned\": 10, \"done\": 7, \"interrupted\": 1, \"missed\": 2, "
           "\"events_lost\": 3, \"unkept\": 7, \"detail\": [\"on\", \"off\"], \"gaps\": ["
           "{\"from_ms\": 1000, \"until_ms\": 2000, \"reason\": \"not \\\"running\\\"\"}, "
           "{\"from_ms\": 5000, \"until_ms\": 6000, \"reason\": \"\"}], "
           "\"events_lost_spans\": ["
           "{\"from_ms\": 7000, \"until_ms\": 7001, \"reason\": \"the \\\"buffer\\\"\"}], "
           "\"pruned\": ["
           "{\"tier\": \"ticks\", \"from_ms\": 10, \"until_ms\": 20, \"cause\": \"age\"}]},\n"
           "\"rows\": [\n"
           "{\"at_ms\": 1763780400000, \"process\": \"ngi\\\"nx\", \"count\": -3, \"avg\": 0.1},\n"
           "{\"at_ms\": null, \"process\": null, \"count\": 9223372036854775807, \"avg\": null}\n"
           "]}\n");
}

static void json_without_rows_and_coverage_is_whole(void **unused)
{
    (void)unused;
    expect(FORMAT_JSON, &plain, NULL, 0,
           "{\"schema\": \"connhist/test/1\",\n\"coverage\": null,\n\"rows\": []}\n");
}

static void jsonl_is_a_row_a_line(void **unused)
{
    const struct cell rows[][4] = {
        {cell_time(5), cell_text("a\nb"), cell_int(0), cell_real(-INFINITY)},
        {cell_time(6), cell_text("\xff"), cell_int(INT64_MIN), cell_real(1e300)},
    };

    (void)unused;
    expect(FORMAT_JSONL, &plain, rows, 2,
           "{\"at_ms\": 5, \"process\": \"a\\nb\", \"count\": 0, \"avg\": null}\n"
           "{\"at_ms\": 6, \"process\": \"\\ufffd\", \"count\": -9223372036854775808, "
           "\"avg\": 1e+300}\n");
    expect(FORMAT_JSONL, &plain, NULL, 0, "");
}

static void csv_has_a_header_and_numbers_as_they_are(void **unused)
{
    const struct cell rows[][4] = {
        {cell_time(1763780400000), cell_text("-n"), cell_int(-5), cell_real(-1.5)},
        {cell_null(), cell_text("a,\"b\""), cell_null(), cell_real(NAN)},
    };

    (void)unused;
    expect(FORMAT_CSV, &plain, rows, 2,
           "at_ms,process,count,avg\n"
           "1763780400000,'-n,-5,-1.5\n"
           ",\"a,\"\"b\"\"\",,\n");
    expect(FORMAT_CSV, &plain, NULL, 0, "at_ms,process,count,avg\n");
}

static void a_csv_record_is_never_an_empty_line(void **unused)
{
    const struct document one = {.columns = columns, .n_columns = 1};
    const struct cell rows[][4] = {{cell_null()}, {cell_text("")}, {cell_int(1)}};

    (void)unused;
    expect(FORMAT_CSV, &one, rows, 3, "at_ms\n\"\"\n\"\"\n1\n");
}

static void reals_read_back_as_they_were(void **unused)
{
    static const double values[] = {0.1,    1.0 / 3, 2.0 / 3,  1e23,       DBL_MAX, DBL_MIN,
                                    5e-324, -0.0,    123456.0, 1e15 + 0.5, 12.5};

    (void)unused;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct cell rows[][4] = {{cell_real(values[i])}};
        const struct document one = {.columns = columns, .n_columns = 1};
        struct capture capture;

        write_all(&capture, FORMAT_CSV, &one, rows, 1);
        assert_true(strtod(strchr(capture_text(&capture), '\n') + 1, NULL) == values[i]);
        capture_finish(&capture);
    }
}

static void a_decimal_comma_of_the_locale_is_a_point(void **unused)
{
    const struct cell rows[][4] = {{cell_int(1), cell_null(), cell_real(1e-7), cell_real(-12.25)}};

    (void)unused;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        skip();
    expect(FORMAT_CSV, &plain, rows, 1, "at_ms,process,count,avg\n1,,1e-07,-12.25\n");
    setlocale(LC_NUMERIC, "C");
}

static void a_full_disk_is_told_in_words(void **unused)
{
    const struct cell row[4] = {cell_int(1), cell_text("x"), cell_int(2), cell_real(3)};

    (void)unused;
    for (enum format format = FORMAT_TABLE; format <= FORMAT_CSV; format++) {
        FILE *full = fopen("/dev/full", "w");
        struct writer *writer = NULL;
        struct err err = {0};

        assert_non_null(full);
        writer_new(&(struct writer_options){.format = format, .out = full}, &writer);
        writer_begin(writer, &plain);
        for (unsigned i = 0; i < 2000; i++)
            writer_row(writer, row);
        assert_int_equal(writer_end(writer, &err), -ENOSPC);
        assert_string_equal(err.text, "cannot write the output: No space left on device");
        assert_int_equal(err.code, -ENOSPC);
        writer_free(writer);
        fclose(full);
    }
}

static void a_reader_that_left_stops_the_rows(void **unused)
{
    const struct cell row[4] = {cell_int(1), cell_text("x"), cell_int(2), cell_real(3)};
    struct writer *writer = NULL;
    struct err err = {0};
    unsigned rows = 0;
    int ends[2];
    FILE *out;

    (void)unused;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    out = fdopen(ends[1], "w");
    assert_non_null(out);
    writer_new(&(struct writer_options){.format = FORMAT_JSON, .out = out}, &writer);
    writer_begin(writer, &plain);
    while (rows < 100000 && writer_row(writer, row) == 0)
        rows++;
    assert_true(rows < 100000);
    assert_int_equal(writer_row(writer, row), -EPIPE);
    assert_int_equal(writer_end(writer, &err), -EPIPE);
    assert_string_equal(err.text, "cannot write the output: Broken pipe");
    writer_free(writer);
    fclose(out);
}

static void a_writer_takes_one_document_after_another(void **unused)
{
    const struct document one = {.schema = "s", .columns = columns + 2, .n_columns = 1};
    const struct cell cell = cell_int(1);

    (void)unused;
    for (enum format format = FORMAT_TABLE; format <= FORMAT_CSV; format++) {
        struct writer *writer = NULL;
        struct capture capture;
        size_t half;

        capture_begin(&capture);
        writer_new(&(struct writer_options){.format = format, .out = capture.out}, &writer);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(writer_begin(writer, &one), 0);
            assert_int_equal(writer_row(writer, &cell), 0);
            assert_int_equal(writer_end(writer, NULL), 0);
        }
        writer_free(writer);
        half = strlen(capture_text(&capture)) / 2;
        assert_true(half > 0);
        assert_memory_equal(capture.text, capture.text + half, half);
        capture_finish(&capture);
    }
}

static void several_documents_can_be_one_answer(void **unused)
{
    static const struct {
        enum format format;
        const char *wanted;
    } formats[] = {
        {FORMAT_JSON, "{\"schema\": \"connhist/set/1\", \"at_ms\": 5,\n\"tables\": [\n"
                      "{\"schema\": \"connhist/test/1\",\n\"coverage\": null,\n\"rows\": [\n"
                      "{\"a\": 1}\n]}\n,\n"
                      "{\"schema\": \"connhist/test/1\",\n\"coverage\": null,\n\"rows\": [\n"
                      "{\"a\": 2}\n]}\n]}\n"},
        {FORMAT_JSONL, "{\"a\": 1}\n{\"a\": 2}\n"},
        {FORMAT_TABLE, "A\n1\nA\n2\n"},
    };
    static const struct column column = {.name = "a", .heading = "A"};
    const struct document document = {
        .schema = "connhist/test/1", .columns = &column, .n_columns = 1};
    const struct field fields[] = {{"at_ms", cell_time(5)}};

    (void)unused;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct writer *writer = NULL;
        struct capture capture;

        capture_begin(&capture);
        assert_int_equal(
            writer_new(&(struct writer_options){.format = formats[i].format, .out = capture.out},
                       &writer),
            0);
        assert_int_equal(writer_set_begin(writer, "connhist/set/1", fields, 1), 0);
        for (int n = 1; n <= 2; n++) {
            const struct cell cell = cell_int(n);

            assert_int_equal(writer_begin(writer, &document), 0);
            assert_int_equal(writer_row(writer, &cell), 0);
            assert_int_equal(writer_end(writer, NULL), 0);
        }
        assert_int_equal(writer_set_end(writer, NULL), 0);
        assert_string_equal(capture_text(&capture), formats[i].wanted);
        writer_free(writer);
        capture_finish(&capture);
    }
}

static void csv_holds_one_table_alone(void **unused)
{
    struct writer *writer = NULL;
    struct capture capture;

    (void)unused;
    capture_begin(&capture);
    assert_int_equal(
        writer_new(&(struct writer_options){.format = FORMAT_CSV, .out = capture.out}, &writer), 0);
    assert_int_equal(writer_set_begin(writer, "connhist/set/1", NULL, 0), -EOPNOTSUPP);
    assert_string_equal(capture_text(&capture), "");
    writer_free(writer);
    capture_finish(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_found_by_their_names),
        cmocka_unit_test(json_is_one_object_with_a_row_a_line),
        cmocka_unit_test(json_without_rows_and_coverage_is_whole),
        cmocka_unit_test(jsonl_is_a_row_a_line),
        cmocka_unit_test(csv_has_a_header_and_numbers_as_they_are),
        cmocka_unit_test(a_csv_record_is_never_an_empty_line),
        cmocka_unit_test(reals_read_back_as_they_were),
        cmocka_unit_test(a_decimal_comma_of_the_locale_is_a_point),
        cmocka_unit_test(a_full_disk_is_told_in_words),
        cmocka_unit_test(a_reader_that_left_stops_the_rows),
        cmocka_unit_test(a_writer_takes_one_document_after_another),
        cmocka_unit_test(several_documents_can_be_one_answer),
        cmocka_unit_test(csv_holds_one_table_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
