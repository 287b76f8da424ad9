/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "connhist/store/db.h"
#include "connhist/store/file.h"

#define T0 INT64_C(1763800000000)

static const char endless[] = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                              "SELECT max(i) FROM n";

static struct db *open_db(const struct place *place)
{
    struct db *db = NULL;
    struct err err = {0};

    assert_ok(db_open(place->path, &db, &err));
    return db;
}

static int64_t first_number(struct db *db, const char *sql)
{
    struct stmt *stmt = NULL;
    struct err err = {0};
    int64_t value;

    assert_ok(db_prepare(db, sql, &stmt, &err));
    assert_int_equal(stmt_step(stmt, &err), 1);
    value = stmt_i64(stmt, 0);
    stmt_free(stmt);
    return value;
}

static void what_is_not_there_or_empty_is_told_apart(void **state)
{
    const struct place *place = *state;
    struct db *db = NULL;
    struct err err = {0};
    FILE *file;

    assert_int_equal(db_open(place->path, &db, &err), -ENOENT);
    assert_non_null(strstr(err.text, place->path));
    assert_non_null(strstr(err.text, "connhistd"));
    file = fopen(place->path, "w");
    fclose(file);
    assert_int_equal(db_open(place->path, &db, &err), -EMEDIUMTYPE);
    assert_int_equal(db_open(place->folder, &db, &err), -EMEDIUMTYPE);
    tell(place, "CREATE TABLE theirs (x)");
    assert_int_equal(db_open(place->path, &db, &err), -EMEDIUMTYPE);
    assert_null(db);
}

static void values_of_each_type_come_back(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;
    size_t n;

    store_close(open_store(place));
    db = open_db(place);
    assert_ok(db_prepare(db, "SELECT ?1 AS i, ?2 AS t, ?3, ?4, 0.5", &stmt, &err));
    stmt_bind_i64(stmt, 1, INT64_MIN);
    stmt_bind_text(stmt, 2, "text");
    stmt_bind_blob(stmt, 3, "b\0c", 3);
    stmt_bind_null(stmt, 4);
    assert_int_equal(stmt_step(stmt, &err), 1);
    assert_int_equal(stmt_columns(stmt), 5);
    assert_string_equal(stmt_column_name(stmt, 1), "t");
    assert_int_equal(stmt_type(stmt, 0), DB_INTEGER);
    assert_true(stmt_i64(stmt, 0) == INT64_MIN);
    assert_string_equal(stmt_text(stmt, 1), "text");
    assert_memory_equal(stmt_blob(stmt, 2, &n), "b\0c", 3);
    assert_int_equal(n, 3);
    assert_true(stmt_is_null(stmt, 3));
    assert_string_equal(stmt_text(stmt, 3), "");
    assert_true(stmt_double(stmt, 4) == 0.5);
    assert_int_equal(stmt_step(stmt, &err), 0);
    stmt_bind_i64(stmt, 99, 1);
    assert_true(stmt_step(stmt, &err) < 0); /* the bind's error */
    assert_int_equal(stmt_step(stmt, &err), 1);
    stmt_free(stmt);
    db_close(db);
}

static void one_instant_is_seen_between_begin_and_close(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct db *db = open_db(place);
    struct err err = {0};

    assert_ok(db_begin(db, &err));
    write_batch(store, make_batch(T0 + 1));
    assert_int_equal(first_number(db, "SELECT count(*) FROM snapshots"), 0);
    db_close(db);
    db = open_db(place);
    assert_int_equal(first_number(db, "SELECT count(*) FROM snapshots"), 1);
    db_close(db);
    store_close(store);
}

static int64_t boottime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void a_statement_ends_at_the_deadline(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;

    store_close(open_store(place));
    db = open_db(place);
    assert_ok(db_prepare(db, endless, &stmt, &err));
    db_set_deadline(db, boottime_ns() + 20000000);
    assert_int_equal(stmt_step(stmt, &err), -ETIMEDOUT);
    stmt_free(stmt);
    db_set_deadline(db, 0);
    assert_int_equal(first_number(db, "SELECT 7"), 7);
    db_close(db);
}

static struct db *interrupted_db; /* for the signal handler alone */

