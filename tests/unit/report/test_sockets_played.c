/* SPDX-License-Identifier: MIT */
/* sockets_live() against a kernel that is played: the linker takes these functions before the
 * room's. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/base/vec.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/report/sockets.h"

/* What the next dumps of a protocol do. */
struct play {
    int results[4];           /* what each dump returns */
    struct sample samples[4]; /* what each dump delivers, also when it is inconsistent */
    size_t n;                 /* how many samples */
    size_t dumps;             /* dumps done */
};

static struct play tcp_play, udp_play;

int sock_diag_open(const struct clock *clock, struct sock_diag **ret, struct err *err)
{
    (void)clock;
    (void)err;
    *ret = (struct sock_diag *)&tcp_play;
    return 0;
}

void sock_diag_close(struct sock_diag *diag)
{
    assert_ptr_equal(diag, &tcp_play);
}

int sock_diag_dump(struct sock_diag *diag, const struct sock_diag_dump *dump, sample_fn fn,
                   void *arg, struct err *err)
{
    struct play *play = dump->protocol == PROTOCOL_TCP ? &tcp_play : &udp_play;
    int r = play->results[play->dumps++];

    (void)diag;
    if (r < 0 && r != -EINTR)
        return err_set(err, r, "the kernel lacks module %s_diag", protocol_name(dump->protocol));
    for (size_t i = 0; i < play->n; i++)
        assert_int_equal(fn(arg, &play->samples[i]), 0);
    return r;
}

struct rows {
    VEC_FIELDS(struct socket_row);
};

static int keep(void *arg, const struct socket_row *row)
{
    struct rows *rows = arg;

    return vec_push(rows, *row);
}

static struct sample sample(uint64_t cookie, uint8_t protocol, uint8_t state, uint16_t local_port)
{
    return (struct sample){.cookie = cookie,
                           .protocol = protocol,
                           .family = AF_INET,
                           .state = state,
                           .local_port = local_port};
}

static void play_both(void)
{
    tcp_play = (struct play){
        .samples = {sample(1, PROTOCOL_TCP, STATE_ESTABLISHED, 80),
                    sample(2, PROTOCOL_TCP, STATE_LISTEN, 90),
                    sample(1, PROTOCOL_TCP, STATE_TIME_WAIT, 80)},
        .n = 3,
    };
    udp_play = (struct play){.samples = {sample(3, PROTOCOL_UDP, STATE_CLOSE, 53)}, .n = 1};
}

static void a_socket_seen_twice_shows_once(void **state)
{
    struct filter filter = {.states = 1 << STATE_TIME_WAIT};
    struct filter any = {0};
    struct rows rows = {0};
    struct err err = {0};

    (void)state;
    play_both();
    assert_int_equal(sockets_live(&any, 0, keep, &rows, &err), 0);
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.items[0].local_port, 90);
    assert_int_equal(rows.items[1].state, STATE_ESTABLISHED);
    assert_int_equal(rows.items[2].local_port, 53);
    vec_clear(&rows);
    play_both();
    assert_int_equal(sockets_live(&filter, 0, keep, &rows, &err), 0);
    assert_int_equal(rows.n, 0); /* it was established when it was seen first */
    vec_finish(&rows);
}

static void an_inconsistent_walk_is_walked_again(void **state)
{
    struct filter any = {0};
    struct rows rows = {0};
    struct err err = {0};

    (void)state;
    play_both();
    tcp_play.results[0] = tcp_play.results[1] = -EINTR;
    assert_int_equal(sockets_live(&any, 0, keep, &rows, &err), 0);
    assert_int_equal(tcp_play.dumps, 3);
    assert_int_equal(rows.n, 3);
    vec_clear(&rows);
    play_both();
    tcp_play.results[0] = tcp_play.results[1] = tcp_play.results[2] = -EINTR;
    assert_int_equal(sockets_live(&any, 0, keep, &rows, &err), 1);
    assert_int_equal(tcp_play.dumps, 3);
    assert_int_equal(rows.n, 3);
    assert_int_equal(err.code, -EINTR);
    vec_finish(&rows);
}

static void a_missing_module_hides_its_own_protocol_alone(void **state)
{
    struct filter filter = {0};
    struct rows rows = {0};
    struct err err = {0};

    (void)state;
    play_both();
    udp_play.results[0] = -ENOENT;
    assert_int_equal(sockets_live(&filter, 0, keep, &rows, &err), 1);
    assert_int_equal(rows.n, 2);
    assert_non_null(strstr(err.text, "udp_diag"));
    vec_clear(&rows);
    play_both();
    udp_play.results[0] = -ENOENT;
    filter.protocol = PROTOCOL_UDP;
    assert_int_equal(sockets_live(&filter, 0, keep, &rows, &err), -ENOENT);
    assert_int_equal(rows.n, 0);
    play_both();
    tcp_play.results[0] = -EPROTO;
    filter.protocol = 0;
    assert_int_equal(sockets_live(&filter, 0, keep, &rows, &err), -EPROTO);
    assert_int_equal(rows.n, 0);
    vec_finish(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_seen_twice_shows_once),
        cmocka_unit_test(an_inconsistent_walk_is_walked_again),
        cmocka_unit_test(a_missing_module_hides_its_own_protocol_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
