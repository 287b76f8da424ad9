/* SPDX-License-Identifier: MIT */
/* One received buffer, made by hand. */
#include "unit.h"

#include <errno.h>
#include <linux/sock_diag.h>

#include "kernel/reply.h"
#include "messages.h"

#define SEQ    41
#define PORTID 9001
#define TYPE   TCPDIAG_GETSOCK

/* What a dump's sample_fn saw, and what it shall return. */
struct seen {
    uint16_t ports[16];
    size_t n;
    size_t fail_at; /* 1: the first sample */
};

static int see(void *arg, const struct sample *sample)
{
    struct seen *seen = arg;

    seen->ports[seen->n++] = sample->remote_port;
    return seen->n == seen->fail_at ? -ECANCELED : 0;
}

static struct dump_walk walk_into(struct seen *seen)
{
    return (struct dump_walk){
        .request = {.portid = PORTID, .seq = SEQ, .n = 1, .type = TYPE},
        .protocol = PROTOCOL_TCP,
        .fn = see,
        .arg = seen,
    };
}

static void samples_come_in_order_and_the_dump_goes_on(void **state)
{
    struct seen seen = {.n = 0};
    struct dump_walk walk = walk_into(&seen);
    struct bytes bytes = {.n = 0};

    (void)state;
    put_socket(&bytes, TYPE, 0, SEQ, PORTID, 1);
    put_socket(&bytes, TYPE, 0, SEQ, PORTID, 2);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.ports[0], 1);
    assert_int_equal(seen.ports[1], 2);
    assert_false(walk.ended);
}

static void done_ends_the_dump(void **state)
{
    struct seen seen = {.n = 0};
    struct dump_walk walk = walk_into(&seen);
    struct bytes bytes = {.n = 0};

    (void)state;
    put_done(&bytes, 0, SEQ, PORTID, 0);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
    assert_true(walk.ended);
    assert_int_equal(walk.kernel_error, 0);
    assert_false(walk.interrupted);
}

static void done_can_carry_an_error(void **state)
{
    struct seen seen = {.n = 0};
    struct dump_walk walk = walk_into(&seen);
    struct bytes bytes = {.n = 0};

    (void)state;
    put_done(&bytes, 0, SEQ, PORTID, -ENOENT);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
    assert_true(walk.ended);
    assert_int_equal(walk.kernel_error, -ENOENT);
}

static void an_error_message_ends_the_dump_and_an_acknowledgement_does_not(void **state)
{
    struct seen seen = {.n = 0};
    struct dump_walk walk = walk_into(&seen);
    struct bytes bytes = {.n = 0};

    (void)state;
    put_error(&bytes, SEQ, PORTID, 0);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
    assert_false(walk.ended);
    put_error(&bytes, SEQ, PORTID, -EOPNOTSUPP);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
    assert_true(walk.ended);
    assert_int_equal(walk.kernel_error, -EOPNOTSUPP);
}

static void an_interrupted_walk_is_noticed_on_samples_and_on_done(void **state)
{
    (void)state;
    for (int on_done = 0; on_done < 2; on_done++) {
        struct seen seen = {.n = 0};
        struct dump_walk walk = walk_into(&seen);
        struct bytes bytes = {.n = 0};

        put_socket(&bytes, TYPE, on_done ? 0 : NLM_F_DUMP_INTR, SEQ, PORTID, 1);
        put_done(&bytes, on_done ? NLM_F_DUMP_INTR : 0, SEQ, PORTID, 0);
        assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
        assert_true(walk.interrupted);
        assert_int_equal(seen.n, 1);
    }
}

static void messages_for_others_and_for_earlier_requests_are_skipped(void **state)
{
    struct seen seen = {.n = 0};
    struct dump_walk walk = walk_into(&seen);
    struct bytes bytes = {.n = 0};

    (void)state;
    put_socket(&bytes, TYPE, NLM_F_DUMP_INTR, SEQ - 1, PORTID, 1);
    put_socket(&bytes, TYPE, NLM_F_DUMP_INTR, SEQ, PORTID + 1, 2);
    put_done(&bytes, 0, SEQ - 1, PORTID, 0);
    put_error(&bytes, SEQ + 1, PORTID, -EIO);
    put_socket(&bytes, TYPE, 0, SEQ, PORTID, 3);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.ports[0], 3);
    assert_false(walk.ended);
    assert_false(walk.interrupted);
}

static void after_a_failure_of_the_receiver_only_the_end_is_looked_for(void **state)
{
    struct seen seen = {.fail_at = 1};
    struct dump_walk walk = walk_into(&seen);
    struct bytes bytes = {.n = 0};

    (void)state;
    put_socket(&bytes, TYPE, 0, SEQ, PORTID, 1);
    put_socket(&bytes, TYPE, 0, SEQ, PORTID, 2);
    put_done(&bytes, 0, SEQ, PORTID, 0);
    assert_int_equal(dump_buffer(&walk, bytes.at, bytes.n), -ECANCELED);
    assert_int_equal(seen.n, 1);
    assert_true(walk.fn_failed);
    assert_true(walk.ended);
}