static void on_alarm(int number)
{
    (void)number;
    db_interrupt(interrupted_db);
}

static void each_begin_sets_the_deadline_anew(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;

    store_close(open_store(place));
    db = open_db(place);
    db_set_limit(db, 1000000);
    assert_ok(db_prepare(db, endless, &stmt, &err));
    for (int i = 0; i < 2; i++) {
        assert_ok(db_begin(db, &err));
        assert_int_equal(stmt_step(stmt, &err), -ETIMEDOUT);
        db_end(db);
    }
    stmt_free(stmt);
    db_close(db);
}

static void a_statement_can_be_interrupted_by_a_signal(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;

    store_close(open_store(place));
    interrupted_db = db = open_db(place);
    assert_ok(db_prepare(db, endless, &stmt, &err));
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    ualarm(20000, 20000); /* again and again: the first may come before the step */
    assert_int_equal(stmt_step(stmt, &err), -EINTR);
    ualarm(0, 0);
    stmt_free(stmt);
    db_close(db);
}

static void users_statements_can_only_read(void **state)
{
    static const char *const refused[] = {
        "DELETE FROM snapshots",
        "INSERT INTO snapshots SELECT * FROM snapshots",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "DROP VIEW sockets",
        "UPDATE snapshots SET sockets = 0",
        "ATTACH '/tmp/connhist-attached.db' AS a",
        "VACUUM",
        "VACUUM INTO '/tmp/connhist-vacuumed.db'",
        "PRAGMA user_version = 5",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = ON",
        "PRAGMA wal_checkpoint",
        "PRAGMA temp_store_directory = '/tmp'",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "SELECT load_extension('x')",
        "REINDEX",
        "ANALYZE",
    };
    struct place *place = *state;
    const char *tail = NULL;
    struct db *db;

    store_close(open_store(place));
    db = open_db(place);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct stmt *stmt = NULL;
        struct err err = {0};
        int r = db_prepare_user(db, refused[i], &stmt, &tail, &err);

        if (r != -EPERM)
            fail_msg("%s: %d %s", refused[i], r, err.text);
        assert_null(stmt);
        assert_true(*err.text);
    }
    db_close(db);
}

static void users_statements_that_read_run_one_after_the_other(void **state)
{
    static const char sql[] = " -- first\nSELECT 1; PRAGMA table_info(boots);\n"
                              "SELECT count(*) FROM pragma_table_info('boots'); EXPLAIN SELECT 2; "
                              "/* end */ ";
    struct place *place = *state;
    const char *tail = sql;
    struct db *db;
    int n = 0;

    store_close(open_store(place));
    db = open_db(place);
    while (*tail) {
        struct stmt *stmt = NULL;
        struct err err = {0};

        assert_ok(db_prepare_user(db, tail, &stmt, &tail, &err));
        if (!stmt)
            break;
        n++;
        assert_int_equal(stmt_step(stmt, &err), 1);
        stmt_free(stmt);
    }
    assert_int_equal(n, 4);
    db_close(db);
}

static void errors_in_users_statements_come_with_sqlites_words(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    const char *tail = NULL;
    struct err err = {0};
    struct db *db;

    store_close(open_store(place));
    db = open_db(place);
    assert_int_equal(db_prepare_user(db, "SELEC 1", &stmt, &tail, &err), -EINVAL);
    assert_non_null(strstr(err.text, "syntax error"));
    assert_int_equal(db_prepare_user(db, "SELECT x FROM nowhere", &stmt, &tail, &err), -EINVAL);
    assert_non_null(strstr(err.text, "nowhere"));
    assert_true(db_prepare_user(db, "UPDATE sqlite_master SET sql = ''", &stmt, &tail, &err) < 0);
    db_close(db);
}

static void assert_value(struct db *db, const char *expected, const char *sql)
{
    struct stmt *stmt = NULL;
    struct err err = {0};

    assert_ok(db_prepare(db, sql, &stmt, &err));
    if (stmt_step(stmt, &err) != 1)
        fail_msg("%s: %s", sql, err.text);
    assert_string_equal(stmt_is_null(stmt, 0) ? "NULL" : stmt_text(stmt, 0), expected);
    stmt_free(stmt);
}

