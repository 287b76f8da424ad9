/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connhist/store/db.h"
#include "connhist/store/file.h"

#define T0 INT64_C(1763800000000)

static int try_open(const struct place *place, struct err *err)
{
    struct store_options options = {.path = place->path};
    struct store *store = NULL;
    int r = store_open(&options, &store, err);

    store_close(store);
    return r;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static bool exists(const struct place *place, const char *suffix)
{
    char path[300];

    snprintf(path, sizeof(path), "%s%s", place->path, suffix);
    return access(path, F_OK) == 0;
}

static void a_new_file_is_of_the_newest_edition_and_says_whose_it_is(void **state)
{
    struct place *place = *state;

    store_close(open_store(place));
    assert_int_equal(ask_number(place, "PRAGMA application_id"), FILE_APPLICATION_ID);
    assert_int_equal(ask_number(place, "PRAGMA user_version"), file_edition());
    assert_int_equal(ask_number(place, "PRAGMA auto_vacuum"), 2);
    assert_answer(place, "wal", "PRAGMA journal_mode");
    assert_answer(place, "ok", "PRAGMA integrity_check");
    assert_answer(place, "1",
                  "SELECT sql LIKE '%-- one boot of the host%' FROM sqlite_schema "
                  "WHERE name = 'boots'");
    store_close(open_store(place)); /* and opens again */
}

static void a_file_of_zero_length_is_made_new(void **state)
{
    struct place *place = *state;
    struct err err = {0};

    write_file(place->path, "", 0);
    assert_ok(try_open(place, &err));
    assert_int_equal(ask_number(place, "PRAGMA user_version"), file_edition());
}

static void a_second_recorder_is_refused_by_pid(void **state)
{
    struct place *place = *state;
    struct store *store = open_store(place);
    struct err err = {0};
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(file_recorder_pid(place->path), getpid());
    assert_int_equal(try_open(place, &err), -EBUSY);
    assert_non_null(strstr(err.text, pid));
    assert_non_null(strstr(err.text, place->path));
    store_close(store);
    assert_int_equal(file_recorder_pid(place->path), 0);
    assert_ok(try_open(place, &err));
}

static void a_link_to_the_file_leads_to_the_same_lock(void **state)
{
    struct place *place = *state, link = *place;
    struct store *store = open_store(place);
    struct err err = {0};

    snprintf(link.path, sizeof(link.path), "%s/link.db", place->folder);
    assert_int_equal(symlink(place->path, link.path), 0);
    assert_int_equal(file_recorder_pid(link.path), getpid());
    assert_int_equal(try_open(&link, &err), -EBUSY);
    store_close(store);
    assert_ok(try_open(&link, &err));
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(try_open(&link, &err), -ENOENT);
}

static void another_name_of_the_file_is_refused(void **state)
{
    struct place *place = *state, hard = *place;
    struct store *store = open_store(place);
    struct err err = {0};

    snprintf(hard.path, sizeof(hard.path), "%s/hard.db", place->folder);
    assert_int_equal(link(place->path, hard.path), 0);
    assert_int_equal(try_open(&hard, &err), -EMLINK);
    assert_non_null(strstr(err.text, hard.path));
    store_close(store);
    assert_int_equal(unlink(hard.path), 0);
    assert_ok(try_open(place, &err));
}

static void a_name_that_sqlite_reads_in_its_own_way_is_a_files_name(void **state)
{
    static const char *const names[] = {"file:odd.db?mode=memory", ":memory:"};
    struct place *place = *state;
    char before[PATH_MAX], real[300];
    struct err err = {0};
    struct db *db = NULL;

    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(place->folder), 0);
    for (size_t i = 0; i < 2; i++) {
        struct place odd = {0}, full = {0};

        snprintf(odd.path, sizeof(odd.path), "%s", names[i]);
        snprintf(full.path, sizeof(full.path), "%s/%s", place->folder, names[i]);
        assert_ok(try_open(&odd, &err));
        assert_true(exists(&full, ""));
        assert_ok(db_open(odd.path, &db, &err));
        db_close(db);
    }
    /* what SQLite would take for the file that is there is a path like any other */
    store_close(open_store(place));
    snprintf(real, sizeof(real), "file:%s", place->path);
    assert_int_equal(db_open(real, &db, &err), -ENOENT);
    assert_int_equal(chdir(before), 0);
}

static void no_recorder_where_there_is_no_file(void **state)
{
    const struct place *place = *state;

    assert_int_equal(file_recorder_pid(place->path), 0);
}

