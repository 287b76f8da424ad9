/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/kernel/process.h"
#include "connhist/model/life.h"
#include "fake_proc.h"

#define AFTER_NAME ") R 42 1 1 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 3 0 "

/* In ticks, from which the kernel's number is made. */
static int64_t ms_of_ticks(int64_t ticks)
{
    return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

static void fields_are_counted_from_the_last_parenthesis(void **state)
{
    static const struct {
        const char *name, *expected;
    } rows[] = {
        {"nginx", "nginx"},
        {"", ""},
        {") S 1 (", ") S 1 ("},
        {") Z 7 7 7 7", ") Z 7 7 7 7"},
        {"a\nb\xff", "a\nb\xff"},
        {"((", "(("},
        {"kworker/u4:2-events_unbound", "kworker/u4:2-ev"},
    };
    char text[256];
    struct process_stat stat;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text), "12 (%s" AFTER_NAME "777 0\n", rows[i].name);
        assert_int_equal(process_parse_stat(text, &stat), 0);
        assert_string_equal(stat.comm, rows[i].expected);
        assert_int_equal(stat.ppid, 42);
        assert_int_equal(stat.state, 'R');
        assert_int_equal(stat.flags, 4194560);
        assert_int_equal(stat.threads, 3);
        assert_int_equal(stat.start_ms, ms_of_ticks(777));
    }
}

static void what_is_no_stat_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "12",
        "12 (a",
        "12 a)",
        "12 )a(",
        "12 (a)",
        "12 (a) ",
        "12 (a) R",
        "12 (a" AFTER_NAME,
        "12 (a" AFTER_NAME "-1 0\n",
        "12 (a" AFTER_NAME "99999999999999999999 0\n",
        "12 (a) R x 1 1 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 3 0 777 0",
    };
    struct process_stat stat = {.ppid = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(process_parse_stat(texts[i], &stat), -EPROTO);
    assert_int_equal(stat.ppid, 77);
}

/* Made-up ones. */

static int make_fake(void **state)
{
    struct fake_proc *fake = malloc(sizeof(*fake));

    assert_non_null(fake);
    fake_make(fake);
    *state = fake;
    return 0;
}

static int end_fake(void **state)
{
    fake_remove(*state);
    free(*state);
    return 0;
}

static void the_cgroup_is_that_of_v2_or_systemd_s_of_v1(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"0::/system.slice/a.service\n", "/system.slice/a.service"},
        {"0::/\n", "/"},
        {"1:name=systemd:/a.service\n0::/b.service\n", "/b.service"},
        {"2:cpu,cpuacct:/x\n1:name=systemd:/a.service\n0::/\n", "/a.service"},
        {"2:cpu,cpuacct:/x\n1:name=systemd:/a.service\n", "/a.service"},
        {"2:cpu,cpuacct:/x\n", ""},
        {"", ""},
        {"0::/with:colons:0::/x\n", "/with:colons:0::/x"},
        {"0::/a b\x01\xff\x1b[2J\n", "/a b\x01\xff\x1b[2J"},
        {"10::/x\n", ""},
        {"nonsense\n0:\n", ""},
        {"1:name=systemd:/\n0::/\n", "/"},
    };
    struct fake_proc *fake = *state;
    struct process_facts facts;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fake_process(fake, &(struct fake_process){.pid = 7, .cgroup = rows[i].text});
        assert_int_equal(process_read(fake->fd, 7, &facts), 0);
        assert_string_equal(facts.cgroup, rows[i].expected);
    }
}

static void long_paths_of_cgroups_are_kept_whole(void **state)
{
    char text[PATH_MAX + 32] = "0::/";
    struct process_facts facts;
    struct fake_proc *fake = *state;

    memset(text + 4, 'a', 4090);
    strcpy(text + 4094, "\n");
    fake_process(fake, &(struct fake_process){.pid = 7, .cgroup = text});
    assert_int_equal(process_read(fake->fd, 7, &facts), 0);
    assert_int_equal(strlen(facts.cgroup), 4091);
    memset(text + 4, 'a', 4096);
    strcpy(text + 4100, "\n");
    fake_process(fake, &(struct fake_process){.pid = 7, .cgroup = text});
    assert_int_equal(process_read(fake->fd, 7, &facts), 0);
    assert_string_equal(facts.cgroup, "");
}

static void the_uid_is_the_effective_one(void **state)
{
    struct fake_proc *fake = *state;
    struct process_facts facts;

    fake_process(fake, &(struct fake_process){.pid = 7, .uid = 4294967294, .ppid = 3});
    assert_int_equal(process_read(fake->fd, 7, &facts), 0);
    assert_int_equal(facts.uid, 4294967294);
    assert_int_equal(facts.ppid, 3);
    assert_int_equal(facts.pid, 7);
    assert_string_equal(facts.exe, "");
    assert_int_equal(unlinkat(fake->fd, "7/status", 0), 0);
    assert_int_equal(process_read(fake->fd, 7, &facts), 0);
    assert_int_equal(facts.uid, UID_UNKNOWN);
}

static void a_process_that_is_not_there_is_not_there(void **state)
{
    struct fake_proc *fake = *state;
    struct process_facts facts;

    assert_int_equal(process_read(fake->fd, 7, &facts), -ENOENT);
    fake_process(fake, &(struct fake_process){.pid = 7});
    assert_int_equal(unlinkat(fake->fd, "7/stat", 0), 0);
    assert_int_equal(process_read(fake->fd, 7, &facts), -ENOENT);
}

/* Real ones. */

