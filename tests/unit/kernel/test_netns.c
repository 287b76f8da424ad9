/* SPDX-License-Identifier: MIT */
/* Against real namespaces, shown by folders and a /proc of the test's own. */
#include "connhist/kernel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connhist/kernel/host.h"
#include "unit.h"

struct stage {
    char top[64], proc[96], ip[96], docker[96];
    struct netns_places places;
    struct netns_list list;
    int home_fd; /* -1: this process may not make namespaces */
};

static void make_path(char *ret, size_t size, const char *folder, const char *name)
{
    assert_true((size_t)snprintf(ret, size, "%s/%s", folder, name) < size);
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    assert_non_null(stage);
    snprintf(stage->top, sizeof(stage->top), "/tmp/connhist-netns-XXXXXX");
    assert_non_null(mkdtemp(stage->top));
    make_path(stage->proc, sizeof(stage->proc), stage->top, "proc");
    make_path(stage->ip, sizeof(stage->ip), stage->top, "ip");
    make_path(stage->docker, sizeof(stage->docker), stage->top, "docker");
    assert_int_equal(mkdir(stage->proc, 0700), 0);
    stage->places =
        (struct netns_places){.proc = stage->proc, .ip = stage->ip, .docker = stage->docker};
    stage->home_fd = netns_open_home(NULL);
    assert_true(stage->home_fd >= 0);
    *state = stage;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    return remove(path);
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    nftw(stage->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    vec_finish(&stage->list);
    close(stage->home_fd);
    free(stage);
    return 0;
}

static bool may_make(const struct stage *stage)
{
    return netns_try(stage->home_fd) == 0;
}

/* Binds a new namespace to a file. Returns its inode number, read as stat(1) would. */
static uint64_t make_namespace(const struct stage *stage, const char *folder, const char *name)
{
    char path[512];
    struct stat st;
    int fd;

    if (mkdir(folder, 0700) < 0)
        assert_int_equal(errno, EEXIST);
    make_path(path, sizeof(path), folder, name);
    fd = open(path, O_CREAT | O_RDONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    assert_int_equal(mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL), 0);
    assert_int_equal(netns_return(stage->home_fd, NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

/* A process of the made-up /proc; `target` is where its ns/net leads. */
static void make_process(const struct stage *stage, const char *pid, const char *target)
{
    char path[512], link_path[600];

    make_path(path, sizeof(path), stage->proc, pid);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/ns");
    assert_int_equal(mkdir(path, 0700), 0);
    make_path(link_path, sizeof(link_path), path, "net");
    assert_int_equal(symlink(target, link_path), 0);
}

static void find(struct stage *stage)
{
    struct err err = {0};

    if (netns_find(&stage->places, &stage->list, &err) < 0)
        fail_msg("%s", err.text);
}

static uint64_t own_inode(void)
{
    uint64_t inode;

    assert_int_equal(host_netns_inode(&inode, NULL), 0);
    return inode;
}

static void the_namespaces_of_processes_are_found_once_each(void **state)
{
    struct stage *stage = *state;
    const struct netns_found *own;

    make_process(stage, "17", "/proc/self/ns/net");
    make_process(stage, "18", "/proc/self/ns/net");
    make_process(stage, "self", "/proc/self/ns/net");
    make_process(stage, "19", "/nowhere");
    make_process(stage, "20", "/proc/version");
    find(stage);
    assert_int_equal(stage->list.n, 1);
    own = netns_in_list(&stage->list, own_inode());
    assert_non_null(own);
    assert_int_equal(own->sign, NETNS_BY_PROCESS);
    assert_true(own->pid == 17 || own->pid == 18);
    assert_null(netns_in_list(&stage->list, own_inode() + 1));
    assert_int_equal(stage->list.n_hidden, 0);
}

static void a_bind_mount_names_a_namespace_and_ips_goes_before_dockers(void **state)
{
    struct stage *stage = *state;
    char path[512], other[512];
    const struct netns_found *found;
    uint64_t web, db;

    if (!may_make(stage))
        skip();
    web = make_namespace(stage, stage->ip, "web");
    db = make_namespace(stage, stage->docker, "0f12\n\x1b[31m");
    make_path(path, sizeof(path), stage->ip, "web");
    make_path(other, sizeof(other), stage->docker, "second");
    close(open(other, O_CREAT | O_RDONLY, 0600));
    assert_int_equal(mount(path, other, NULL, MS_BIND, NULL), 0);
    make_process(stage, "5", path);
    find(stage);
    assert_int_equal(stage->list.n, 2);
    found = netns_in_list(&stage->list, web);
    assert_non_null(found);
    assert_int_equal(found->sign, NETNS_BY_IP);
    assert_string_equal(found->file, "web");
    assert_int_equal(found->pid, 0);
    found = netns_in_list(&stage->list, db);
    assert_non_null(found);
    assert_int_equal(found->sign, NETNS_BY_DOCKER);
    assert_string_equal(found->file, "0f12\n\x1b[31m");
}

static void what_is_no_namespace_is_passed_over(void **state)
{
    struct stage *stage = *state;
    char path[512];

    find(stage); /* no folder is there yet */
    assert_int_equal(stage->list.n, 0);
    assert_int_equal(mkdir(stage->ip, 0700), 0);
    make_path(path, sizeof(path), stage->ip, "left-behind");
    close(open(path, O_CREAT | O_RDONLY, 0600));
    make_path(path, sizeof(path), stage->ip, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    find(stage);
    assert_int_equal(stage->list.n, 0);
}

static void a_proc_that_can_not_be_read_is_no_empty_one(void **state)
{
    struct stage *stage = *state;
    struct err err = {0};

    stage->places.proc = "/nowhere";
    assert_int_equal(netns_find(&stage->places, &stage->list, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere"));
}

/* 0 where a folder that is closed to nobody is told as closed, and the rest is found. */
static int find_as_nobody(struct stage *stage)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        bool told = setgid(65534) == 0 && setuid(65534) == 0 &&
                    netns_find(&stage->places, &stage->list, NULL) == 0 &&
                    stage->list.closed == stage->places.ip && stage->list.n == 1;

        _exit(told ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_folder_that_is_closed_to_us_is_told(void **state)
{
    struct stage *stage = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(stage->top, 0755), 0);
    assert_int_equal(chmod(stage->proc, 0755), 0);
    assert_int_equal(mkdir(stage->ip, 0700), 0);
    stage->places.proc = "/proc";
    find(stage);
    assert_null(stage->list.closed);
    stage->places.proc = stage->proc;
    make_process(stage, "9", "/proc/self/ns/net");
    make_path(stage->docker, sizeof(stage->docker), stage->proc, "9");
    assert_int_equal(chmod(stage->docker, 0755), 0);
    strcat(stage->docker, "/ns");
    assert_int_equal(chmod(stage->docker, 0755), 0);
    stage->places.docker = "/nowhere";
    assert_int_equal(find_as_nobody(stage), 0);
}

static void one_goes_in_and_comes_back(void **state)
{
    struct stage *stage = *state;
    uint64_t home = own_inode(), home_cookie = netns_cookie(), web, cookie;
    const struct netns_found *found;

    if (!may_make(stage))
        skip();
    web = make_namespace(stage, stage->ip, "web");
    find(stage);
    found = netns_in_list(&stage->list, web);
    assert_non_null(found);
    assert_int_equal(netns_enter(&stage->places, found, NULL), 0);
    assert_int_equal(own_inode(), web);
    cookie = netns_cookie();
    assert_int_equal(netns_return(stage->home_fd, NULL), 0);
    assert_int_equal(own_inode(), home);
    assert_int_equal(netns_cookie(), home_cookie);
    if (home_cookie)
        assert_true(cookie && cookie != home_cookie);
}

static void a_namespace_that_is_gone_is_not_entered(void **state)
{
    struct stage *stage = *state;
    const struct netns_found *found;
    struct err err = {0};
    char path[512];
    uint64_t web, home = own_inode();

    if (!may_make(stage))
        skip();
    web = make_namespace(stage, stage->ip, "web");
    find(stage);
    found = netns_in_list(&stage->list, web);
    assert_non_null(found);
    assert_true(netns_shows(&stage->places, found));
    make_path(path, sizeof(path), stage->ip, "web");
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    assert_false(netns_shows(&stage->places, found));
    assert_int_equal(netns_enter(&stage->places, found, &err), -ENOENT); /* a plain file now */
    assert_int_equal(unlink(path), 0);
    assert_false(netns_shows(&stage->places, found));
    assert_int_equal(netns_enter(&stage->places, found, &err), -ENOENT);
    assert_int_equal(own_inode(), home);
}

static void another_namespace_under_the_name_is_not_taken_for_it(void **state)
{
    struct stage *stage = *state;
    struct netns_found found;
    char path[512];
    uint64_t web;

    if (!may_make(stage))
        skip();
    web = make_namespace(stage, stage->ip, "web");
    make_namespace(stage, stage->docker, "holds-the-number-taken");
    find(stage);
    found = *netns_in_list(&stage->list, web);
    make_path(path, sizeof(path), stage->ip, "web");
    assert_int_equal(mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL), 0);
    assert_false(netns_shows(&stage->places, &found));
    assert_int_equal(netns_enter(&stage->places, &found, NULL), -ENOENT);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    assert_true(netns_shows(&stage->places, &found));
}

/* The exit status of a child as nobody: 0 where the namespace stays closed to it. */
static int try_as_nobody(const struct stage *stage, const struct netns_found *found)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        bool refused = setgid(65534) == 0 && setuid(65534) == 0 &&
                       netns_try(stage->home_fd) == -EPERM &&
                       netns_enter(&stage->places, found, NULL) < 0;

        _exit(refused ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void without_the_privilege_nobody_gets_in(void **state)
{
    struct stage *stage = *state;
    uint64_t web;

    if (!may_make(stage))
        skip();
    web = make_namespace(stage, stage->ip, "web");
    assert_int_equal(chmod(stage->top, 0755), 0);
    assert_int_equal(chmod(stage->ip, 0755), 0);
    find(stage);
    assert_int_equal(try_as_nobody(stage, netns_in_list(&stage->list, web)), 0);
}

#define staged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        staged(the_namespaces_of_processes_are_found_once_each),
        staged(a_bind_mount_names_a_namespace_and_ips_goes_before_dockers),
        staged(what_is_no_namespace_is_passed_over),
        staged(a_proc_that_can_not_be_read_is_no_empty_one),
        staged(a_folder_that_is_closed_to_us_is_told),
        staged(one_goes_in_and_comes_back),
        staged(a_namespace_that_is_gone_is_not_entered),
        staged(another_namespace_under_the_name_is_not_taken_for_it),
        staged(without_the_privilege_nobody_gets_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
