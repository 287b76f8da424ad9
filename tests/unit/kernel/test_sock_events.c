/* SPDX-License-Identifier: MIT */
/* Events of the real kernel, held against what was done to the sockets. */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/kernel/sock_events.h"
#include "real_sockets.h"

#define BIG_BUFFER (32UL << 20)
struct stage {
    struct clock clock;
    struct sock_events *events;        /* owned */
    struct sock_events_reader *reader; /* owned */
    struct closing *items;             /* owned; all that came */
    size_t n, capacity;
    struct sock_events_drained last; /* of the last drain */
    bool lost;                       /* in any drain */
};

static void open_events(struct stage *stage, size_t buffer_bytes)
{
    struct err err = {0};

    if (!stage->reader)
        assert_int_equal(sock_events_reader_new(&stage->reader), 0);
    sock_events_close(stage->events);
    stage->events = NULL;
    if (sock_events_open(&stage->clock, buffer_bytes, &stage->events, &err) < 0)
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    stage->clock = clock_system();
    open_events(stage, BIG_BUFFER);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    sock_events_close(stage->events);
    sock_events_reader_free(stage->reader);
    free(stage->items);
    free(stage);
    return 0;
}

static void keep(void *arg, const struct closing *closing)
{
    struct stage *stage = arg;

    if (stage->n == stage->capacity) {
        stage->capacity = stage->capacity ? 2 * stage->capacity : 256;
        stage->items = realloc(stage->items, stage->capacity * sizeof(*stage->items));
        assert_non_null(stage->items);
    }
    stage->items[stage->n++] = *closing;
}

static void drain(struct stage *stage)
{
    struct err err = {0};

    if (sock_events_drain(stage->events, stage->reader, keep, stage, SIZE_MAX, &stage->last, &err) <
        0)
        fail_msg("%s", err.text);
    assert_int_equal(stage->last.n_bad, 0);
    assert_int_equal(stage->last.n_foreign, 0);
    assert_false(stage->last.more);
    stage->lost = stage->lost || stage->last.lost;
}

/* Waits for a datagram or a loss, and drains; the test runner's time limit is the bound. */
static void await_any(struct stage *stage)
{
    struct pollfd fd = {.fd = sock_events_fd(stage->events), .events = POLLIN};

    assert_int_equal(poll(&fd, 1, -1), 1);
    drain(stage);
}

/* Drains until n have come in all. */
static void await(struct stage *stage, size_t n)
{
    while (stage->n < n)
        await_any(stage);
}

static const struct closing *find(const struct stage *stage, uint64_t cookie)
{
    for (size_t i = 0; i < stage->n; i++)
        if (stage->items[i].cookie == cookie)
            return &stage->items[i];
    return NULL;
}

/* The event of this socket, waited for. */
static struct closing await_cookie(struct stage *stage, uint64_t cookie)
{
    const struct closing *found;

    while (!(found = find(stage, cookie)))
        await_any(stage);
    return *found;
}

static void send_bytes(int from, int to, size_t n)
{
    char bytes[1000] = {0};

    assert_int_equal(write(from, bytes, n), n);
    for (size_t got = 0; got < n;) {
        ssize_t r = read(to, bytes, sizeof(bytes));

        assert_true(r > 0);
        got += (size_t)r;
    }
}

static void read_end(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 0);
}

/* A pair on which the client has sent 1,000 bytes and the server 100. */
struct talk {
    struct pair pair;
    uint64_t client, server; /* cookies */
};

static struct talk talked(enum tongue tongue)
{
    struct talk talk = {.pair = connected_pair(tongue)};

    talk.client = cookie_of(talk.pair.client);
    talk.server = cookie_of(talk.pair.server);
    send_bytes(talk.pair.client, talk.pair.server, 1000);
    send_bytes(talk.pair.server, talk.pair.client, 100);
    return talk;
}

static void close_fd(int *fd)
{
    close(*fd);
    *fd = -1;
}

static void abort_fd(int *fd)
{
    const struct linger linger = {.l_onoff = 1};

    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close_fd(fd);
}

