/* SPDX-License-Identifier: MIT */
/* The finder among real processes. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "connhist/kernel/owners.h"
#include "connhist/model/life.h"

#define LOOKS_MAX 1000

static int make_finder(void **state)
{
    struct clock clock = clock_system();
    struct owner_finder *finder = NULL;
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(owner_finder_new(fd, &clock, &finder), 0);
    close(fd);
    *state = finder;
    return 0;
}

static int end_finder(void **state)
{
    owner_finder_free(*state);
    return 0;
}

/* Looks until it is answered. Others' processes come and go meanwhile. */
static void look_out(struct owner_finder *finder, struct owner_want *want)
{
    struct owner_budget budget = {.descriptors = 20000, .ms = 3600 * 1000};
    struct owner_looked looked;
    int i = 0;

    do {
        assert_int_equal(owner_finder_look(finder, want, 1, &budget, &looked), 0);
    } while (want->answer == OWNER_LATER && ++i < LOOKS_MAX);
    assert_int_not_equal(want->answer, OWNER_LATER);
}

static struct owner_want ask(struct owner_finder *finder, uint32_t inode, pid_t hint)
{
    struct owner_want want = {.inode = inode, .uid = UID_UNKNOWN, .hint = (uint32_t)hint};

    look_out(finder, &want);
    return want;
}

static void one_s_own_socket_is_one_s_own(void **state)
{
    int fd = new_socket();
    struct owner_want want = ask(*state, inode_of_fd(fd), 0);
    char exe[4096], comm[32] = "";
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    assert_true(n > 0);
    exe[n] = '\0';
    prctl(PR_GET_NAME, comm);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, getpid());
    assert_int_equal(want.owner->uid, geteuid());
    assert_string_equal(want.owner->exe, exe);
    assert_string_equal(want.owner->comm, comm);
    close(fd);
    want = ask(*state, want.inode, 0);
    assert_int_not_equal(want.answer, OWNER_FOUND);
}

static void take_one(int wire, void *arg)
{
    (void)arg;
    wire_take(wire);
    wire_tell(wire);
}

static void who_was_passed_a_socket_owns_it(void **state)
{
    struct child child = child_start(take_one, NULL);
    int fd = new_socket();
    uint32_t inode = inode_of_fd(fd);
    struct owner_want want;

    wire_give(child.wire, fd);
    wire_await(child.wire);
    want = ask(*state, inode, 0);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, getpid()); /* as long as we hold it, too */
    close(fd);
    want = ask(*state, inode, getpid());
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, child.pid);
    child_end(&child);
    want = ask(*state, inode, 0);
    assert_int_not_equal(want.answer, OWNER_FOUND);
}

static void do_nothing(int wire, void *arg)
{
    (void)arg;
    wire_tell(wire);
}

static void who_forks_stays_the_owner_until_it_closes(void **state)
{
    int fd = new_socket();
    uint32_t inode = inode_of_fd(fd);
    struct child child = child_start(do_nothing, NULL);
    struct owner_want want;

    wire_await(child.wire);
    want = ask(*state, inode, child.pid);
    assert_int_equal(want.owner->pid, getpid());
    want = ask(*state, inode, 0);
    assert_int_equal(want.owner->pid, getpid());
    want = (struct owner_want){
        .inode = inode, .uid = UID_UNKNOWN, .hint = (uint32_t)child.pid, .all_holders = true};
    look_out(*state, &want);
    assert_int_equal(want.owner->pid, getpid());
    assert_int_equal(want.n_others, 1);
    assert_int_equal(want.others[0].pid, child.pid);
    close(fd);
    want = ask(*state, inode, 0);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, child.pid);
    child_end(&child);
}

/* Makes a socket that a child of its own has, too; that one stays when this ends. */
static void leave_to_grandchild(int wire, void *arg)
{
    int fd = new_socket();
    uint32_t told[2];

    (void)arg;
    told[0] = inode_of_fd(fd);
    told[1] = (uint32_t)fork();
    if (told[1] == 0)
        wire_stay(wire);
    if (send(wire, told, sizeof(told), 0) == sizeof(told))
        wire_stay(wire);
}

static void a_socket_outlives_who_made_it(void **state)
{
    struct child child;
    uint32_t told[2];
    struct owner_want want;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    child = child_start(leave_to_grandchild, NULL);
    assert_int_equal(recv(child.wire, told, sizeof(told), MSG_WAITALL), sizeof(told));
    want = ask(*state, told[0], 0);
    assert_int_equal(want.owner->pid, child.pid);
    kill(child.pid, SIGKILL);
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
    want = ask(*state, told[0], child.pid);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, told[1]);
    kill((pid_t)told[1], SIGKILL);
    assert_int_equal(waitpid((pid_t)told[1], NULL, 0), told[1]);
    close(child.wire);
}

static void rename_itself(int wire, void *arg)
{
    prctl(PR_SET_NAME, arg);
    wire_tell(wire);
}