static void what_is_no_database_is_refused_and_left_alone(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    struct stat st;
    char text[8192];

    memset(text, 'x', sizeof(text));
    write_file(place->path, text, sizeof(text));
    assert_int_equal(try_open(place, &err), -EMEDIUMTYPE);
    assert_non_null(strstr(err.text, "not an SQLite database"));
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_size, sizeof(text));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(exists(place, "-recorder"));
    write_file(place->path, "short", 5);
    assert_int_equal(try_open(place, &err), -EMEDIUMTYPE);
}

static void databases_of_others_are_refused_and_left_alone(void **state)
{
    struct place *place = *state;
    struct err err = {0};

    tell(place, "CREATE TABLE theirs (x)");
    assert_int_equal(try_open(place, &err), -EMEDIUMTYPE);
    assert_non_null(strstr(err.text, "another program"));
    tell(place, "DROP TABLE theirs; PRAGMA application_id = 252006675");
    assert_int_equal(try_open(place, &err), -EMEDIUMTYPE);
    assert_answer(place, "delete", "PRAGMA journal_mode");
    assert_false(exists(place, "-recorder"));
    assert_false(exists(place, "-wal"));
}

static void a_newer_edition_is_refused_with_both_numbers(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    struct db *db = NULL;
    char known[32];

    store_close(open_store(place));
    tell(place, "PRAGMA user_version = 907");
    snprintf(known, sizeof(known), "up to %d", file_edition());
    assert_int_equal(try_open(place, &err), -EPROTO);
    assert_non_null(strstr(err.text, "907"));
    assert_non_null(strstr(err.text, known));
    err = (struct err){0};
    assert_int_equal(db_open(place->path, &db, &err), -EPROTO);
    assert_non_null(strstr(err.text, "907"));
    assert_non_null(strstr(err.text, known));
}

static void a_truncated_file_is_damaged(void **state)
{
    struct place *place = *state;
    struct err err = {0};
    struct db *db = NULL;
    struct stat st;

    store_close(open_store(place));
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(truncate(place->path, st.st_size / 2), 0);
    assert_int_equal(try_open(place, &err), -EBADMSG);
    assert_non_null(strstr(err.text, place->path));
    assert_int_equal(db_open(place->path, &db, &err), -EBADMSG);
}

static void a_folder_is_refused(void **state)
{
    struct place *place = *state;
    struct err err = {0};

    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(try_open(place, &err), -EISDIR);
}

static void a_group_may_be_named_by_its_number(void **state)
{
    struct place *place = *state;
    /* only root may give a file to a group that it is not in, and 0 is a number, too */
    const gid_t gids[] = {geteuid() == 0 ? 54321 : getegid(), getegid()};

    for (size_t i = 0; i < sizeof(gids) / sizeof(gids[0]); i++) {
        char text[16];
        struct store_options options = {.path = place->path, .group = text};
        struct store *store = NULL;
        struct err err = {0};
        struct stat st;

        snprintf(text, sizeof(text), "%u", (unsigned)gids[i]);
        assert_ok(store_open(&options, &store, &err));
        store_close(store);
        assert_int_equal(stat(place->path, &st), 0);
        assert_int_equal(st.st_gid, gids[i]);
    }
}