static void expect_orderly(const struct closing *closing, const struct talk *talk, bool client)
{
    const struct pair *pair = &talk->pair;

    assert_int_equal(closing->local_port, client ? pair->client_port : pair->port);
    assert_int_equal(closing->remote_port, client ? pair->port : pair->client_port);
    assert_int_equal(closing->protocol, PROTOCOL_TCP);
    assert_true(closing->has_info && closing->established && closing->fin_acked);
    assert_false(closing->wiped || closing->unconnected);
    assert_int_equal(closing->opener, client ? OPENER_LOCAL : OPENER_REMOTE);
    assert_int_equal(closing->bytes_sent, client ? 1000 : 100);
    assert_false(closing->bytes_received_may_include_fin);
    assert_int_equal(closing->bytes_received, client ? 100 : 1000);
    assert_true(closing->segs_out >= 2 && closing->segs_in >= 2);
}

typedef void (*each_fn)(struct stage *stage, enum tongue tongue, bool client_first);

static void each(struct stage *stage, each_fn fn)
{
    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++) {
        fn(stage, (enum tongue)tongue, true);
        fn(stage, (enum tongue)tongue, false);
    }
}

/* The other end reads the end of file, so that only the sequel tells of its FIN. */
static void check_close(struct stage *stage, enum tongue tongue, bool client_first)
{
    struct talk talk = talked(tongue);
    int *first = client_first ? &talk.pair.client : &talk.pair.server;
    int *second = client_first ? &talk.pair.server : &talk.pair.client;
    struct closing closing;

    close_fd(first);
    read_end(*second);
    close_fd(second);
    closing = await_cookie(stage, client_first ? talk.client : talk.server);
    /* Where the second end was slow its FIN went to a mini-socket. */
    if (closing.bytes_received_may_include_fin)
        closing_settle(&closing, SEQUEL_FIN_WAIT2);
    expect_orderly(&closing, &talk, client_first);
    closing = await_cookie(stage, client_first ? talk.server : talk.client);
    assert_true(closing.bytes_received_may_include_fin);
    closing_settle(&closing, SEQUEL_NONE);
    expect_orderly(&closing, &talk, !client_first);
    assert_int_equal(
        closing.family,
        tongue == TONGUE_IPV4 || (tongue == TONGUE_MAPPED && !client_first) ? AF_INET : AF_INET6);
    assert_int_equal(address_is_mapped(closing.family, &closing.remote),
                     tongue == TONGUE_MAPPED && client_first);
    pair_close(&talk.pair);
}

static void an_orderly_close_by_either_end_is_told_exactly(void **state)
{
    each(*state, check_close);
}

/* Neither end reads the end of file: both know at once. */
static void check_close_unread(struct stage *stage, enum tongue tongue, bool client_first)
{
    struct talk talk = talked(tongue);
    struct closing closing;

    assert_int_equal(shutdown(client_first ? talk.pair.client : talk.pair.server, SHUT_WR), 0);
    close_fd(client_first ? &talk.pair.server : &talk.pair.client);
    closing = await_cookie(stage, client_first ? talk.server : talk.client);
    expect_orderly(&closing, &talk, !client_first);
    close_fd(client_first ? &talk.pair.client : &talk.pair.server);
    closing = await_cookie(stage, client_first ? talk.client : talk.server);
    expect_orderly(&closing, &talk, client_first);
    pair_close(&talk.pair);
}

static void an_end_of_file_nobody_read_is_known_to_be_one(void **state)
{
    each(*state, check_close_unread);
}

/* The event of a mini-socket comes before the peer has closed: its FIN can't be in it. */
static void check_fin_wait2(struct stage *stage, enum tongue tongue, bool client_first)
{
    struct talk talk = talked(tongue);
    struct closing closing;

    close_fd(client_first ? &talk.pair.client : &talk.pair.server);
    closing = await_cookie(stage, client_first ? talk.client : talk.server);
    assert_true(closing.bytes_received_may_include_fin);
    closing_settle(&closing, SEQUEL_FIN_WAIT2);
    expect_orderly(&closing, &talk, client_first);
    pair_close(&talk.pair);
}

static void a_close_the_peer_has_not_answered_yet_has_no_fin_in_its_bytes(void **state)
{
    each(*state, check_fin_wait2);
}

