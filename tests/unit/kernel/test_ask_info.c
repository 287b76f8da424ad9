/* SPDX-License-Identifier: MIT */
/* Requests for tcp_info against the real kernel. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connhist/kernel/sock_diag.h"
#include "real_sockets.h"

static const struct sock_diag_dump tcp = {.protocol = PROTOCOL_TCP};

struct stage {
    struct clock clock;
    struct sock_diag *diag; /* owned */
    struct table table;     /* owned */
};

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct err err = {0};

    assert_non_null(stage);
    stage->clock = clock_system();
    if (sock_diag_open(&stage->clock, &stage->diag, &err) < 0)
        fail_msg("%s", err.text);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    sock_diag_close(stage->diag);
    table_finish(&stage->table);
    free(stage);
    return 0;
}

static void read_table(struct stage *stage)
{
    table_read(&stage->table, stage->diag, &tcp);
}

static void ask(struct stage *stage)
{
    struct err err = {0};

    if (sock_diag_ask_info(stage->diag, stage->table.items, stage->table.n, &err) < 0)
        fail_msg("%s", err.text);
}

static enum opener opener_of(struct stage *stage, uint16_t local, uint16_t remote)
{
    const struct sample *sample = table_find(&stage->table, local, remote);

    assert_non_null(sample);
    return (enum opener)sample->opener;
}

static void both_openers_are_learned_in_every_tongue(void **state)
{
    struct stage *stage = *state;

    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++) {
        struct pair pair = connected_pair((enum tongue)tongue);

        read_table(stage);
        ask(stage);
        assert_int_equal(opener_of(stage, pair.client_port, pair.port), OPENER_LOCAL);
        assert_int_equal(opener_of(stage, pair.port, pair.client_port), OPENER_REMOTE);
        assert_int_equal(opener_of(stage, pair.port, 0), OPENER_UNKNOWN);
        pair_close(&pair);
    }
}

static void data_both_ways_does_not_hide_the_opener(void **state)
{
    struct stage *stage = *state;
    struct pair pair = connected_pair(TONGUE_IPV4);
    char byte;

    assert_int_equal(write(pair.client, "a", 1), 1);
    assert_int_equal(read(pair.server, &byte, 1), 1);
    assert_int_equal(write(pair.server, "b", 1), 1); /* acknowledges "a" */
    assert_int_equal(read(pair.client, &byte, 1), 1);
    read_table(stage);
    ask(stage);
    assert_int_equal(opener_of(stage, pair.client_port, pair.port), OPENER_LOCAL);
    pair_close(&pair);
}

static void more_sockets_than_a_group_are_all_answered(void **state)
{
    enum { MANY = 100 };
    struct stage *stage = *state;
    struct pair pairs[MANY];

    for (int i = 0; i < MANY; i++)
        pairs[i] = connected_pair(i % 2 ? TONGUE_IPV4 : TONGUE_IPV6);
    read_table(stage);
    ask(stage);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(opener_of(stage, pairs[i].client_port, pairs[i].port), OPENER_LOCAL);
        assert_int_equal(opener_of(stage, pairs[i].port, pairs[i].client_port), OPENER_REMOTE);
        pair_close(&pairs[i]);
    }
}

static void sockets_that_are_gone_or_now_mini_keep_what_is_known(void **state)
{
    struct stage *stage = *state;
    struct pair pair = connected_pair(TONGUE_IPV4);
    struct sample *sample;

    read_table(stage);
    sample = table_find(&stage->table, pair.port, pair.client_port);
    assert_non_null(sample);
    sample->opener = OPENER_REMOTE;
    close(pair.client);
    close(pair.server); /* gone; the client's end is in TIME_WAIT */
    pair.client = pair.server = -1;
    ask(stage);
    assert_int_equal(opener_of(stage, pair.port, pair.client_port), OPENER_REMOTE);
    assert_int_equal(opener_of(stage, pair.client_port, pair.port), OPENER_UNKNOWN);
    pair_close(&pair);
}

static void another_socket_with_the_same_endpoints_is_not_taken_for_it(void **state)
{
    struct stage *stage = *state;
    struct pair pair = connected_pair(TONGUE_IPV4);
    struct sample *sample;

    read_table(stage);
    sample = table_find(&stage->table, pair.client_port, pair.port);
    assert_non_null(sample);
    sample->cookie ^= 1;
    ask(stage);
    assert_int_equal(opener_of(stage, pair.client_port, pair.port), OPENER_UNKNOWN);
    pair_close(&pair);
}

#define staged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        staged(both_openers_are_learned_in_every_tongue),
        staged(data_both_ways_does_not_hide_the_opener),
        staged(more_sockets_than_a_group_are_all_answered),
        staged(sockets_that_are_gone_or_now_mini_keep_what_is_known),
        staged(another_socket_with_the_same_endpoints_is_not_taken_for_it),
    };

    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
