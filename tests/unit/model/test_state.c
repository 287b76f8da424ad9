/* SPDX-License-Identifier: MIT */
#include "connhist/model/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void numbers_are_those_of_the_system(void **state)
{
    (void)state;
    assert_int_equal(STATE_ESTABLISHED, TCP_ESTABLISHED);
    assert_int_equal(STATE_SYN_SENT, TCP_SYN_SENT);
    assert_int_equal(STATE_SYN_RECV, TCP_SYN_RECV);
    assert_int_equal(STATE_FIN_WAIT1, TCP_FIN_WAIT1);
    assert_int_equal(STATE_FIN_WAIT2, TCP_FIN_WAIT2);
    assert_int_equal(STATE_TIME_WAIT, TCP_TIME_WAIT);
    assert_int_equal(STATE_CLOSE, TCP_CLOSE);
    assert_int_equal(STATE_CLOSE_WAIT, TCP_CLOSE_WAIT);
    assert_int_equal(STATE_LAST_ACK, TCP_LAST_ACK);
    assert_int_equal(STATE_LISTEN, TCP_LISTEN);
    assert_int_equal(STATE_CLOSING, TCP_CLOSING);
    assert_int_equal(PROTOCOL_TCP, IPPROTO_TCP);
    assert_int_equal(PROTOCOL_UDP, IPPROTO_UDP);
}

static void every_name_reads_back_as_its_state(void **state)
{
    const char *const *names;
    size_t n;

    (void)state;
    names = state_names(&n);
    assert_int_equal(n, STATE_COUNT - 1);
    for (unsigned i = 1; i <= n; i++) {
        enum sock_state read = 0;

        assert_string_equal(state_name(i), names[i - 1]);
        assert_int_equal(state_parse(names[i - 1], &read), 0);
        assert_int_equal(read, i);
    }
    assert_string_equal(state_name(0), "?");
    assert_string_equal(state_name(STATE_COUNT), "?");
    assert_string_equal(state_name(UINT32_MAX), "?");
}

static void usual_spellings_are_understood(void **state)
{
    static const struct {
        const char *text;
        enum sock_state state;
    } cases[] = {
        {"established", STATE_ESTABLISHED},
        {"ESTAB", STATE_ESTABLISHED},
        {"syn-sent", STATE_SYN_SENT},
        {"SYN_RECEIVED", STATE_SYN_RECV},
        {"syn-rcvd", STATE_SYN_RECV},
        {"SYN-RECV", STATE_SYN_RECV},
        {"FIN-WAIT-1", STATE_FIN_WAIT1},
        {"fin_wait_2", STATE_FIN_WAIT2},
        {"FIN_WAIT2", STATE_FIN_WAIT2},
        {"TIMEWAIT", STATE_TIME_WAIT},
        {"Time-Wait", STATE_TIME_WAIT},
        {"CLOSED", STATE_CLOSE},
        {"UNCONN", STATE_CLOSE},
        {"close-wait", STATE_CLOSE_WAIT},
        {"LAST-ACK", STATE_LAST_ACK},
        {"LISTENING", STATE_LISTEN},
        {"closing", STATE_CLOSING},
    };
    enum sock_state read = STATE_CLOSING;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (state_parse(cases[i].text, &read) < 0)
            fail_msg("%s", cases[i].text);
        assert_int_equal(read, cases[i].state);
    }
    assert_int_equal(state_parse("", &read), -EINVAL);
    assert_int_equal(state_parse("?", &read), -EINVAL);
    assert_int_equal(state_parse("TIME WAIT", &read), -EINVAL);
    assert_int_equal(state_parse("6", &read), -EINVAL);
    assert_int_equal(read, STATE_CLOSING);
}

static void protocols_have_names(void **state)
{
    enum protocol protocol = 0;

    (void)state;
    assert_string_equal(protocol_name(PROTOCOL_TCP), "tcp");
    assert_string_equal(protocol_name(PROTOCOL_UDP), "udp");
    assert_string_equal(protocol_name(0), "?");
    assert_int_equal(protocol_parse("TCP", &protocol), 0);
    assert_int_equal(protocol, PROTOCOL_TCP);
    assert_int_equal(protocol_parse("udp", &protocol), 0);
    assert_int_equal(protocol, PROTOCOL_UDP);
    assert_int_equal(protocol_parse("tcp6", &protocol), -EINVAL);
    assert_int_equal(protocol, PROTOCOL_UDP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_system),
        cmocka_unit_test(every_name_reads_back_as_its_state),
        cmocka_unit_test(usual_spellings_are_understood),
        cmocka_unit_test(protocols_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
