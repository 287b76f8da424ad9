/* SPDX-License-Identifier: MIT */
#include "connhist/model/offload.h"

#include <linux/tls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void each_kind_has_its_word_and_the_unknown_has_none(void **state)
{
    char buf[OFFLOAD_TEXT_MAX];

    (void)state;
    assert_null(offload_text(OFFLOAD_UNKNOWN, buf));
    assert_null(offload_text(0x7f, buf));
    assert_string_equal(offload_text(OFFLOAD_IN_HOST, buf), "InHost");
    assert_string_equal(offload_text(OFFLOAD_MPTCP, buf), "MPTCP");
    assert_string_equal(offload_text(OFFLOAD_MPTCP_AS_TCP, buf), "MPTCP as TCP");
    assert_string_equal(offload_text(OFFLOAD_ESPINTCP, buf), "espintcp");
    assert_string_equal(offload_text(OFFLOAD_SMC, buf), "SMC");
    assert_string_equal(offload_text(OFFLOAD_OTHER, buf), "other");
}

static void ktls_has_a_mode_for_each_direction(void **state)
{
    char buf[OFFLOAD_TEXT_MAX];

    (void)state;
    assert_string_equal(offload_text(offload_ktls(TLS_CONF_SW, TLS_CONF_HW), buf),
                        "kTLS tx software rx device");
    assert_string_equal(offload_text(offload_ktls(TLS_CONF_HW_RECORD, TLS_CONF_BASE), buf),
                        "kTLS tx device (records) rx none");
    assert_string_equal(offload_text(offload_ktls(0, 5), buf), "kTLS tx ? rx ?");
}

static void every_byte_has_a_text_that_fits_or_none(void **state)
{
    char buf[OFFLOAD_TEXT_MAX];

    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        const char *text = offload_text((uint8_t)i, buf);

        assert_true(!text || (*text && strlen(text) < OFFLOAD_TEXT_MAX - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_word_and_the_unknown_has_none),
        cmocka_unit_test(ktls_has_a_mode_for_each_direction),
        cmocka_unit_test(every_byte_has_a_text_that_fits_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
