/* SPDX-License-Identifier: MIT */
/* Searches that pass over hours: they find what those find that look at all, and read far less. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/life.h"
#include "connhist/report/coverage.h"
#include "connhist/report/sockets.h"
#include "connhist/report/trend.h"
#include "connhist/report/who.h"
#include "connhist/store/upkeep.h"
#include "record_file.h"

#define HOUR     INT64_C(3600000)
#define T0       (INT64_C(20415) * 24 * HOUR)
#define HOURS    60
#define PER_HOUR 700

static const uint8_t established[] = {STATE_ESTABLISHED};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint32_t below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(next_random(seed) >> 16) % n;
}

/* Three programs, of which the last one shows rarely, and one that shares with another even less. */
static void add_owners(struct batch *batch)
{
    for (uint32_t i = 1; i <= 4; i++) {
        static const char *const names[] = {"", "nginx", "curl", "rare", "sharer"};
        struct owner owner = {.start_ms = T0 - 1000,
                              .pid = 100 + i,
                              .uid = 1000,
                              .comm = names[i],
                              .exe = "",
                              .unit = i == 1 ? "nginx.service" : "",
                              .container = "",
                              .cgroup = ""};

        assert_int_equal(batch_add_owner(batch, i, &owner), 0);
    }
}

/* A server's hour: visitors of 443, some calls of its own. What is rare comes in one hour of twenty. */
static void add_life(struct record_file *file, uint64_t *seed, int hour, uint64_t number)
{
    int64_t ended_ms = T0 + hour * HOUR + below(seed, HOUR);
    bool rare = hour % 20 == 7 && below(seed, 100) == 0, serves = below(seed, 3) > 0;
    uint32_t lasted_ms = below(seed, 50) ? below(seed, 20000) : below(seed, 5 * HOUR);
    unsigned port = 32768 + below(seed, 28000), peer = below(seed, 3000);
    bool ipv6 = below(seed, 4) == 0;
    char text[128];
    struct life life;

    if (serves)
        snprintf(text, sizeof(text),
                 ipv6 ? "[2001:db8::7]:443 [2001:db8:%x::%x]:%u" : "192.0.2.7:443 10.%u.%u.9:%u",
                 rare ? 0xffff : peer, peer & 7, rare ? 5555 : port);
    else
        snprintf(text, sizeof(text),
                 ipv6 ? "[2001:db8::7]:%u [2001:db8:9::%x]:%u" : "192.0.2.7:%u 198.51.100.%u:%u",
                 port, rare ? 77 : peer % 5, rare ? 8443 : 80);
    if (serves && !ipv6)
        snprintf(text, sizeof(text), "192.0.2.7:443 10.%u.%u.9:%u", rare ? 200 : peer >> 8,
                 peer & 255, rare ? 5555 : port);
    life = record_life(number, text, serves ? ROLE_SERVER : ROLE_CLIENT, established,
                       sizeof(established), ended_ms - lasted_ms - 1);
    life.ended_ms = ended_ms;
    life.owner = rare ? 3 : serves ? 1 : 2;
    assert_int_equal(batch_add_life(file->batch, &file->batch->closed, &life), 0);
}

static void share_last(struct batch *batch)
{
    struct life *life = &batch->closed.items[batch->closed.n - 1];
    struct life_holder holder = {.life = life->number, .owner = 4};

    life->shared = true;
    assert_int_equal(vec_push(&batch->holders, holder), 0);
}

static void make_file(struct record_file *file)
{
    uint64_t seed = 20260101, number = 1;
    struct err err = {0};

    record_file_init(file);
    record_begin(file, 'a', T0 - HOUR, HOUR / 6);
    for (int hour = 0; hour < HOURS; hour++) {
        record_snapshot(file, T0 + (hour + 1) * HOUR, hour == 0);
        add_owners(file->batch);
        for (int i = 0; i < PER_HOUR; i++)
            add_life(file, &seed, hour, number++);
        if (hour % 20 == 13)
            share_last(file->batch);
        record_write(file);
    }
    record_snapshot(file, T0 + (HOURS + 1) * HOUR, false);
    record_write(file);
    while (store_upkeep(file->store, T0 + HOURS * HOUR, &err) > 0)
        ;
    assert_string_equal(err.text, "");
}

/* A sum over all rows and how many they are: the same rows give the same. */
struct answer {
    uint64_t sum;
    int rows;
    int64_t steps;
};

static void add_text(struct answer *answer, const char *text)
{
    uint64_t sum = 14695981039346656037U;

    for (; *text; text++)
        sum = (sum ^ (uint8_t)*text) * 1099511628211U;
    answer->sum += sum; /* in any order */
    answer->rows++;
}

static int take_socket(void *arg, const struct socket_row *row)
{
    char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX], text[256];

    snprintf(text, sizeof(text), "%s %u %s %u %lld %lld %s",
             address_format(row->family, &row->local, local), row->local_port,
             address_format(row->family, &row->remote, remote), row->remote_port,
             (long long)row->first_seen_ms, (long long)row->closed_ms,
             row->owner ? row->owner->comm : "-");
    add_text(arg, text);
    return 0;
}