static void after_the_end_of_an_instant_the_next_one_is_seen(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;

    store_close(open_store(place));
    db = open_db(place);
    assert_ok(db_begin(db, &err));
    assert_ok(
        db_prepare(db, "SELECT state FROM states UNION ALL SELECT inode FROM netns", &stmt, &err));
    assert_int_equal(stmt_step(stmt, &err), 1); /* it stands on a row */
    tell(place, "INSERT INTO netns (inode, name) VALUES (1, 'new')");
    db_end(db);
    /* busy = 0: nobody reads an older instant */
    assert_answer(place, "0", "PRAGMA wal_checkpoint(TRUNCATE)");
    db_end(db);
    stmt_free(stmt);
    assert_ok(db_begin(db, &err));
    assert_value(db, "1", "SELECT count(*) FROM netns");
    db_end(db);
    db_close(db);
}

static void the_functions_give_what_they_promise(void **state)
{
    struct place *place = *state;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;

    store_close(open_store(place));
    db = open_db(place);
    assert_value(db, "TIME_WAIT", "SELECT state_name(6)");
    assert_value(db, "NULL", "SELECT state_name(0)");
    assert_value(db, "NULL", "SELECT state_name(12)");
    assert_value(db, "NULL", "SELECT state_name(4294967302)");
    assert_value(db, "NULL", "SELECT state_name(NULL)");
    /* ESTABLISHED, 200 ms later FIN_WAIT1, 1 ms later ESTABLISHED */
    assert_value(db, "ESTABLISHED@1000,FIN_WAIT1@1200,ESTABLISHED@1201",
                 "SELECT history(x'01c801040101', 1000)");
    assert_value(db, "1201", "SELECT state_since(x'01c801040101', 1000, 1)");
    assert_value(db, "1200", "SELECT state_since(x'01c801040101', 1000, 4)");
    assert_value(db, "NULL", "SELECT state_since(x'01c801040101', 1000, 6)");
    assert_value(db, "NULL", "SELECT state_since(NULL, 1000, 6)");
    assert_value(db, "ESTABLISHED@1000,?", "SELECT history(x'01c8', 1000)");
    assert_value(db, "", "SELECT history(x'', 1000)");
    assert_value(db, "1", "SELECT addr_in('10.1.2.3', '10.0.0.0/8')");
    assert_value(db, "0", "SELECT addr_in('11.1.2.3', '10.0.0.0/8')");
    assert_value(db, "1", "SELECT addr_in('::ffff:10.1.2.3', '10.0.0.0/8')");
    assert_value(db, "1", "SELECT addr_in('2001:db8::1', '2001:db8::/32')");
    assert_value(db, "0", "SELECT addr_in('2001:db9::1', '2001:db8::/32')");
    assert_value(db, "0", "SELECT addr_in('rubbish', '10.0.0.0/8')");
    assert_value(db, "NULL", "SELECT addr_in(NULL, '10.0.0.0/8')");
    assert_value(db, "2",
                 "SELECT sum(addr_in(column1, '10.0.0.0/8')) FROM "
                 "(VALUES ('10.1.2.3'), ('9.1.1.1'), ('10.255.0.0'))");
    assert_value(db, "1",
                 "SELECT sum(addr_in('10.1.2.3', column1)) FROM "
                 "(VALUES ('10.1.2.3'), ('9.1.1.1'))"); /* prefixes that change */
    assert_ok(db_prepare(db, "SELECT addr_in('10.1.2.3', '10.0.0.0/99')", &stmt, &err));
    assert_true(stmt_step(stmt, &err) < 0);
    assert_non_null(strstr(err.text, "prefix"));
    stmt_free(stmt);
    db_close(db);
}

