/* SPDX-License-Identifier: MIT */
#include "connhist/store/histogram.h"
#include "reader.h"
#include "sql.h"

/* Adds an argument; false: it is no histogram, and an error was set. */
static bool add_value(sqlite3_context *context, struct histogram_sum *sum, sqlite3_value *value)
{
    const void *bytes = sqlite3_value_blob(value);

    if (sqlite3_value_type(value) == SQLITE_BLOB &&
        histogram_add_packed(sum, bytes, (size_t)sqlite3_value_bytes(value)) >= 0)
        return true;
    sqlite3_result_error(context, "the argument is no histogram, or a damaged one", -1);
    return false;
}

/* percentile(histogram, share) */
static void f_percentile(sqlite3_context *context, int n, sqlite3_value **values)
{
    struct histogram_sum sum = {0};
    double share;
    int64_t bound;

    (void)n;
    if (sqlite3_value_type(values[0]) == SQLITE_NULL ||
        sqlite3_value_type(values[1]) == SQLITE_NULL || !add_value(context, &sum, values[0]))
        return;
    share = sqlite3_value_double(values[1]);
    if (!(share >= 0 && share <= 1)) {
        sqlite3_result_error(context, "percentile: the second argument must be from 0 to 1", -1);
        return;
    }
    bound = histogram_percentile(&sum, share);
    if (bound >= 0)
        sqlite3_result_int64(context, bound);
}

/* histogram_sum(histogram) */
static void f_sum_step(sqlite3_context *context, int n, sqlite3_value **values)
{
    struct histogram_sum *sum;

    (void)n;
    if (sqlite3_value_type(values[0]) == SQLITE_NULL)
        return;
    sum = sqlite3_aggregate_context(context, sizeof(*sum));
    if (sum)
        add_value(context, sum, values[0]);
    else
        sqlite3_result_error_nomem(context);
}

static void f_sum_final(sqlite3_context *context)
{
    const struct histogram_sum *sum = sqlite3_aggregate_context(context, 0);
    uint8_t packed[HISTOGRAM_PACKED_MAX];
    size_t n = sum ? histogram_pack(sum, packed) : 0;

    if (n > 0)
        sqlite3_result_blob(context, packed, (int)n, SQLITE_TRANSIENT);
}

int functions_register_histogram(sqlite3 *db, struct err *err)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    int rc = sqlite3_create_function(db, "percentile", 2, flags, NULL, f_percentile, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(db, "histogram_sum", 1, flags, NULL, NULL, f_sum_step,
                                     f_sum_final);
    return rc == SQLITE_OK ? 0 : sql_fail(db, rc, err);
}
