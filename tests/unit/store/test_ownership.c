/* SPDX-License-Identifier: MIT */
/* Which files a user can keep by the rights of their owner alone. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connhist/store/file.h"

#define OTHER 65534

struct fixture {
    char folder[64], db[96], shm[128], below[128];
};

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0640);

    assert_true(fd >= 0);
    close(fd);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->folder, sizeof(f->folder), "/tmp/connhist-ownership-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->db, sizeof(f->db), "%s/connhist.db", f->folder);
    snprintf(f->shm, sizeof(f->shm), "%s-shm", f->db);
    snprintf(f->below, sizeof(f->below), "%s/new/folder/connhist.db", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->shm);
    unlink(f->db);
    rmdir(f->folder);
    free(f);
    return 0;
}

static void what_one_made_is_ones_own(void **state)
{
    const struct fixture *f = *state;

    assert_true(file_is_own(f->db));
    assert_true(file_is_own(f->below));
    touch(f->db);
    touch(f->shm);
    assert_true(file_is_own(f->db));
}

static void modes_that_deny_the_owner_count(void **state)
{
    const struct fixture *f = *state;

    touch(f->db);
    assert_int_equal(chmod(f->db, 0400), 0);
    assert_false(file_is_own(f->db));
    assert_int_equal(chmod(f->db, 0600), 0);
    assert_int_equal(chmod(f->folder, 0500), 0);
    assert_false(file_is_own(f->db));
    assert_false(file_is_own(f->below));
    assert_int_equal(chmod(f->folder, 0700), 0);
    assert_true(file_is_own(f->db));
}

static void what_others_have_is_not(void **state)
{
    const struct fixture *f = *state;

    if (geteuid() != 0)
        skip();
    touch(f->db);
    touch(f->shm);
    assert_int_equal(chown(f->shm, OTHER, (gid_t)-1), 0);
    assert_false(file_is_own(f->db));
    assert_int_equal(unlink(f->shm), 0);
    assert_true(file_is_own(f->db));
    assert_int_equal(chown(f->db, (uid_t)-1, OTHER), 0);
    assert_false(file_is_own(f->db));
    assert_int_equal(unlink(f->db), 0);
    assert_int_equal(chown(f->folder, OTHER, (gid_t)-1), 0);
    assert_false(file_is_own(f->db));
    assert_false(file_is_own(f->below));
}

static void a_link_is_judged_by_where_it_leads(void **state)
{
    const struct fixture *f = *state;
    char link[128];

    snprintf(link, sizeof(link), "%s/link", f->folder);
    touch(f->db);
    assert_int_equal(symlink(f->db, link), 0);
    assert_true(file_is_own(link));
    assert_int_equal(chmod(f->db, 0400), 0);
    assert_false(file_is_own(link));
    unlink(link);
}

static void a_path_without_folder_is_in_the_one_of_work(void **state)
{
    const struct fixture *f = *state;
    char before[4096];

    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(f->folder), 0);
    assert_true(file_is_own("connhist.db"));
    assert_int_equal(chmod(f->folder, 0500), 0);
    assert_false(file_is_own("connhist.db"));
    assert_int_equal(chmod(f->folder, 0700), 0);
    assert_int_equal(chdir(before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_made_is_ones_own, setup, teardown),
        cmocka_unit_test_setup_teardown(modes_that_deny_the_owner_count, setup, teardown),
        cmocka_unit_test_setup_teardown(what_others_have_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_is_judged_by_where_it_leads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_without_folder_is_in_the_one_of_work, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
