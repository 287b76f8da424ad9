/* SPDX-License-Identifier: MIT */
/* connhist sql: read-only SQL. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/clock.h"
#include "connhist/base/vec.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "question.h"

#define TIMEOUT_MS     INT64_C(60000)
#define TIMEOUT_MAX_MS (INT64_C(366) * 24 * 3600000) /* keeps ns in range */
#define INPUT_CHUNK    65536
#define INPUT_MAX      (64u << 20) /* bytes of SQL taken from standard input */

static const struct option_row rows[] = {
    {OPT_TIMEOUT, REPEAT_NOT, 0, "timeout", "DURATION", "give up after this time, 0: never (60s)"},
};

struct text {
    VEC_FIELDS(char);
};

static void text_finish(struct text *text)
{
    vec_finish(text);
}

/* A signal handler has no other way to the connection. */
static struct db *volatile interruptible;

static void on_interrupt(int signal_number)
{
    struct db *db = interruptible;

    (void)signal_number;
    if (db)
        db_interrupt(db);
}

/* The first Ctrl+C ends the query with a word, a second one the program. */
static void catch_interrupt(struct db *db)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

    interruptible = db;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* The values of a row, and the memory of those that must be written out. */
struct row {
    struct {
        VEC_FIELDS(struct cell);
    } cells;
    struct {
        VEC_FIELDS(struct column);
    } columns;
    struct text made; /* values of the row that must be written anew, each ended by NUL */
    struct {
        VEC_FIELDS(char *);
    } names; /* of all columns, each another one; owned */
};

static void row_finish(struct row *row)
{
    vec_finish(&row->cells);
    vec_finish(&row->columns);
    vec_finish(&row->made);
    for (size_t i = 0; i < row->names.n; i++)
        free(row->names.items[i]);
    vec_finish(&row->names);
}

#define NUL_SHOWN "\xef\xbf\xbd" /* U+FFFD, as for broken UTF-8 */

/* Most bytes that a value may take when it is written anew. */
static size_t made_bytes(struct stmt *stmt, int column)
{
    enum db_type type = stmt_type(stmt, column);
    size_t n, nuls = 0;
    const char *bytes;

    if (type != DB_BLOB && type != DB_TEXT)
        return 0;
    bytes = stmt_blob(stmt, column, &n);
    if (type == DB_BLOB)
        return 2 * n + 4;
    for (size_t i = 0; i < n; i++)
        nuls += bytes[i] == '\0';
    return nuls ? n + nuls * strlen(NUL_SHOWN) + 1 : 0;
}

/* Makes room for all of the row at once, so that nothing moves afterwards. */
static int reserve_made(struct row *row, struct stmt *stmt)
{
    size_t bytes = 0;

    for (int i = 0; i < stmt_columns(stmt); i++)
        bytes += made_bytes(stmt, i);
    vec_clear(&row->made);
    return vec_reserve(&row->made, bytes);
}

/* Text that holds NUL, which would end it. */
static struct cell text_with_nul_cell(struct row *row, const char *bytes, size_t n)
{
    char *text = row->made.items + row->made.n, *p = text;

    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            *p++ = bytes[i];
        else
            p = mempcpy(p, NUL_SHOWN, strlen(NUL_SHOWN));
    *p++ = '\0';
    row->made.n += (size_t)(p - text);
    return cell_text(text);
}

static struct cell blob_cell(struct row *row, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *text = row->made.items + row->made.n, *p = text;

    *p++ = 'x';
    *p++ = '\'';
    for (size_t i = 0; i < n; i++) {
        *p++ = digits[bytes[i] >> 4];
        *p++ = digits[bytes[i] & 15];
    }
    *p++ = '\'';
    *p++ = '\0';
    row->made.n += (size_t)(p - text);
    return cell_text(text);
}

static struct cell column_cell(struct row *row, struct stmt *stmt, int column)
{
    const void *bytes;
    size_t n;

