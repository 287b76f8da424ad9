/* SPDX-License-Identifier: MIT */
/* Whether a process is still what it was, asked of real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connhist/base/clock.h"
#include "connhist/kernel/process.h"
#include "owners_live.h"

#define ATTEMPTS 6000 /* of 10 ms: the machine may be busy */

static int proc_fd;

static struct process_facts read_facts(pid_t pid)
{
    struct process_facts facts;

    assert_int_equal(process_read(proc_fd, (uint32_t)pid, &facts), 0);
    return facts;
}

static int check(const struct process_facts *facts)
{
    const struct owner owner = {
        .pid = facts->pid, .start_ms = facts->start_ms, .comm = facts->comm};
    const struct clock clock = clock_system();
    struct owners_live *owners = NULL;
    struct err err = {0};
    int r;

    assert_int_equal(owners_live_new(&clock, &owners, &err), 0);
    r = owners_live_check(owners, &owner);
    owners_live_free(owners);
    return r;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void one_that_nobody_reaps_has_ended(void **state)
{
    pid_t pid = fork();
    struct process_facts facts;
    siginfo_t info;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    facts = read_facts(pid);
    assert_int_equal(check(&facts), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(kill(pid, 0), 0); /* its number is still taken */
    assert_int_equal(check(&facts), -ESRCH);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(check(&facts), -ESRCH);
}

static void *stay(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void one_whose_main_thread_alone_has_ended_goes_on(void **state)
{
    pid_t pid = fork();
    struct process_facts facts;
    struct process_stat stat = {0};
    int fd;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, stay, NULL) == 0)
            syscall(SYS_exit, 0); /* of this thread alone */
        _exit(1);
    }
    facts = read_facts(pid);
    fd = process_open(proc_fd, (uint32_t)pid);
    for (int i = 0; i < ATTEMPTS && stat.state != 'Z'; i++) {
        assert_int_equal(process_read_stat(fd, &stat), 0);
        usleep(10000);
    }
    close(fd);
    assert_int_equal(stat.state, 'Z');
    assert_true(stat.threads > 1); /* a sanitizer may have some of its own */
    assert_int_equal(check(&facts), 0);
    end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_nobody_reaps_has_ended),
        cmocka_unit_test(one_whose_main_thread_alone_has_ended_goes_on),
    };
    int r;

    proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = proc_fd < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    close(proc_fd);
    return r;
}