static int take_holder(void *arg, const struct who_row *row)
{
    char text[256];

    snprintf(text, sizeof(text), "%u %u %u %lld %lld %llu %s", row->port, row->use, row->protocol,
             (long long)row->first_seen_ms, (long long)row->until_ms,
             (unsigned long long)row->sockets, row->owner ? row->owner->comm : "-");
    add_text(arg, text);
    return 0;
}

enum command { LIST, WHO, REPORT };

static void take_trend(struct answer *answer, const struct trend *trend)
{
    char text[256];

    for (size_t i = 0; i < trend->series.n; i++) {
        const struct trend_series *series = &trend->series.items[i];

        for (size_t j = 0; j < series->points.n; j++) {
            const struct trend_point *point = &series->points.items[j];

            snprintf(text, sizeof(text), "%d %u %lld %d %lld %lld %lld %.6f", series->port,
                     series->state, (long long)point->at_ms, point->recorded, (long long)point->min,
                     (long long)point->max, (long long)point->last, point->avg);
            if (point->max)
                add_text(answer, text);
        }
    }
    snprintf(text, sizeof(text), "%lld", (long long)trend->unkept);
    add_text(answer, text);
    answer->rows--; /* that is none */
}

static int ask_trend(struct record_file *file, const struct filter *filter, int64_t from_ms,
                     int64_t until_ms, struct answer *answer, struct err *err)
{
    struct trend_question question = {.filter = *filter,
                                      .since_ms = from_ms,
                                      .until_ms = until_ms + 1,
                                      .step_ms = HOUR,
                                      .by = TREND_BY_PORT | TREND_BY_STATE};
    struct trend trend;
    int r = trend_ask(file->db, &file->walltime, &question, &trend, err);

    if (r < 0)
        return r;
    take_trend(answer, &trend);
    trend_finish(&trend);
    return 0;
}

static struct answer ask(struct record_file *file, const struct filter *filter,
                         enum command command, int64_t from_ms, int64_t until_ms)
{
    _cleanup_(coverage_finish) struct coverage coverage = {0};
    struct list_question list = {.filter = *filter, .since_ms = from_ms, .until_ms = until_ms + 1};
    struct who_question held = {.filter = *filter, .from_ms = from_ms, .until_ms = until_ms};
    struct answer answer = {0};
    struct err err = {0};
    int64_t before;
    int r;

    db_end(file->db); /* what record_look() began */
    assert_int_equal(db_begin(file->db, &err), 0);
    if (command == WHO)
        assert_int_equal(
            coverage_load(file->db, &file->walltime, from_ms, until_ms, &coverage, NULL, &err), 0);
    before = db_vm_steps(file->db);
    if (command == WHO)
        r = who_ask(file->db, &file->walltime, &held, NULL, &coverage, take_holder, &answer, &err);
    else if (command == LIST)
        r = sockets_list(file->db, &file->walltime, &list, take_socket, &answer, &err);
    else
        r = ask_trend(file, filter, from_ms, until_ms, &answer, &err);
    if (r < 0)
        fail_msg("%s", err.text);
    answer.steps = db_vm_steps(file->db) - before;
    return answer;
}

static void set_peer(struct filter *filter, const char *text)
{
    assert_int_equal(prefix_parse(text, &filter->peer), 0);
    filter->has_peer = true;
}

static void set_ports(struct filter *filter, const char *text)
{
    struct err err = {0};

    assert_int_equal(filter_add_ports(filter, text, NULL, &err), 0);
}

/* Some that hit often, some rarely, some never, by one thing or by several. */
static struct filter make_filter(uint64_t *seed)
{
    static const char *const ports[] = {"5555", "8443",  "443",     "40000",      "40000-40100",
                                        "22",   "1-400", "80,8443", "32768-60999"};
    static const char *const peers[] = {
        "10.200.3.9",  "198.51.100.3",  "2001:db8:9::4d", "2001:db8:9::/64", "2001:db8:ffff::/64",
        "10.3.0.0/16", "203.0.113.1",   "2001:db8::/32",  "10.4.7.9",        "::/0",
        "0.0.0.0/0",   "10.200.0.0/16", "2001:db8:77::1"};
    static const char *const processes[] = {"rare", "nginx", "nobody", "c*", "sharer"};
    struct filter filter = {0};
    unsigned what = 1 + below(seed, 7);

    if (what & 1)
        set_ports(&filter, ports[below(seed, sizeof(ports) / sizeof(ports[0]))]);
    if (what & 2)
        set_peer(&filter, peers[below(seed, sizeof(peers) / sizeof(peers[0]))]);
    if (what & 4)
        filter.process = processes[below(seed, 5)];
    return filter;
}