    switch (stmt_type(stmt, column)) {
    case DB_INTEGER:
        return cell_int(stmt_i64(stmt, column));
    case DB_FLOAT:
        return cell_real(stmt_double(stmt, column));
    case DB_TEXT:
        bytes = stmt_blob(stmt, column, &n);
        return bytes && memchr(bytes, '\0', n) ? text_with_nul_cell(row, bytes, n)
                                               : cell_text(stmt_text(stmt, column));
    case DB_BLOB:
        bytes = stmt_blob(stmt, column, &n);
        return blob_cell(row, bytes, n);
    default:
        return cell_null();
    }
}

static int put_row(struct writer *writer, struct row *row, struct stmt *stmt)
{
    int r = reserve_made(row, stmt);

    vec_clear(&row->cells);
    for (int i = 0; i < stmt_columns(stmt) && r >= 0; i++)
        r = vec_push(&row->cells, column_cell(row, stmt, i));
    return r < 0 ? r : writer_row(writer, row->cells.items);
}

static bool is_taken(const struct row *row, const char *name)
{
    for (size_t i = 0; i < row->names.n; i++)
        if (strcmp(row->names.items[i], name) == 0)
            return true;
    return false;
}

/* A column's name, or NAME_2 and so on where it is taken: JSON's objects need a key for each. */
static int add_name(struct row *row, const char *name)
{
    _cleanup_free_ char *own = strdup(name);

    for (unsigned i = 2; own && is_taken(row, own); i++) {
        free(own);
        if (asprintf(&own, "%s_%u", name, i) < 0)
            own = NULL;
    }
    if (!own || vec_push(&row->names, own) < 0)
        return -ENOMEM;
    own = NULL;
    return 0;
}

/* has_row: the statement stands on its first row, whose types tell how columns are aligned. */
static int make_columns(struct row *row, struct stmt *stmt, bool has_row)
{
    int r = 0;

    vec_clear(&row->columns);
    for (int i = 0; i < stmt_columns(stmt) && r >= 0; i++) {
        const char *name = stmt_column_name(stmt, i);
        enum db_type type = has_row ? stmt_type(stmt, i) : DB_NULL;
        struct column column = {.heading = name, .right = type == DB_INTEGER || type == DB_FLOAT};

        r = add_name(row, name);
        if (r < 0)
            return r;
        column.name = row->names.items[i];
        r = vec_push(&row->columns, column);
    }
    return r;
}

/* Bad SQL and refused writes are the asker's, the rest is not. */
static int query_failed(int code, const struct err *err)
{
    if (code == -EINTR) /* at exit nothing is to wait for a reader that does not read */
        __fpurge(stdout);
    if (code == -EINVAL || code == -EPERM || code == -E2BIG)
        return wrong_usage("%s", err->text);
    return cannot_answer("%s", err->text);
}

/* Runs a prepared statement to its end. */
static int put_statement(struct context *ctx, struct stmt *stmt)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    _cleanup_(row_finish) struct row row = {0};
    struct document document = {.schema = "connhist/sql/1"};
    struct err err = {0};
    int step = stmt_step(stmt, &err), r, status;

    if (step < 0)
        return query_failed(step, &err);
    if (stmt_columns(stmt) == 0)
        return EXIT_ANSWERED;
    status = context_writer(ctx, &writer);
    if (status != EXIT_ANSWERED)
        return status;
    r = make_columns(&row, stmt, step == 1);
    document.columns = row.columns.items;
    document.n_columns = row.columns.n;
    if (r >= 0)
        r = writer_begin(writer, &document);
    while (r >= 0 && step == 1) {
        r = put_row(writer, &row, stmt);
        if (r >= 0)
            step = stmt_step(stmt, &err);
    }
    if (step < 0)
        return query_failed(step, &err);
    if (r >= 0)
        r = writer_end(writer, NULL);
    return r < 0 ? output_failed(r) : output_finish();
}

