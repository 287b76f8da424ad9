/* SPDX-License-Identifier: MIT */
/* Pages as they are on the disk and in the -wal: what SQLite makes of both is the oracle. */
#include "made_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/image.h"

static const char sql[] = "CREATE TABLE t (v);"
                          "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
                          " INSERT INTO t SELECT zeroblob(100) FROM n;";

static void copy(const char *from, const char *to)
{
    char command[1024];

    snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* A file with two transactions in its -wal alone, at place->path "2" with "2-wal". */
static void make_wal(const struct place *place, char path[static 300], char wal[static 300])
{
    char from[300];
    sqlite3 *db = NULL;

    made_file(place, 512, true, sql);
    snprintf(path, 300, "%s2", place->path);
    snprintf(wal, 300, "%s2-wal", place->path);
    snprintf(from, sizeof(from), "%s-wal", place->path);
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode = WAL; UPDATE t SET v = 'first';"
                                  "INSERT INTO t VALUES (randomblob(5000))",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    copy(place->path, path);
    copy(from, wal);
    sqlite3_close(db); /* all is in the file itself now */
}

/* How many pages differ from those of another file. */
static int count_differing(const struct image *image, const char *path)
{
    uint8_t page[IMAGE_PAGE_MAX], other[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC), n = 0;

    assert_true(fd >= 0);
    for (uint32_t i = 1; i <= image->n_pages; i++) {
        assert_true(image_read(image, i, page));
        n += pread(fd, other, 512, ((off_t)i - 1) * 512) != 512 || memcmp(page, other, 512) != 0;
    }
    close(fd);
    return n;
}

static void remove_both(const char *path, const char *wal)
{
    unlink(path);
    unlink(wal);
}

static void the_latest_pages_are_those_of_the_log(void **state)
{
    struct place *place = *state;
    char path[300], wal[300];
    struct err err = {0};
    struct image image;

    make_wal(place, path, wal);
    assert_ok(image_open(path, &image, &err));
    assert_int_equal(image.n_pages, ask_number(place, "PRAGMA page_count"));
    assert_int_equal(image.page_size, 512);
    assert_true(image.vacuum);
    assert_int_equal(count_differing(&image, place->path), 0);
    image_close(&image);
    remove_both(path, wal);
}

static void damage_file(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void a_log_counts_up_to_the_transaction_before_its_damage(void **state)
{
    struct place *place = *state;
    char path[300], wal[300], whole[300];
    struct err err = {0};
    struct image image;
    struct stat st;

    make_wal(place, path, wal);
    snprintf(whole, sizeof(whole), "%s3", place->path);
    copy(path, whole);
    assert_int_equal(stat(wal, &st), 0);
    damage_file(wal, st.st_size - 100); /* in the last frame of the second */
    assert_ok(image_open(path, &image, &err));
    assert_true(count_differing(&image, place->path) > 0);
    assert_true(count_differing(&image, whole) > 0);
    image_close(&image);
    damage_file(wal, 32 + 24 + 5); /* in the first */
    assert_ok(image_open(path, &image, &err));
    assert_int_equal(count_differing(&image, whole), 0);
    image_close(&image);
    unlink(whole);
    remove_both(path, wal);
}

static void a_log_of_another_time_is_none(void **state)
{
    struct place *place = *state;
    char path[300], wal[300];
    struct err err = {0};
    struct image image;

    make_wal(place, path, wal);
    copy(place->path, path);
    damage_file(wal, 16); /* its salt: what follows is what an earlier log left */
    assert_ok(image_open(path, &image, &err));
    assert_int_equal(count_differing(&image, place->path), 0);
    image_close(&image);
    remove_both(path, wal);
}

static void a_file_that_was_cut_has_the_pages_that_it_had(void **state)
{
    struct place *place = *state;
    uint8_t page[IMAGE_PAGE_MAX];
    struct image image;
    int64_t n;

    made_file(place, 512, true, sql);
    n = ask_number(place, "PRAGMA page_count");
    assert_int_equal(truncate(place->path, 5 * 512 + 100), 0);
    made_open(place, &image);
    assert_int_equal(image.n_pages, n);
    assert_int_equal(image.n_missing, n - 5); /* the sixth is not there as a whole */
    assert_true(image_read(&image, 5, page));
    assert_false(image_read(&image, 6, page));
    assert_false(image_read(&image, (uint32_t)n, page));
    assert_false(image_read(&image, (uint32_t)n + 1, page));
    assert_false(image_read(&image, 0, page));
    image_close(&image);
}

static void a_head_that_tells_of_far_too_many_pages_is_not_believed(void **state)
{
    static const uint8_t many[] = {0xff, 0xff, 0xff, 0x00};
    struct place *place = *state;
    struct image image;
    int64_t n;

    made_file(place, 512, true, sql);
    n = ask_number(place, "PRAGMA page_count");
    made_damage(place, 28, many, sizeof(many));
    made_open(place, &image);
    assert_int_equal(image.n_pages, n);
    image_close(&image);
}

static void what_is_no_file_is_refused(void **state)
{
    struct place *place = *state;
    struct image image;
    struct err err = {0};

    assert_int_equal(image_open(place->folder, &image, &err), -EISDIR);
    assert_int_equal(image_open(place->path, &image, &err), -ENOENT);
    assert_non_null(strstr(err.text, place->path));
    assert_int_equal(mkfifo(place->path, 0600),
                     0); /* nobody writes to it: that is not waited for */
    assert_int_equal(image_open(place->path, &image, &err), -EMEDIUMTYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_latest_pages_are_those_of_the_log, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_log_counts_up_to_the_transaction_before_its_damage,
                                        place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_log_of_another_time_is_none, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_was_cut_has_the_pages_that_it_had, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_head_that_tells_of_far_too_many_pages_is_not_believed,
                                        place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, place_setup, place_teardown),
    };

    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