static void check_abort(struct stage *stage, enum tongue tongue, bool client_first)
{
    struct talk talk = talked(tongue);
    struct closing closing;

    abort_fd(client_first ? &talk.pair.client : &talk.pair.server);
    closing = await_cookie(stage, client_first ? talk.client : talk.server);
    assert_true(closing.wiped && closing.established);
    assert_false(closing.has_info || closing.unconnected);
    assert_int_equal(closing.remote_port, 0);
    assert_int_equal(closing.opener, OPENER_UNKNOWN);
    assert_true(closing.known_age_ms < 600000); /* not the time since boot */

    /* The other end's event comes when it closes, not when it is reset. */
    drain(stage);
    assert_null(find(stage, client_first ? talk.server : talk.client));
    close_fd(client_first ? &talk.pair.server : &talk.pair.client);
    closing = await_cookie(stage, client_first ? talk.server : talk.client);
    assert_true(closing.has_info && closing.established);
    assert_false(closing.wiped || closing.fin_acked);
    assert_int_equal(closing.opener, client_first ? OPENER_REMOTE : OPENER_UNKNOWN);
    assert_int_equal(closing.bytes_sent, client_first ? 100 : 1000);
    assert_int_equal(closing.bytes_received, client_first ? 1000 : 100);
    assert_true(closing.bytes_received_may_include_fin);
    pair_close(&talk.pair);
}

static void an_abort_is_wiped_and_its_peer_tells_what_it_can(void **state)
{
    each(*state, check_abort);
}

static void a_refused_connect_is_wiped_and_was_never_established(void **state)
{
    struct stage *stage = *state;
    int gone = bound_socket(TONGUE_IPV4, SOCK_STREAM), fd = socket(AF_INET, SOCK_STREAM, 0);
    struct closing closing;
    uint64_t cookie = cookie_of(fd);
    uint16_t port = local_port(gone);

    close(gone);
    assert_int_equal(connect_to(TONGUE_IPV4, fd, port), -ECONNREFUSED);
    close(fd);
    closing = await_cookie(stage, cookie);
    assert_true(closing.wiped);
    assert_false(closing.established || closing.has_info || closing.unconnected);
    assert_int_equal(closing.known_age_ms, 0);
}

static void expect_unconnected(struct stage *stage, int fd, uint16_t port)
{
    uint64_t cookie = cookie_of(fd);
    struct closing closing;

    close(fd);
    closing = await_cookie(stage, cookie);
    assert_true(closing.unconnected);
    assert_false(closing.wiped || closing.established || closing.has_info);
    assert_int_equal(closing.local_port, port);
}

static void unused_and_bound_sockets_are_unconnected(void **state)
{
    struct stage *stage = *state;
    int fd;

    expect_unconnected(stage, socket(AF_INET, SOCK_STREAM, 0), 0);
    expect_unconnected(stage, socket(AF_INET6, SOCK_STREAM, 0), 0);
    expect_unconnected(stage, socket(AF_INET6, SOCK_DGRAM, 0), 0);
    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++) {
        fd = bound_socket((enum tongue)tongue, SOCK_STREAM);
        expect_unconnected(stage, fd, local_port(fd));
        fd = bound_socket((enum tongue)tongue, SOCK_DGRAM);
        expect_unconnected(stage, fd, local_port(fd));
    }
}

static void a_listener_is_unconnected_and_its_unaccepted_child_wiped(void **state)
{
    struct stage *stage = *state;
    int listener = bound_socket(TONGUE_IPV4, SOCK_STREAM), client;
    uint16_t port = local_port(listener);
    bool child = false;

    assert_int_equal(listen(listener, 8), 0);
    client = client_of(TONGUE_IPV4, port);
    expect_unconnected(stage, listener, port);
    await(stage, 2);
    for (size_t i = 0; i < stage->n; i++)
        child = child || (stage->items[i].wiped && stage->items[i].established &&
                          stage->items[i].local_port == port);
    assert_true(child);
    close(client);
}

static void a_connected_udp_socket_tells_both_ends(void **state)
{
    struct stage *stage = *state;

    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++) {
        int server = bound_socket((enum tongue)tongue, SOCK_DGRAM);
        int client =
            bound_socket(tongue == TONGUE_MAPPED ? TONGUE_IPV4 : (enum tongue)tongue, SOCK_DGRAM);
        uint64_t cookie = cookie_of(client);
        struct closing closing;

        assert_int_equal(connect_to((enum tongue)tongue, client, local_port(server)), 0);
        close(client);
        closing = await_cookie(stage, cookie);
        assert_int_equal(closing.protocol, PROTOCOL_UDP);
        assert_int_equal(closing.remote_port, local_port(server));
        assert_false(closing.unconnected || closing.wiped || closing.has_info);
        close(server);
    }
}

