/* SPDX-License-Identifier: MIT */
/* The size of the buffer of events while they wait. */
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connhist/kernel/sock_events.h"
#include "unit.h"

#define BIG_BUFFER   (32UL << 20)
#define SMALL_BUFFER (64UL << 10)

static void count(void *arg, const struct closing *closing)
{
    (void)closing;
    ++*(size_t *)arg;
}

/* The kernel frees sockets by and by. */
static void await_bytes(int fd, uint32_t bytes)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t n = sizeof(memory);

    for (int i = 0; i < 20000 && memory[SK_MEMINFO_RMEM_ALLOC] < bytes; i++) {
        usleep(1000);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &n), 0);
    }
    assert_in_range(memory[SK_MEMINFO_RMEM_ALLOC], bytes, UINT32_MAX);
}

static void a_buffer_can_be_made_smaller_and_keeps_what_waits(void **state)
{
    struct clock clock = clock_system();
    struct sock_events_reader *reader;
    struct sock_events_drained drained;
    struct sock_events *events;
    size_t n = 0;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(sock_events_open(&clock, BIG_BUFFER, &events, NULL), 0);
    assert_int_equal(sock_events_reader_new(&reader), 0);
    for (int i = 0; i < 300; i++)
        close(socket(AF_INET, SOCK_DGRAM, 0));
    await_bytes(sock_events_fd(events), 300 * SOCK_EVENTS_BYTES_EACH);
    assert_int_equal(sock_events_resize(events, SMALL_BUFFER), 0);
    assert_int_equal(sock_events_buffer_bytes(events), SMALL_BUFFER);
    assert_int_equal(sock_events_drain(events, reader, count, &n, SIZE_MAX, &drained, NULL), 0);
    assert_in_range(n, 300, SIZE_MAX);
    assert_int_equal(sock_events_resize(events, BIG_BUFFER), 0);
    assert_int_equal(sock_events_buffer_bytes(events), BIG_BUFFER);
    sock_events_reader_free(reader);
    sock_events_close(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_can_be_made_smaller_and_keeps_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