static int open_proc(void)
{
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static int64_t boottime_ms(void)
{
    struct clock clock = clock_system();

    return clock_boottime_ns(&clock) / NS_PER_MS;
}

static void stay(int wire, void *arg)
{
    (void)arg;
    wire_tell(wire);
}

static void a_child_s_facts_are_right(void **state)
{
    _cleanup_close_ int proc_fd = open_proc();
    struct process_facts facts;
    int64_t before_ms = boottime_ms(), after_ms;
    struct child child = child_start(stay, NULL);
    char line[PATH_MAX + 16] = "";
    FILE *file;

    (void)state;
    wire_await(child.wire);
    after_ms = boottime_ms();
    assert_int_equal(process_read(proc_fd, (uint32_t)child.pid, &facts), 0);
    assert_int_equal(facts.pid, child.pid);
    assert_int_equal(facts.ppid, getpid());
    assert_int_equal(facts.uid, geteuid());
    assert_true(facts.start_ms >= before_ms - ms_of_ticks(1));
    assert_true(facts.start_ms <= after_ms);
    file = fopen("/proc/self/cgroup", "re"); /* where ours is, its is */
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) && !strstr(line, facts.cgroup))
        ;
    assert_non_null(strstr(line, facts.cgroup));
    fclose(file);
    child_end(&child);
}

static void through_its_descriptor_nobody_else_answers(void **state)
{
    _cleanup_close_ int proc_fd = open_proc();
    struct child child = child_start(stay, NULL);
    _cleanup_close_ int fd = process_open(proc_fd, (uint32_t)child.pid);
    struct process_stat stat;

    (void)state;
    wire_await(child.wire);
    assert_int_equal(process_read_stat(fd, &stat), 0);
    child_end(&child);
    assert_true(process_read_stat(fd, &stat) == -ESRCH || process_read_stat(fd, &stat) == -ENOENT);
}

/* A copy of sleep(1) in a folder of its own; the folder is the current one. */
static void enter_folder_of_programs(char folder[static 64])
{
    strcpy(folder, "/tmp/connhist-programs-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
}

static void copy_program(const char *name)
{
    char command[600];

    snprintf(command, sizeof(command), "cp /bin/sleep './%s'", name);
    assert_int_equal(system(command), 0);
}

static void run(int wire, void *arg)
{
    execl((const char *)arg, "sleep", "3600", NULL);
    (void)wire;
    _exit(EXIT_FAILURE);
}

static struct child run_program(const char *name)
{
    struct child child = child_start(run, (void *)(uintptr_t)name);
    char byte;

    assert_int_equal(recv(child.wire, &byte, 1, 0), 0); /* closed by exec */
    return child;
}

static void check_exe(pid_t pid, const char *expected)
{
    _cleanup_close_ int proc_fd = open_proc();
    struct process_facts facts;

    assert_int_equal(process_read(proc_fd, (uint32_t)pid, &facts), 0);
    assert_string_equal(facts.exe, expected);
}

static void leave_folder(const char *folder)
{
    char command[128];

    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void a_replaced_program_keeps_its_name(void **state)
{
    char folder[64], path[128];
    struct child child;

    (void)state;
    enter_folder_of_programs(folder);
    copy_program("old");
    child = run_program("./old");
    snprintf(path, sizeof(path), "%s/old", folder);
    check_exe(child.pid, path);
    assert_int_equal(unlink("old"), 0);
    check_exe(child.pid, path);
    child_end(&child);
    leave_folder(folder);
}

static void a_program_may_be_called_deleted(void **state)
{
    char folder[64], path[128];
    struct child child;

    (void)state;
    enter_folder_of_programs(folder);
    copy_program("x (deleted)");
    child = run_program("./x (deleted)");
    snprintf(path, sizeof(path), "%s/x (deleted)", folder);
    check_exe(child.pid, path);
    assert_int_equal(unlink("x (deleted)"), 0);
    check_exe(child.pid, path);
    child_end(&child);
    leave_folder(folder);
}

static void a_program_s_path_may_hold_anything(void **state)
{
    static const char name[] = "a\nb \x1b[31m\xff";
    char folder[64], path[128], relative[64];
    struct child child;

    (void)state;
    enter_folder_of_programs(folder);
    copy_program(name);
    snprintf(relative, sizeof(relative), "./%s", name);
    child = run_program(relative);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    check_exe(child.pid, path);
    child_end(&child);
    leave_folder(folder);
}

/* The kernel tells 4,095 bytes at most. */
static void a_program_s_path_may_be_longer_than_the_kernel_tells(void **state)
{
    char folder[64], part[201];
    struct child child;

    (void)state;
    enter_folder_of_programs(folder);
    memset(part, 'p', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    for (int i = 0; i < 21; i++) {
        assert_int_equal(mkdir(part, 0755), 0);
        assert_int_equal(chdir(part), 0);
    }
    copy_program("deep");
    child = run_program("./deep");
    check_exe(child.pid, "");
    child_end(&child);
    leave_folder(folder);
}

#define FAKE(name) cmocka_unit_test_setup_teardown(name, make_fake, end_fake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_counted_from_the_last_parenthesis),
        cmocka_unit_test(what_is_no_stat_is_refused),
        FAKE(the_cgroup_is_that_of_v2_or_systemd_s_of_v1),
        FAKE(long_paths_of_cgroups_are_kept_whole),
        FAKE(the_uid_is_the_effective_one),
        FAKE(a_process_that_is_not_there_is_not_there),
        cmocka_unit_test(a_child_s_facts_are_right),
        cmocka_unit_test(through_its_descriptor_nobody_else_answers),
        cmocka_unit_test(a_replaced_program_keeps_its_name),
        cmocka_unit_test(a_program_may_be_called_deleted),
        cmocka_unit_test(a_program_s_path_may_hold_anything),
        cmocka_unit_test(a_program_s_path_may_be_longer_than_the_kernel_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