/* Whether all the statements give one document: JSON and CSV hold but one table. */
static int check_document(struct context *ctx, const char *sql)
{
    size_t tables = 0;

    if (ctx->format != FORMAT_JSON && ctx->format != FORMAT_CSV)
        return EXIT_ANSWERED;
    for (;;) {
        _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
        struct err err = {0};
        int r = db_prepare_user(ctx->db, sql, &stmt, &sql, &err);

        if (r < 0)
            return query_failed(r, &err);
        if (!stmt && !*sql)
            return EXIT_ANSWERED;
        tables += stmt && stmt_columns(stmt) > 0;
        if (tables > 1)
            return wrong_usage("--format %s holds the rows of one statement: ask them one by one, "
                               "or with --format jsonl or table",
                               ctx->format == FORMAT_JSON ? "json" : "csv");
    }
}

static int put_statements(struct context *ctx, const char *sql)
{
    for (;;) {
        _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
        struct err err = {0};
        int status, r = db_prepare_user(ctx->db, sql, &stmt, &sql, &err);

        if (r < 0)
            return query_failed(r, &err);
        if (!stmt && !*sql)
            return EXIT_ANSWERED;
        status = stmt ? put_statement(ctx, stmt) : EXIT_ANSWERED;
        if (status != EXIT_ANSWERED)
            return status;
    }
}

/* All of standard input, ended by NUL. */
static int read_input(struct text *text)
{
    size_t got;

    if (isatty(STDIN_FILENO))
        complain("reading SQL from the terminal until Ctrl+D");
    do {
        if (vec_reserve(text, INPUT_CHUNK + 1) < 0)
            return cannot_answer("standard input: %s", errno_words(-ENOMEM));
        errno = 0;
        got = fread(text->items + text->n, 1, INPUT_CHUNK, stdin);
        text->n += got;
        if (text->n > INPUT_MAX)
            return wrong_usage("standard input is longer than %u MiB of SQL", INPUT_MAX >> 20);
    } while (got > 0);
    if (ferror(stdin))
        return cannot_answer("standard input: %s", errno_words(errno ? -errno : -EIO));
    if (memchr(text->items, '\0', text->n))
        return wrong_usage("standard input is no SQL: it holds a NUL byte");
    text->items[text->n] = '\0';
    return EXIT_ANSWERED;
}

static int sql_run(struct context *ctx)
{
    _cleanup_(text_finish) struct text text = {0};
    const struct clock clock = clock_system();
    int64_t timeout_ms = TIMEOUT_MS;
    const char *sql;
    bool from_input;
    int status = question_duration(ctx, OPT_TIMEOUT, 0, &timeout_ms);

    if (status != EXIT_ANSWERED)
        return status;
    if (ctx->n_words > 1)
        return wrong_usage("sql takes one statement as one word: put it in quotes");
    from_input = ctx->n_words == 0 || strcmp(ctx->words[0], "-") == 0;
    if (from_input)
        status = read_input(&text);
    if (status != EXIT_ANSWERED)
        return status;
    if (timeout_ms > TIMEOUT_MAX_MS)
        timeout_ms = TIMEOUT_MAX_MS;
    if (timeout_ms > 0)
        db_set_deadline(ctx->db, clock_boottime_ns(&clock) + timeout_ms * NS_PER_MS);
    catch_interrupt(ctx->db);
    sql = from_input ? text.items : ctx->words[0];
    status = check_document(ctx, sql);
    if (status == EXIT_ANSWERED)
        status = put_statements(ctx, sql);
    interruptible = NULL;
    return status;
}

static int sql_check(struct context *ctx)
{
    int64_t timeout_ms = 0;

    return question_duration(ctx, OPT_TIMEOUT, 0, &timeout_ms);
}

const struct command cmd_sql = {
    .name = "sql",
    .args = "[STATEMENT]",
    .summary = "read-only SQL, from the command line or standard input",
    .notes = "Several statements are separated by ';'. Tables and views: connhist-schema(5).",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_FILE,
    .run = sql_run,
    .check = sql_check,
};