static void an_unknown_group_is_refused(void **state)
{
    struct place *place = *state;
    struct store_options options = {.path = place->path, .group = "no-such-group"};
    struct store *store = NULL;
    struct err err = {0};

    assert_int_equal(store_open(&options, &store, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no-such-group"));
    assert_false(exists(place, ""));
}

static void it_is_seen_when_the_file_is_no_longer_in_its_place(void **state)
{
    struct place *place = *state;
    struct store *store = open_store(place);

    assert_true(store_is_in_place(store));
    assert_int_equal(unlink(place->path), 0);
    assert_false(store_is_in_place(store));
    write_file(place->path, "", 0);
    assert_false(store_is_in_place(store));
    store_close(store);
}

static void assert_mode(const struct place *place, const char *suffix, mode_t mode, gid_t gid)
{
    char path[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s%s", place->path, suffix);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_gid, gid);
}

static void assert_modes(const struct place *place, gid_t gid)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-recorder"};

    for (size_t i = 0; i < 4; i++)
        assert_mode(place, suffixes[i], 0640, gid);
}

static void record_one(struct store *store, uint64_t number)
{
    struct batch *batch = make_batch(T0 + (int64_t)number);
    struct life life = make_life(number, T0 + (int64_t)number);

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
}

/* Whether a process without privileges but with the group sees so many sockets. */
static bool member_sees(const struct place *place, gid_t gid, int64_t sockets)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct stmt *stmt = NULL;
        struct db *db = NULL;
        struct err err = {0};
        int r = setgroups(1, &gid) < 0 || setgid(65534) < 0 || setuid(65534) < 0 ? -EPERM : 0;

        if (r == 0)
            r = db_open(place->path, &db, &err);
        if (r == 0)
            r = db_prepare(db, "SELECT count(*) FROM sockets", &stmt, &err);
        if (r == 0)
            r = stmt_step(stmt, &err);
        if (r == 1 && stmt_i64(stmt, 0) == sockets && file_recorder_pid(place->path) >= 0)
            _exit(0);
        dprintf(2, "member: %d %s\n", r, err.text);
        _exit(1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

/* A group that nobody's other groups are not. */
static const struct group *any_group(void)
{
    return getgrnam("games") ? getgrnam("games") : getgrnam("mail");
}

/* A recorder in a process of its own, which is killed. */
static void record_and_be_killed(const struct store_options *options, uint64_t number)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct store *store = NULL;
        struct err err = {0};

        if (store_open(options, &store, &err) < 0)
            _exit(1);
        begin_recording(store, BOOT_A, T0);
        record_one(store, number);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void a_member_of_the_group_reads_at_any_time_whatever_the_umask_is(void **state)
{
    struct place place = *(struct place *)*state;
    const struct group *group = any_group();
    struct store_options options = {.path = place.path, .group = group ? group->gr_name : NULL};
    char folder[128];
    struct store *store = NULL;
    struct err err = {0};
    mode_t umask_before;
    struct stat st;

    if (geteuid() != 0 || !group)
        skip();
    assert_int_equal(chmod(place.folder, 0755), 0);
    snprintf(folder, sizeof(folder), "%s/a/b", place.folder);
    snprintf(place.path, sizeof(place.path), "%s/a/b/connhist.db", place.folder);
    umask_before = umask(022);
    assert_int_equal(mkdir(folder, 0755), -1); /* two folders are missing */
    umask(077);
    snprintf(folder, sizeof(folder), "%s/a", place.folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_ok(store_open(&options, &store, &err));
    snprintf(folder, sizeof(folder), "%s/a/b", place.folder);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(st.st_gid, group->gr_gid);
    begin_recording(store, BOOT_A, T0);
    record_one(store, 1);
    assert_modes(&place, group->gr_gid);
    assert_true(member_sees(&place, group->gr_gid, 1)); /* while it runs */
    store_close(store);
    assert_modes(&place, group->gr_gid);
    assert_true(member_sees(&place, group->gr_gid, 1)); /* after a clean end */
    record_and_be_killed(&options, 2);
    assert_modes(&place, group->gr_gid);
    assert_true(member_sees(&place, group->gr_gid, 2)); /* after it was killed */
    umask(umask_before);
}

static void modes_that_were_wrong_are_set_right(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-recorder"};
    struct place *place = *state;
    struct stat st;
    char path[300];

    store_close(open_store(place));
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", place->path, suffixes[i]);
        assert_int_equal(chmod(path, 0600), 0);
    }
    assert_int_equal(stat(place->folder, &st), 0);
    store_close(open_store(place));
    assert_modes(place, st.st_gid);
}

static void missing_folders_are_made(void **state)
{
    struct place place = *(struct place *)*state;
    struct err err = {0};

    snprintf(place.path, sizeof(place.path), "%s/x/y/z.db", place.folder);
    assert_ok(try_open(&place, &err));
    assert_mode(&place, "", 0640, getegid());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_of_the_newest_edition_and_says_whose_it_is),
        TEST(a_file_of_zero_length_is_made_new),
        TEST(a_second_recorder_is_refused_by_pid),
        TEST(a_link_to_the_file_leads_to_the_same_lock),
        TEST(another_name_of_the_file_is_refused),
        TEST(a_name_that_sqlite_reads_in_its_own_way_is_a_files_name),
        TEST(no_recorder_where_there_is_no_file),
        TEST(what_is_no_database_is_refused_and_left_alone),
        TEST(databases_of_others_are_refused_and_left_alone),
        TEST(a_newer_edition_is_refused_with_both_numbers),
        TEST(a_truncated_file_is_damaged),
        TEST(a_folder_is_refused),
        TEST(a_group_may_be_named_by_its_number),
        TEST(an_unknown_group_is_refused),
        TEST(it_is_seen_when_the_file_is_no_longer_in_its_place),
        TEST(a_member_of_the_group_reads_at_any_time_whatever_the_umask_is),
        TEST(modes_that_were_wrong_are_set_right),
        TEST(missing_folders_are_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