/* What a large buffer has got, a small one was offered. */
static void an_overflow_is_told_and_later_events_come_again(void **state)
{
    enum { MANY = 500 };
    struct stage *stage = *state, witness = {.clock = clock_system()};

    if (geteuid() != 0)
        skip(); /* the witness's buffer may be too small, and others' events come in */
    open_events(&witness, BIG_BUFFER);
    open_events(stage, 16384);
    for (int i = 0; i < MANY; i++)
        close(socket(AF_INET, SOCK_DGRAM, 0));
    await(&witness, MANY);
    drain(stage);
    assert_true(stage->lost);
    assert_in_range(stage->n, 1, MANY - 1);
    stage->lost = false;
    expect_unconnected(stage, socket(AF_INET, SOCK_DGRAM, 0), 0);
    assert_false(stage->lost);
    sock_events_close(witness.events);
    sock_events_reader_free(witness.reader);
    free(witness.items);
}

static void the_buffer_really_got_is_told(void **state)
{
    struct stage *stage = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(sock_events_buffer_bytes(stage->events), BIG_BUFFER);
    open_events(stage, 0);
    assert_in_range(sock_events_buffer_bytes(stage->events), 1, 65536);
}

static void a_drain_stops_near_its_maximum(void **state)
{
    struct stage *stage = *state;
    struct sock_events_drained drained;
    size_t all;

    for (int i = 0; i < 300; i++)
        close(socket(AF_INET, SOCK_DGRAM, 0));
    do {
        assert_int_equal(
            sock_events_drain(stage->events, stage->reader, keep, stage, 1, &drained, NULL), 0);
        assert_in_range(drained.n_closings, 0, 64);
    } while (!drained.more);
    all = stage->n;
    await(stage, 300);
    assert_true(all < 300);
    assert_int_equal(stage->n, 300);
}

static void connect_and_close(uint16_t port, int listener)
{
    int client = client_of(TONGUE_IPV4, port), server = accept(listener, NULL, NULL);

    assert_true(server >= 0);
    close(client);
    close(server);
}

static void no_event_of_5000_quick_connections_is_missing(void **state)
{
    enum { MANY = 5000 };
    struct stage *stage = *state;
    int listener = bound_socket(TONGUE_IPV4, SOCK_STREAM);
    size_t n_local = 0, n_remote = 0;

    if (geteuid() != 0)
        skip(); /* no buffer for so many */
    assert_int_equal(listen(listener, 8), 0);
    for (int i = 0; i < MANY; i++)
        connect_and_close(local_port(listener), listener);
    await(stage, 2 * MANY);
    for (size_t i = 0; i < stage->n; i++) {
        n_local += stage->items[i].opener == OPENER_LOCAL;
        n_remote += stage->items[i].opener == OPENER_REMOTE;
        assert_true(stage->items[i].has_info);
    }
    assert_int_equal(stage->n, 2 * MANY);
    assert_int_equal(n_local, MANY);
    assert_int_equal(n_remote, MANY);
    assert_false(stage->lost);
    close(listener);
}

static void closing_nothing_is_allowed(void **state)
{
    sock_events_close(*state = NULL);
    sock_events_reader_free(NULL);
}

#define staged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        staged(an_orderly_close_by_either_end_is_told_exactly),
        staged(an_end_of_file_nobody_read_is_known_to_be_one),
        staged(a_close_the_peer_has_not_answered_yet_has_no_fin_in_its_bytes),
        staged(an_abort_is_wiped_and_its_peer_tells_what_it_can),
        staged(a_refused_connect_is_wiped_and_was_never_established),
        staged(unused_and_bound_sockets_are_unconnected),
        staged(a_listener_is_unconnected_and_its_unaccepted_child_wiped),
        staged(a_connected_udp_socket_tells_both_ends),
        staged(an_overflow_is_told_and_later_events_come_again),
        staged(the_buffer_really_got_is_told),
        staged(a_drain_stops_near_its_maximum),
        staged(no_event_of_5000_quick_connections_is_missing),
        cmocka_unit_test(closing_nothing_is_allowed),
    };

    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