static void assert_not_understood(const struct bytes *bytes)
{
    struct seen seen = {.n = 0};
    struct dump_walk walk = walk_into(&seen);

    assert_int_equal(dump_buffer(&walk, bytes->at, bytes->n), -EPROTO);
    assert_false(walk.fn_failed);
}

static void a_buffer_cut_within_a_message_is_refused(void **state)
{
    struct bytes bytes = {.n = 0};

    (void)state;
    put_socket(&bytes, TYPE, 0, SEQ, PORTID, 1);
    while (--bytes.n > 0)
        assert_not_understood(&bytes);
}

static void lengths_that_cannot_be_are_refused(void **state)
{
    static const uint32_t lengths[] = {0, 15, 10000, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct bytes bytes = {.n = 0};

        put_socket(&bytes, TYPE, 0, SEQ, PORTID, 1);
        memcpy(bytes.at, &lengths[i], sizeof(lengths[i]));
        assert_not_understood(&bytes);
    }
}

static void types_that_were_not_asked_for_are_refused(void **state)
{
    struct bytes bytes = {.n = 0};

    (void)state;
    put_socket(&bytes, SOCK_DIAG_BY_FAMILY, 0, SEQ, PORTID, 1);
    assert_not_understood(&bytes);
}

static void done_and_error_without_an_errno_are_refused(void **state)
{
    static const uint16_t types[] = {NLMSG_DONE, NLMSG_ERROR};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bytes bytes = {.n = 0};

        put_end(&bytes, put_header(&bytes, types[i], 0, SEQ, PORTID));
        assert_not_understood(&bytes);
    }
}

static void numbers_that_are_no_errno_are_refused(void **state)
{
    static const int errors[] = {1, -4096, INT32_MIN, INT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct bytes done = {.n = 0}, error = {.n = 0};

        put_done(&done, 0, SEQ, PORTID, errors[i]);
        assert_not_understood(&done);
        put_error(&error, SEQ, PORTID, errors[i]);
        assert_not_understood(&error);
    }
}

static void an_unreadable_socket_is_refused(void **state)
{
    struct bytes bytes = {.n = 0};

    (void)state;
    put_end(&bytes, put_header(&bytes, TYPE, 0, SEQ, PORTID));
    assert_not_understood(&bytes);
}

static void a_group_of_requests_is_answered_by_index_also_where_numbers_wrap(void **state)
{
    const struct request request = {
        .portid = PORTID, .seq = UINT32_MAX - 1, .n = 4, .type = SOCK_DIAG_BY_FAMILY};
    struct bytes bytes = {.n = 0};
    struct reply_cursor cursor;
    struct reply reply;

    (void)state;
    put_socket(&bytes, SOCK_DIAG_BY_FAMILY, 0, UINT32_MAX - 2, PORTID, 1); /* one too early */
    put_socket(&bytes, SOCK_DIAG_BY_FAMILY, 0, UINT32_MAX, PORTID, 1);
    put_error(&bytes, 1, PORTID, -ENOENT);
    put_error(&bytes, 2, PORTID, -ENOENT); /* one too late */
    cursor = (struct reply_cursor){.at = bytes.at, .left = bytes.n};
    assert_int_equal(reply_next(&cursor, &request, &reply), 0);
    assert_int_equal(reply.kind, REPLY_SOCKET);
    assert_int_equal(reply.index, 1);
    assert_int_equal(reply_next(&cursor, &request, &reply), 0);
    assert_int_equal(reply.kind, REPLY_ERROR);
    assert_int_equal(reply.index, 3);
    assert_int_equal(reply.error, -ENOENT);
    assert_int_equal(reply_next(&cursor, &request, &reply), 0);
    assert_int_equal(reply.kind, REPLY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_come_in_order_and_the_dump_goes_on),
        cmocka_unit_test(done_ends_the_dump),
        cmocka_unit_test(done_can_carry_an_error),
        cmocka_unit_test(an_error_message_ends_the_dump_and_an_acknowledgement_does_not),
        cmocka_unit_test(an_interrupted_walk_is_noticed_on_samples_and_on_done),
        cmocka_unit_test(messages_for_others_and_for_earlier_requests_are_skipped),
        cmocka_unit_test(after_a_failure_of_the_receiver_only_the_end_is_looked_for),
        cmocka_unit_test(a_buffer_cut_within_a_message_is_refused),
        cmocka_unit_test(lengths_that_cannot_be_are_refused),
        cmocka_unit_test(types_that_were_not_asked_for_are_refused),
        cmocka_unit_test(done_and_error_without_an_errno_are_refused),
        cmocka_unit_test(numbers_that_are_no_errno_are_refused),
        cmocka_unit_test(an_unreadable_socket_is_refused),
        cmocka_unit_test(a_group_of_requests_is_answered_by_index_also_where_numbers_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
