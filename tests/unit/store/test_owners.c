/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>

#include "connhist/model/owner.h"

#define T0 INT64_C(1763800000000)

static const struct owner web = {.start_ms = 700,
                                 .pid = 42,
                                 .uid = 33,
                                 .comm = "web",
                                 .exe = "/usr/sbin/web",
                                 .unit = "web.service",
                                 .container = "",
                                 .cgroup = "/system.slice/web.service"};

static void write_life(struct store *store, int64_t at_ms, struct life *life)
{
    struct batch *batch = make_batch(at_ms);

    assert_int_equal(batch_add_owner(batch, 9, &web), 0);
    life->owner = 9;
    add_life(batch, life->ended_ms == TIME_UNKNOWN ? &batch->opened : &batch->closed, life);
    write_batch(store, batch);
}

static void an_owner_is_stored_once_and_told_in_words(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life life = make_life(1, T0 + 500), other = make_life(2, T0 + 500);

    life.owner_source = other.owner_source = OWNER_BY_INODE;
    other.uid = UID_UNKNOWN; /* that of the process is taken */
    write_life(store, T0 + 500, &life);
    write_life(store, T0 + 1500, &other);
    other.ended_ms = T0 + 2500;
    other.owner_source = OWNER_BY_LISTENER;
    write_life(store, T0 + 2500, &other);
    store_close(store);
    assert_answer(
        place, "1 1 1 2",
        "SELECT (SELECT count(*) FROM processes) || ' ' || (SELECT count(*) FROM programs) "
        "|| ' ' || (SELECT count(*) FROM cgroups) || ' ' || (SELECT count(*) FROM owners)");
    /* the boot's clock began 5000 ms before the recording */
    assert_answer(place, "1763799995700", "SELECT start_ms FROM processes");
    assert_answer(
        place,
        "1000 42 web /usr/sbin/web web.service inode|33 42 web /usr/sbin/web "
        "web.service listener",
        "SELECT group_concat(uid || ' ' || pid || ' ' || process || ' ' || exe || ' ' || "
        "unit || ' ' || owner_source, '|') FROM (SELECT * FROM sockets ORDER BY uid DESC)");
    assert_answer(place, "(null)", "SELECT container FROM sockets");
}

struct read_back {
    struct owner owner;
    unsigned source;
    int n;
    bool shared;
};

static int read_back(void *arg, const struct life *life)
{
    struct read_back *read = arg;

    assert_non_null(life->stored_owner);
    read->owner = *life->stored_owner;
    read->source = life->owner_source;
    read->shared = life->shared;
    assert_string_equal(life->stored_owner->unit, web.unit);
    assert_string_equal(life->stored_owner->cgroup, web.cgroup);
    assert_string_equal(life->stored_owner->exe, web.exe);
    assert_string_equal(life->stored_owner->comm, web.comm);
    read->n++;
    return 0;
}

static void owners_of_open_lives_come_back_as_they_were(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life life = make_life(1, T0 + 500);
    struct batch *batch = make_batch(T0 + 1000);
    struct netns_ref own = {.id = 3, .inode = 4026531840};
    struct read_back read = {0};
    struct err err = {0};
    size_t skipped;

    life.owner_source = OWNER_BY_LISTENER;
    write_life(store, T0 + 500, &life);
    assert_int_equal(batch_add_owner(batch, 4, &web), 0);
    assert_int_equal(vec_push(&batch->holders, ((struct life_holder){.life = 1, .owner = 4})), 0);
    write_batch(store, batch);
    assert_ok(store_each_open(store, &own, 1, read_back, &read, &skipped, &err));
    assert_int_equal(read.n, 1);
    assert_int_equal(read.owner.pid, web.pid);
    assert_int_equal(read.owner.start_ms, web.start_ms);
    assert_int_equal(read.source, OWNER_BY_LISTENER);
    assert_true(read.shared);
    store_close(store);
}

static void the_number_of_a_shared_socket_is_kept_when_it_closes(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life life = make_life(1, T0 + 500), plain = make_life(2, T0 + 500);

    write_life(store, T0 + 500, &life);
    write_life(store, T0 + 600, &plain);
    life.ended_ms = plain.ended_ms = T0 + 1000;
    life.shared = true;
    write_life(store, T0 + 1000, &life);
    write_life(store, T0 + 2000, &plain);
    store_close(store);
    assert_answer(place, "1,-", "SELECT group_concat(coalesce(life, '-')) FROM closed");
}

static void an_owner_that_the_batch_lacks_is_refused(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 500);
    struct life life = make_life(1, T0 + 500);
    struct err err = {0};

    life.owner = 5;
    add_life(batch, &batch->opened, &life);
    batch_seal(batch);
    assert_true(store_write(store, batch, &err) < 0);
    batch_free(batch);
    store_close(store);
}

static void names_that_are_no_utf8_are_stored_as_text(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 500);
    struct life life = make_life(1, T0 + 500);
    struct owner owner = web;

    owner.comm = "a\xff\xc3\nb\xc3\xa4";
    life.owner = 1;
    assert_int_equal(batch_add_owner(batch, 1, &owner), 0);
    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    store_close(store);
    assert_answer(place, "a\\xff\\xc3\nb\xc3\xa4", "SELECT process FROM programs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_owner_is_stored_once_and_told_in_words, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(owners_of_open_lives_come_back_as_they_were, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(the_number_of_a_shared_socket_is_kept_when_it_closes,
                                        place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(an_owner_that_the_batch_lacks_is_refused, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(names_that_are_no_utf8_are_stored_as_text, place_setup,
                                        place_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