static void in_a_child_without_privileges(const struct place *place, int expected,
                                          const char *expected_text)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct db *db = NULL;
        struct err err = {0};
        int r = setgid(65534) < 0 || setuid(65534) < 0 ? -1 : db_open(place->path, &db, &err);

        if (r == expected && strstr(err.text, expected_text))
            _exit(0);
        dprintf(2, "child: %d %s\n", r, err.text);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void copies_and_foreign_files_open_as_far_as_they_may(void **state)
{
    struct place *place = *state;
    struct store *store;
    char path[300];

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(place->folder, 0755), 0);
    store = open_recording(place, BOOT_A, T0);
    store_close(store);
    in_a_child_without_privileges(place, -EACCES, "user 0 and root");
    assert_int_equal(chmod(place->path, 0644), 0);
    snprintf(path, sizeof(path), "%s-wal", place->path);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s-shm", place->path);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s-recorder", place->path);
    assert_int_equal(unlink(path), 0);           /* a copy has none */
    in_a_child_without_privileges(place, 0, ""); /* immutable: no -wal, no way to make one */

    {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd;

        /* a recorder that has the lock and did not yet write its number into it */
        snprintf(path, sizeof(path), "%s-recorder", place->path);
        fd = open(path, O_RDWR | O_TRUNC | O_CREAT, 0644);
        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, 0644), 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_int_equal(file_recorder_pid(place->path), -EAGAIN);
        in_a_child_without_privileges(place, -EACCES, "-wal");
        close(fd);
        in_a_child_without_privileges(place, 0, "");
    }
    snprintf(path, sizeof(path), "%s", place->path);
    snprintf(place->path, sizeof(place->path), "%s/a%%20b?c#d", place->folder);
    assert_int_equal(rename(path, place->path), 0);
    in_a_child_without_privileges(place, 0, "");

    snprintf(path, sizeof(path), "%s-wal", place->path); /* a -wal of which the -shm got lost */
    {
        FILE *file = fopen(path, "w");

        fputs("not empty", file);
        fclose(file);
    }
    in_a_child_without_privileges(place, -EACCES, "-wal");
    assert_int_equal(chmod(place->folder, 0700), 0);
    in_a_child_without_privileges(place, -EACCES, "not readable");
}

static void alive_at_an_instant_visits_few_rows(void **state)
{
    enum { N = 40000 };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    const int64_t at = T0 + 20000000;
    int64_t alive = 0, found = 0, steps = 0;
    struct stmt *stmt = NULL;
    struct err err = {0};
    struct db *db;

    for (int i = 0; i < N; i++) { /* one each second, of 1 ms to 131 s */
        struct life life = make_life((uint64_t)i + 1, T0 + i * 1000);

        life.ended_ms = life.since_ms + (INT64_C(1) << (i % 18));
        alive += life.since_ms <= at && at < life.ended_ms;
        add_life(batch, &batch->closed, &life);
    }
    write_batch(store, batch);
    store_close(store);
    db = open_db(place);
    assert_ok(db_prepare(db,
                         "SELECT count(*) FROM closed WHERE key BETWEEN ?1 AND ?2 AND "
                         "(key >> 16 & (1 << 42) - 1) - late_ms > ?3 AND "
                         "(key >> 16 & (1 << 42) - 1) - late_ms - duration_ms <= ?3",
                         &stmt, &err));
    for (unsigned class = 0; class < FILE_CLASSES; class ++) {
        int64_t first, last;

        file_alive_range(class, at, at, &first, &last);
        stmt_bind_i64(stmt, 1, first);
        stmt_bind_i64(stmt, 2, last);
        stmt_bind_i64(stmt, 3, at);
        assert_int_equal(stmt_step(stmt, &err), 1);
        found += stmt_i64(stmt, 0);
        stmt_reset(stmt);
    }
    steps = stmt_vm_steps(stmt);
    stmt_free(stmt);
    db_close(db);
    assert_int_equal(found, alive);
    assert_true(alive > 10);
    assert_true(steps < N / 4); /* a scan takes more than ten a row */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_there_or_empty_is_told_apart),
        TEST(values_of_each_type_come_back),
        TEST(one_instant_is_seen_between_begin_and_close),
        TEST(a_statement_ends_at_the_deadline),
        TEST(each_begin_sets_the_deadline_anew),
        TEST(after_the_end_of_an_instant_the_next_one_is_seen),
        TEST(a_statement_can_be_interrupted_by_a_signal),
        TEST(users_statements_can_only_read),
        TEST(users_statements_that_read_run_one_after_the_other),
        TEST(errors_in_users_statements_come_with_sqlites_words),
        TEST(the_functions_give_what_they_promise),
        TEST(copies_and_foreign_files_open_as_far_as_they_may),
        TEST(alive_at_an_instant_visits_few_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