static void forget_hours(struct record_file *file)
{
    char command[256];

    snprintf(command, sizeof(command),
             "/usr/bin/env python3 -c \"import sqlite3; d = sqlite3.connect('%s'); "
             "d.execute('DELETE FROM hours'); d.commit()\"",
             file->path);
    assert_int_equal(system(command), 0);
}

static void answers_are_those_of_looking_at_all(void **state)
{
    enum { QUESTIONS = 150 };
    struct answer with[QUESTIONS];
    struct record_file file;
    uint64_t seed = 31337;
    int rows = 0, counted = 0;

    (void)state;
    make_file(&file);
    for (int round = 0; round < 2; round++) {
        record_look(&file);
        seed = 31337;
        for (int i = 0; i < QUESTIONS; i++) {
            struct filter filter = make_filter(&seed);
            int64_t from_ms = T0 + below(&seed, HOURS * HOUR), until_ms;
            enum command command = below(&seed, 3) == 0                     ? REPORT
                                   : filter.n_ports && below(&seed, 2) == 0 ? WHO
                                                                            : LIST;
            struct answer answer;

            if (below(&seed, 3) == 0)
                from_ms = T0;
            until_ms = from_ms + below(&seed, HOURS * HOUR);
            answer = ask(&file, &filter, command, from_ms, until_ms);
            if (round == 0)
                with[i] = answer;
            else {
                assert_int_equal(answer.rows, with[i].rows);
                assert_true(answer.sum == with[i].sum);
                rows += answer.rows;
                if (command == REPORT)
                    counted += answer.rows;
            }
        }
        db_close(file.db);
        file.db = NULL;
        walltime_finish(&file.walltime);
        if (round == 0)
            forget_hours(&file);
    }
    assert_true(rows > 10000 && counted > 100); /* not all answers are empty */
    record_file_finish(&file);
}

static void a_holder_beside_the_owner_is_found(void **state)
{
    struct filter filter = {.process = "sharer"};
    struct record_file file;
    struct answer answer;

    (void)state;
    make_file(&file);
    record_look(&file);
    answer = ask(&file, &filter, LIST, T0, T0 + HOURS * HOUR);
    assert_int_equal(answer.rows, 3);
    filter.pid = 104;
    assert_int_equal(ask(&file, &filter, LIST, T0, T0 + 30 * HOUR).rows, 1);
    filter.pid = 101;
    assert_int_equal(ask(&file, &filter, LIST, T0, T0 + HOURS * HOUR).rows, 0);
    db_close(file.db);
    file.db = NULL;
    walltime_finish(&file.walltime);
    record_file_finish(&file);
}

/* Of 60 hours with 700 sockets each what is asked for is in three, or in none. A row that is looked at
 * takes ten steps and more. */
static void rare_things_are_found_in_few_steps(void **state)
{
    static const struct {
        const char *ports, *peer, *process;
        enum command command;
        int hours; /* that have some, and one more that is taken for such */
    } questions[] = {
        {"8443", NULL, NULL, LIST, 3},
        {"5555", NULL, NULL, LIST, 3},
        {"8443", NULL, NULL, WHO, 3},
        {"1-79", NULL, NULL, LIST, 0},
        {NULL, "10.200.0.0/16", NULL, LIST, 4},
        {NULL, "203.0.113.1", NULL, LIST, 1},
        {NULL, "2001:db8:ffff::/64", NULL, LIST, 4},
        {NULL, NULL, "rare", LIST, 3},
        {NULL, NULL, "nobody", LIST, 0},
        {NULL, "10.200.0.0/16", NULL, REPORT, 4},
        {NULL, "203.0.113.1", NULL, REPORT, 1},
        {NULL, NULL, "rare", REPORT, 3},
        {NULL, NULL, "nobody", REPORT, 0},
        {"443", "203.0.113.1", NULL, WHO, 1},
    };
    struct record_file file;

    (void)state;
    make_file(&file);
    record_look(&file);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        struct filter filter = {.process = questions[i].process};
        struct answer answer;
        int64_t most = questions[i].hours * PER_HOUR * 60 + 4000;

        if (questions[i].ports)
            set_ports(&filter, questions[i].ports);
        if (questions[i].peer)
            set_peer(&filter, questions[i].peer);
        answer = ask(&file, &filter, questions[i].command, T0, T0 + (HOURS + 1) * HOUR);
        if (answer.steps > most)
            fail_msg("question %zu took %lld steps, more than %lld", i, (long long)answer.steps,
                     (long long)most);
        if (questions[i].command != REPORT) /* which counts what snapshots saw */
            assert_true((answer.rows > 0) == (questions[i].hours > 1));
        /* without what is told of hours it is more than 60 x 700 rows */
        if (questions[i].hours < 4)
            assert_true(answer.steps < HOURS * PER_HOUR * 10 / 2);
    }
    db_close(file.db);
    file.db = NULL;
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_looking_at_all),
        cmocka_unit_test(a_holder_beside_the_owner_is_found),
        cmocka_unit_test(rare_things_are_found_in_few_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
