/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <linux/mptcp.h>
#include <linux/tls.h>

#include "connhist/model/offload.h"
#include "kernel/decode.h"
#include "messages.h"

static void put_name(struct bytes *ulp, const char *name)
{
    put_attr(ulp, INET_ULP_INFO_NAME, name, strlen(name) + 1);
}

/* A whole message of a socket with a ULP, or without where ulp has no bytes; as the kernel, which puts
 * the ULP last. */
static struct bytes message_with(const struct bytes *ulp)
{
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes = {.n = 0};
    struct tcp_info info = {.tcpi_state = 1};

    put(&bytes, &message, sizeof(message));
    put_attr(&bytes, INET_DIAG_INFO, &info, sizeof(info));
    if (ulp->n)
        put_attr(&bytes, INET_DIAG_ULP_INFO, ulp->at, ulp->n);
    return bytes;
}

static uint8_t offload_of(const struct bytes *ulp)
{
    struct bytes bytes = message_with(ulp);
    struct sample sample;

    assert_int_equal(decode_sample(bytes.at, bytes.n, PROTOCOL_TCP, 0, &sample), 0);
    return sample.offload;
}

static struct bytes tls(uint16_t tx_mode, uint16_t rx_mode)
{
    struct bytes ulp = {.n = 0}, inner = {.n = 0};
    uint16_t version = TLS_1_3_VERSION;

    put_name(&ulp, "tls");
    put_attr(&inner, TLS_INFO_VERSION, &version, sizeof(version));
    put_attr(&inner, TLS_INFO_TXCONF, &tx_mode, sizeof(tx_mode));
    put_attr(&inner, TLS_INFO_RXCONF, &rx_mode, sizeof(rx_mode));
    put_attr(&ulp, INET_ULP_INFO_TLS | NLA_F_NESTED, inner.at, inner.n);
    return ulp;
}

static struct bytes mptcp(uint32_t flags)
{
    struct bytes ulp = {.n = 0}, inner = {.n = 0};

    put_name(&ulp, "mptcp");
    put_attr(&inner, MPTCP_SUBFLOW_ATTR_FLAGS, &flags, sizeof(flags));
    put_attr(&ulp, INET_ULP_INFO_MPTCP, inner.at, inner.n);
    return ulp;
}

static void a_full_socket_without_a_ulp_is_in_the_host(void **state)
{
    const struct bytes none = {.n = 0};
    struct bytes bytes = message_with(&none);
    struct sample sample;

    (void)state;
    assert_int_equal(offload_of(&none), OFFLOAD_IN_HOST);
    assert_int_equal(decode_sample(bytes.at, bytes.n, PROTOCOL_UDP, 0, &sample), 0);
    assert_int_equal(sample.offload, OFFLOAD_UNKNOWN);
}

static void without_tcp_info_or_from_an_old_kernel_nothing_is_known(void **state)
{
    const size_t sizes[] = {0, 104, offsetof(struct tcp_info, tcpi_snd_wnd)};
    struct inet_diag_msg message = made_socket(1);
    struct tcp_info info = {.tcpi_state = 1};
    struct sample sample;

    (void)state;
    assert_int_equal(decode_sample(&message, sizeof(message), PROTOCOL_TCP, 0, &sample), 0);
    assert_int_equal(sample.offload, OFFLOAD_UNKNOWN);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bytes bytes = {.n = 0};

        put(&bytes, &message, sizeof(message));
        put_attr(&bytes, INET_DIAG_INFO, &info, sizes[i]);
        assert_int_equal(decode_sample(bytes.at, bytes.n, PROTOCOL_TCP, 0, &sample), 0);
        assert_int_equal(sample.offload, OFFLOAD_UNKNOWN);
    }
}

static void ktls_is_told_with_its_modes(void **state)
{
    struct bytes ulp = tls(TLS_CONF_SW, TLS_CONF_HW), bare = {.n = 0};

    (void)state;
    assert_int_equal(offload_of(&ulp), offload_ktls(2, 3));
    ulp = tls(9, TLS_CONF_BASE);
    assert_int_equal(offload_of(&ulp), offload_ktls(0, 1));
    put_name(&bare, "tls"); /* of a socket that is closing the kernel tells no more */
    assert_int_equal(offload_of(&bare), offload_ktls(0, 0));
}

static void mptcp_that_fell_back_to_tcp_is_told_apart(void **state)
{
    static const struct {
        uint32_t flags;
        uint8_t offload;
    } cases[] = {
        {0, OFFLOAD_MPTCP}, /* a listener, or connecting */
        {MPTCP_SUBFLOW_FLAG_MCAP_LOC, OFFLOAD_MPTCP},
        {MPTCP_SUBFLOW_FLAG_MCAP_REM | MPTCP_SUBFLOW_FLAG_CONNECTED, OFFLOAD_MPTCP},
        {MPTCP_SUBFLOW_FLAG_JOIN_REM | MPTCP_SUBFLOW_FLAG_CONNECTED, OFFLOAD_MPTCP},
        {MPTCP_SUBFLOW_FLAG_MCAP_LOC | MPTCP_SUBFLOW_FLAG_CONNECTED, OFFLOAD_MPTCP_AS_TCP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes ulp = mptcp(cases[i].flags);

        assert_int_equal(offload_of(&ulp), cases[i].offload);
    }
}

static void other_ulps_are_known_by_their_whole_name(void **state)
{
    static const struct {
        const char *name;
        uint8_t offload;
    } cases[] = {
        {"espintcp", OFFLOAD_ESPINTCP}, {"smc", OFFLOAD_SMC},    {"mptcp", OFFLOAD_MPTCP},
        {"mptcp2", OFFLOAD_OTHER},      {"mptc", OFFLOAD_OTHER}, {"", OFFLOAD_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes ulp = {.n = 0};

        put_name(&ulp, cases[i].name);
        assert_int_equal(offload_of(&ulp), cases[i].offload);
    }
}

static void a_length_that_cannot_be_is_refused(void **state)
{
    struct bytes ulp = {.n = 0}, inner = {.n = 0}, bytes;
    struct sample sample;
    uint8_t small = 2;

    (void)state;
    put_name(&ulp, "tls");
    put_attr(&inner, TLS_INFO_TXCONF, &small, sizeof(small));
    put_attr(&ulp, INET_ULP_INFO_TLS, inner.at, inner.n);
    bytes = message_with(&ulp);
    assert_int_equal(decode_sample(bytes.at, bytes.n, PROTOCOL_TCP, 0, &sample), -EPROTO);
    ulp = mptcp(0);
    ulp.at[ulp.n - 12] = 200; /* longer than what is there: the nest of the flags */
    bytes = message_with(&ulp);
    assert_int_equal(decode_sample(bytes.at, bytes.n, PROTOCOL_TCP, 0, &sample), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_socket_without_a_ulp_is_in_the_host),
        cmocka_unit_test(without_tcp_info_or_from_an_old_kernel_nothing_is_known),
        cmocka_unit_test(ktls_is_told_with_its_modes),
        cmocka_unit_test(mptcp_that_fell_back_to_tcp_is_told_apart),
        cmocka_unit_test(other_ulps_are_known_by_their_whole_name),
        cmocka_unit_test(a_length_that_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
