/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/host.h"

static void the_boot_id_is_a_uuid_and_stays(void **state)
{
    char first[BOOT_ID_MAX], second[BOOT_ID_MAX];

    (void)state;
    assert_int_equal(host_boot_id(first, NULL), 0);
    assert_int_equal(host_boot_id(second, NULL), 0);
    assert_int_equal(strlen(first), 36);
    assert_int_equal(strspn(first, "0123456789abcdef-"), 36);
    assert_string_equal(first, second);
}

static void the_namespace_is_the_one_its_link_names(void **state)
{
    char link[64], expected[64];
    uint64_t inode;
    ssize_t n = readlink("/proc/self/ns/net", link, sizeof(link) - 1);

    (void)state;
    assert_true(n > 0);
    link[n] = '\0';
    assert_int_equal(host_netns_inode(&inode, NULL), 0);
    snprintf(expected, sizeof(expected), "net:[%llu]", (unsigned long long)inode);
    assert_string_equal(link, expected);
}

static void the_ephemeral_range_is_that_of_the_sysctl(void **state)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    struct port_range range;
    unsigned low, high;

    (void)state;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u %u", &low, &high), 2);
    assert_int_equal(host_ephemeral_range(&range, NULL), 0);
    assert_int_equal(range.low, low);
    assert_int_equal(range.high, high);
}

static void own_cost_is_that_of_a_living_process(void **state)
{
    int64_t cpu_ms = -1, rss_bytes = -1;

    (void)state;
    host_own_cost(&cpu_ms, &rss_bytes);
    assert_true(cpu_ms >= 0);
    assert_true(rss_bytes >= 100 * 1024);
    assert_true(rss_bytes < INT64_C(1) << 40);
}

static void descriptors_are_there_up_to_the_limit(void **state)
{
    struct rlimit before, few;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = (rlim_t)fd + 11, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_true(host_has_descriptors(fd, 1));
    assert_true(host_has_descriptors(fd, 10));
    assert_false(host_has_descriptors(fd, 11));
    host_raise_descriptors();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(few.rlim_cur, before.rlim_max);
    assert_true(host_has_descriptors(fd, 11));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_boot_id_is_a_uuid_and_stays),
        cmocka_unit_test(the_namespace_is_the_one_its_link_names),
        cmocka_unit_test(the_ephemeral_range_is_that_of_the_sysctl),
        cmocka_unit_test(descriptors_are_there_up_to_the_limit),
        cmocka_unit_test(own_cost_is_that_of_a_living_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