static void a_name_may_hold_anything(void **state)
{
    static const char *const names[] = {
        ") S 1 (", "\nUid:\t0\t0", "\xff\xfe\x1b[31m", ")", "((((((((((", " ", "0::/a.service\n",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int fd = new_socket();
        uint32_t inode = inode_of_fd(fd);
        struct child child = child_start(rename_itself, (void *)(uintptr_t)names[i]);
        struct owner_want want;

        close(fd);
        wire_await(child.wire);
        want = ask(*state, inode, 0);
        assert_int_equal(want.answer, OWNER_FOUND);
        assert_int_equal(want.owner->pid, child.pid);
        assert_int_equal(want.owner->uid, geteuid());
        assert_string_equal(want.owner->comm, names[i]);
        child_end(&child);
    }
}

static void run_sleep(int wire, void *arg)
{
    (void)arg;
    wire_tell(wire);
    wire_await(wire);
    execl("/bin/sleep", "sleep", "3600", NULL);
}

static void await_name(pid_t pid, const char *name)
{
    char path[32], text[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    for (int i = 0; i < 30000 && strcmp(text, name) != 0; i++) {
        usleep(1000);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof(text), file));
        fclose(file);
    }
}

static void who_runs_another_program_is_called_by_that(void **state)
{
    int fd = new_socket(); /* stays open over exec */
    uint32_t inode = inode_of_fd(fd);
    struct child child = child_start(run_sleep, NULL);
    struct owner_want want;
    int64_t start_ms;
    char byte;

    close(fd);
    wire_await(child.wire);
    want = ask(*state, inode, 0);
    assert_int_equal(want.owner->pid, child.pid);
    assert_string_not_equal(want.owner->comm, "sleep");
    start_ms = want.owner->start_ms;
    wire_tell(child.wire);
    assert_int_equal(recv(child.wire, &byte, 1, 0),
                     0); /* closed by exec, a moment before it renames */
    await_name(child.pid, "sleep\n");
    want = ask(*state, inode, child.pid);
    assert_int_equal(want.owner->pid, child.pid);
    assert_string_equal(want.owner->comm, "sleep");
    assert_non_null(strstr(want.owner->exe, "/sleep"));
    assert_true(want.owner->start_ms == start_ms);
    child_end(&child);
}

static void become_nobody(int wire, void *arg)
{
    (void)arg;
    if (setuid(65534) == 0)
        wire_tell(wire);
}

static void who_gives_up_root_is_told_as_what_it_is(void **state)
{
    int fd;
    uint32_t inode;
    struct child child;
    struct owner_want want;

    if (geteuid() != 0)
        skip();
    fd = new_socket();
    inode = inode_of_fd(fd);
    child = child_start(become_nobody, NULL);
    close(fd);
    wire_await(child.wire);
    want = ask(*state, inode, 0);
    assert_int_equal(want.owner->pid, child.pid);
    assert_int_equal(want.owner->uid, 65534);
    child_end(&child);
}

static void *stay(void *arg)
{
    int wire = (int)(intptr_t)arg; /* the main thread's own variables go with it */

    wire_tell(wire);
    wire_stay(wire);
}

static void end_main_thread(int wire, void *arg)
{
    pthread_t thread;

    (void)arg;
    if (pthread_create(&thread, NULL, stay, (void *)(intptr_t)wire) == 0)
        pthread_exit(NULL);
}

static void a_process_without_its_main_thread_still_owns(void **state)
{
    int fd = new_socket();
    uint32_t inode = inode_of_fd(fd);
    struct child child = child_start(end_main_thread, NULL);
    struct owner_want want;

    close(fd);
    wire_await(child.wire);
    want = ask(*state, inode, 0);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, child.pid);
    child_end(&child);
}

static void as_somebody_else_root_s_sockets_are_denied(void **state)
{
    int fd;
    struct child child;
    struct owner_want want = {.uid = 0};

    if (geteuid() != 0)
        skip();
    fd = new_socket();
    want.inode = inode_of_fd(fd);
    child = child_start(do_nothing, NULL);
    wire_await(child.wire);
    close(fd);
    assert_int_equal(seteuid(65534), 0);
    look_out(*state, &want);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(want.answer, OWNER_DENIED);
    want.uid = 0;
    look_out(*state, &want);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, child.pid);
    child_end(&child);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_finder, end_finder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_s_own_socket_is_one_s_own),
        TEST(who_was_passed_a_socket_owns_it),
        TEST(who_forks_stays_the_owner_until_it_closes),
        TEST(a_socket_outlives_who_made_it),
        TEST(a_name_may_hold_anything),
        TEST(who_runs_another_program_is_called_by_that),
        TEST(who_gives_up_root_is_told_as_what_it_is),
        TEST(a_process_without_its_main_thread_still_owns),
        TEST(as_somebody_else_root_s_sockets_are_denied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
