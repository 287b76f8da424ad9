/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "connhist/model/address.h"
#include "connhist/model/history.h"
#include "connhist/model/state.h"
#include "reader.h"
#include "sql.h"

static bool any_null(sqlite3_value **values, int n)
{
    for (int i = 0; i < n; i++)
        if (sqlite3_value_type(values[i]) == SQLITE_NULL)
            return true;
    return false;
}

/* state_name(n) */
static void f_state_name(sqlite3_context *context, int n, sqlite3_value **values)
{
    sqlite3_int64 state;

    if (any_null(values, n))
        return;
    state = sqlite3_value_int64(values[0]);
    if (state >= 1 && state < STATE_COUNT)
        sqlite3_result_text(context, state_name((unsigned)state), -1, SQLITE_STATIC);
}

/* state_since(states, since_ms, n) */
static void f_state_since(sqlite3_context *context, int n, sqlite3_value **values)
{
    const void *bytes;
    int64_t entered;

    if (any_null(values, n))
        return;
    bytes = sqlite3_value_blob(values[0]);
    entered =
        history_entered(bytes, (size_t)sqlite3_value_bytes(values[0]),
                        sqlite3_value_int64(values[1]), (unsigned)sqlite3_value_int(values[2]));
    if (entered != INT64_MIN)
        sqlite3_result_int64(context, entered);
}

/* history(states, since_ms) */
static void f_history(sqlite3_context *context, int n, sqlite3_value **values)
{
    struct history_change change = {0};
    sqlite3_str *text;
    const uint8_t *bytes;
    size_t offset = 0, size;
    int r;

    if (any_null(values, n))
        return;
    bytes = sqlite3_value_blob(values[0]);
    size = (size_t)sqlite3_value_bytes(values[0]);
    change.at_ms = sqlite3_value_int64(values[1]);
    text = sqlite3_str_new(sqlite3_context_db_handle(context));
    while ((r = history_next(bytes, size, &offset, &change)) > 0)
        sqlite3_str_appendf(text, "%s%s@%lld", sqlite3_str_length(text) ? "," : "",
                            state_name(change.state), (long long)change.at_ms);
    if (r < 0)
        sqlite3_str_appendf(text, "%s?", sqlite3_str_length(text) ? "," : "");
    if (sqlite3_str_errcode(text) != SQLITE_OK)
        sqlite3_result_error_code(context, sqlite3_str_errcode(text));
    else
        sqlite3_result_text(context, sqlite3_str_length(text) ? sqlite3_str_value(text) : "", -1,
                            SQLITE_TRANSIENT);
    sqlite3_free(sqlite3_str_finish(text));
}

/* The parsed prefix is kept as long as the argument stays the same; NULL: an error was set. */
static const struct prefix *get_prefix(sqlite3_context *context, sqlite3_value *value,
                                       struct prefix *buf)
{
    const char *text = (const char *)sqlite3_value_text(value);
    struct prefix *kept = sqlite3_get_auxdata(context, 1);

    if (kept)
        return kept;
    if (!text || prefix_parse(text, buf) < 0) {
        sqlite3_result_error(context,
                             "addr_in: the second argument is no prefix such as "
                             "10.0.0.0/8 or 2001:db8::/32, and no address",
                             -1);
        return NULL;
    }
    kept = malloc(sizeof(*kept));
    if (kept) {
        *kept = *buf;
        sqlite3_set_auxdata(context, 1, kept, free);
    }
    return buf;
}

/* addr_in(address, prefix) */
static void f_addr_in(sqlite3_context *context, int n, sqlite3_value **values)
{
    const struct prefix *prefix;
    struct prefix buf;
    struct address address;
    const char *text;
    uint8_t family;

    if (any_null(values, n))
        return;
    prefix = get_prefix(context, values[1], &buf);
    if (!prefix)
        return;
    text = (const char *)sqlite3_value_text(values[0]);
    sqlite3_result_int(context, text && address_parse(text, &family, &address) >= 0 &&
                                    prefix_contains(prefix, family, &address));
}

int functions_register(sqlite3 *db, struct err *err)
{
    static const struct {
        const char *name;
        int arguments;
        void (*call)(sqlite3_context *context, int n, sqlite3_value **values);
    } functions[] = {
        {"state_name", 1, f_state_name},
        {"state_since", 3, f_state_since},
        {"history", 2, f_history},
        {"addr_in", 2, f_addr_in},
    };
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        int rc = sqlite3_create_function(db, functions[i].name, functions[i].arguments, flags, NULL,
                                         functions[i].call, NULL, NULL);

        if (rc != SQLITE_OK)
            return sql_fail(db, rc, err);
    }
    return functions_register_histogram(db, err);
}
