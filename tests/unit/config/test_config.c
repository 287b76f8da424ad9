/* SPDX-License-Identifier: MIT */
#include "connhist/config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (INT64_C(1) << 20)

static void cleanup_config(struct config *config)
{
    config_finish(config);
}
#define _cleanup_config_ _cleanup_(cleanup_config)

static int parse(const char *yaml, struct config *ret, struct err *err)
{
    return config_parse("f.yaml", yaml, strlen(yaml), ret, err);
}

static void assert_same(const struct config *a, const struct config *b)
{
    assert_int_equal(!a->database, !b->database);
    assert_int_equal(!a->group, !b->group);
    if (a->database)
        assert_string_equal(a->database, b->database);
    if (a->group)
        assert_string_equal(a->group, b->group);
    assert_int_equal(a->interval_ms, b->interval_ms);
    assert_int_equal(a->detail, b->detail);
    assert_int_equal(a->anonymous_ipv4, b->anonymous_ipv4);
    assert_int_equal(a->anonymous_ipv6, b->anonymous_ipv6);
    assert_int_equal(a->log_level, b->log_level);
    assert_int_equal(a->max_client_services, b->max_client_services);
    assert_int_equal(a->max_services, b->max_services);
    assert_int_equal(a->max_syn_recv, b->max_syn_recv);
    assert_int_equal(a->queue_bytes, b->queue_bytes);
    assert_int_equal(a->events_bytes, b->events_bytes);
    assert_int_equal(a->services.n, b->services.n);
}

static void assert_ok(const char *yaml, struct config *ret)
{
    struct err err = {0};

    if (parse(yaml, ret, &err) < 0)
        fail_msg("%s", err.text);
}

/* Refused at line and column with these words; nothing of it is applied. */
static void assert_refused_n(const char *yaml, size_t n, const char *place, const char *words)
{
    _cleanup_config_ struct config config, untouched;
    struct err err = {0};
    char start[64];

    config_init(&config);
    config_init(&untouched);
    config.interval_ms = untouched.interval_ms = 777;
    config.database = strdup("/kept");
    untouched.database = strdup("/kept");
    assert_int_equal(config_parse("f.yaml", yaml, n, &config, &err), -EINVAL);
    snprintf(start, sizeof(start), "f.yaml:%s: ", place);
    if (strncmp(err.text, start, strlen(start)) != 0 || !strstr(err.text, words))
        fail_msg("\"%s\" does not start with \"%s\" or lacks \"%s\"", err.text, start, words);
    assert_null(strchr(err.text, '\n'));
    assert_same(&config, &untouched);
    assert_int_equal(config_parse("f.yaml", yaml, n, &config, NULL), -EINVAL);
}

static void assert_refused(const char *yaml, const char *place, const char *words)
{
    assert_refused_n(yaml, strlen(yaml), place, words);
}

static void defaults_are_those_of_the_manual(void **state)
{
    _cleanup_config_ struct config config;

    (void)state;
    config_init(&config);
    assert_null(config.database);
    assert_null(config.group);
    assert_int_equal(config.interval_ms, 10000);
    assert_int_equal(config.detail, DETAIL_ON);
    assert_int_equal(config.anonymous_ipv4, 24);
    assert_int_equal(config.anonymous_ipv6, 48);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.max_client_services, 1024);
    assert_int_equal(config.max_services, 4096);
    assert_int_equal(config.max_syn_recv, 4096);
    assert_int_equal(config.queue_bytes, 32 * MIB);
    assert_int_equal(config.events_bytes, 8 * MIB);
    assert_int_equal(config.services.n, 0);
}

static void files_without_a_key_leave_the_defaults(void **state)
{
    static const char *const empty[] = {"",
                                        "\n",
                                        "# only words\n",
                                        "---\n",
                                        "---\n...\n",
                                        "{}\n",
                                        "\xef\xbb\xbf# a byte order mark\n",
                                        "services: {}\n"};
    _cleanup_config_ struct config config, defaults;

    (void)state;
    config_init(&config);
    config_init(&defaults);
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        assert_ok(empty[i], &config);
        assert_same(&config, &defaults);
    }
}

static void every_key_is_read(void **state)
{
    _cleanup_config_ struct config config;

    (void)state;
    config_init(&config);
    assert_ok("database: /srv/c.db\n"
              "group: adm\n"
              "interval: 1.5s\n"
              "detail: anonymous\n"
              "anonymous:\n"
              "  ipv4: 0\n"
              "  ipv6: 128\n"
              "log_level: debug\n"
              "limits: {client_services: 16, services: 64, syn_recv: 0, queue: 4GiB}\n"
              "sampling: {tcp_info: 5m}\n"
              "services:\n"
              "  8000/tcp: qq\n"
              "  53/udp: my-dns_1.x\n",
              &config);
    assert_string_equal(config.database, "/srv/c.db");
    assert_string_equal(config.group, "adm");
    assert_int_equal(config.group_line, 2);
    assert_int_equal(config.group_column, 8);
    assert_int_equal(config.interval_ms, 1500);
    assert_int_equal(config.detail, DETAIL_ANONYMOUS);
    assert_int_equal(config.anonymous_ipv4, 0);
    assert_int_equal(config.anonymous_ipv6, 128);
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_int_equal(config.max_client_services, 16);
    assert_int_equal(config.max_services, 64);
    assert_int_equal(config.max_syn_recv, 0);
    assert_int_equal(config.queue_bytes, 4096 * MIB);
    assert_int_equal(config.sampling_ms, 300000);
    assert_ok("sampling: {tcp_info: off}\n", &config);
    assert_int_equal(config.sampling_ms, 0);
    assert_int_equal(config.services.n, 2);
    assert_int_equal(config.services.items[0].port, 8000);
    assert_int_equal(config.services.items[0].protocol, 6);
    assert_string_equal(config.services.items[0].name, "qq");
    assert_int_equal(config.services.items[1].protocol, 17);
    assert_string_equal(config.services.items[1].name, "my-dns_1.x");
}

static void on_and_off_are_words_quoted_or_not(void **state)
{
    _cleanup_config_ struct config config;

    (void)state;
    config_init(&config);
    assert_ok("detail: off", &config);
    assert_int_equal(config.detail, DETAIL_OFF);
    assert_ok("detail: 'on'", &config);
    assert_int_equal(config.detail, DETAIL_ON);
    assert_refused("detail: true", "1:9", "'true' is not one of on, anonymous, off");
    assert_refused("detail: On", "1:9", "one of on, anonymous, off");
}

static void what_a_file_does_not_name_stays(void **state)
{
    _cleanup_config_ struct config config;

    (void)state;
    config_init(&config);
    assert_ok("database: /a\ngroup: g\nservices: {1/tcp: one}", &config);
    assert_ok("database: /b\ninterval: 2s", &config);
    assert_string_equal(config.database, "/b");
    assert_string_equal(config.group, "g");
    assert_int_equal(config.services.n, 1);
    assert_ok("services: {2/tcp: two, 3/udp: three}", &config);
    assert_int_equal(config.services.n, 2);
    assert_int_equal(config.interval_ms, 2000);
}

static void unknown_keys_are_named_with_the_nearest_known(void **state)
{
    (void)state;
    assert_refused("# c\n\nintervall: 5s\n", "3:1", "did you mean 'interval'?");
    assert_refused("limits:\n  queue: 2MiB\n  syn_rcv: 5\n", "3:3", "did you mean 'syn_recv'?");
    assert_refused("anonymous: {ipv4: 8, ipv5: 3}", "1:22", "did you mean 'ipv4'?");
    assert_refused("queue: 2MiB", "1:1", "right is below limits");
    assert_refused("limits:\n  interval: 2s", "2:3", "right is the top level");
    assert_refused("zzzzzzzz: 1", "1:1", "unknown key 'zzzzzzzz'");
    assert_refused("limits.queue: 2MiB", "1:1", "unknown key 'limits.queue'");
    assert_refused("Interval: 2s", "1:1", "did you mean 'interval'?");
}

static void keys_that_stand_twice_are_refused(void **state)
{
    (void)state;
    assert_refused("interval: 1s\ndetail: on\ninterval: 2s\n", "3:1", "twice");
    assert_refused("limits: {queue: 1MiB}\nlimits: {}\n", "2:1", "twice");
    assert_refused("limits: {queue: 1MiB, queue: 1MiB}\n", "1:23", "twice");
    assert_refused("services: {}\nservices: {}\n", "2:1", "twice");
    assert_refused("services:\n  80/tcp: a\n  080/tcp: b\n", "3:3", "already");
}

static void values_of_a_wrong_type_are_refused(void **state)
{
    (void)state;
    assert_refused("interval: [5s]", "1:11", "takes one value, not a list");
    assert_refused("interval:\n  every: 5s", "2:3", "takes one value, not keys below it");
    assert_refused("interval:\n- 5s", "2:1", "takes one value, not a list");
    assert_refused("limits: 5", "1:9", "takes no single value");
    assert_refused("limits: [5]", "1:9", "takes no list");
    assert_refused("services: [8000/tcp]", "1:11", "'8000/tcp: name'");
    assert_refused("services: {8000/tcp: [a]}", "1:22", "takes one value");
    assert_refused("? [a]\n: b", "1:3", "a key is a single word");
    assert_refused("- interval: 5s", "1:1", "the file holds a list");
    assert_refused("interval", "1:1", "the file holds a single value");
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    assert_refused("interval: 99ms", "1:11", "not a duration from 100ms to 1h");
    assert_refused("interval: 3601s", "1:11", "not a duration from 100ms to 1h");
    assert_refused("interval: 5", "1:11", "a unit");
    assert_refused("anonymous: {ipv4: 33}", "1:19", "from 0 to 32");
    assert_refused("anonymous: {ipv6: 129}", "1:19", "from 0 to 128");
    assert_refused("anonymous: {ipv6: -1}", "1:19", "from 0 to 128");
    assert_refused("limits: {client_services: 15}", "1:27", "from 16 to 65536");
    assert_refused("limits: {services: 63}", "1:20", "from 64 to 65536");
    assert_refused("limits: {client_services: 0x20}", "1:27", "from 16 to 65536");
    assert_refused("limits: {syn_recv: 1000001}", "1:20", "from 0 to 1000000");
    assert_refused("limits: {syn_recv: 99999999999999999999999}", "1:20", "from 0 to 1000000");
    assert_refused("limits: {queue: 1023KiB}", "1:17", "from 1MiB to 4GiB");
    assert_refused("limits: {queue: 5GiB}", "1:17", "from 1MiB to 4GiB");
    assert_refused("limits: {events: 8KiB}", "1:18", "from 16KiB to 1GiB");
    assert_refused("sampling: {tcp_info: 99ms}", "1:22", "from 100ms to 24h, or off");
    assert_refused("sampling: {tcp_info: 25h}", "1:22", "from 100ms to 24h, or off");
    assert_refused("sampling: {tcp_info: never}", "1:22", "number");
    assert_refused("sampling: 60s", "1:11", "the key tcp_info below it");
    assert_refused("log_level: verbose", "1:12", "error, warning, notice, info, debug");
    assert_refused("database: c.db", "1:11", "begins with '/'");
    assert_refused("database: /var/lib/", "1:11", "begins with '/'");
    assert_refused("database: \"/a\\nb\"", "1:11", "begins with '/'");
    assert_refused("group: a b", "1:8", "a group");
}

static void services_need_a_port_and_a_name(void **state)
{
    (void)state;
    assert_refused("services: {8000: a}", "1:12", "PORT/tcp or PORT/udp");
    assert_refused("services: {0/tcp: a}", "1:12", "from 1 to 65535");
    assert_refused("services: {65536/tcp: a}", "1:12", "from 1 to 65535");
    assert_refused("services: {123456789/tcp: a}", "1:12", "from 1 to 65535");
    assert_refused("services: {/tcp: a}", "1:12", "PORT/tcp");
    assert_refused("services: {80/sctp: a}", "1:12", "PORT/tcp or PORT/udp");
    assert_refused("services: {80/tcp: a b}", "1:20", "not a service name");
    assert_refused("services: {80/tcp: 8080}", "1:20", "not digits alone");
    assert_refused("services: {80/tcp: 8000-8010}", "1:20", "not digits alone");
    assert_refused("services: {80/tcp: -web}", "1:20", "'-' in front");
    assert_refused("services: {80/tcp: web, 81/tcp: WEB}", "1:25", "the name of port 80");
    assert_refused("services: {80/tcp: }", "1:20", "has no value");
    assert_refused("services: {80/tcp: "
                   "a123456789b123456789c123456789d123456789e123456789f123456789g123}",
                   "1:20", "up to 63");
}

static void more_services_than_fit_are_refused(void **state)
{
    _cleanup_free_ char *yaml = malloc(64 * 1024);
    _cleanup_config_ struct config config;
    size_t n = (size_t)snprintf(yaml, 64 * 1024, "services:\n");

    (void)state;
    config_init(&config);
    for (int port = 1; port <= 1024; port++)
        n += (size_t)snprintf(yaml + n, 64 * 1024 - n, "  %d/tcp: s%d\n", port, port);
    assert_ok(yaml, &config);
    assert_int_equal(config.services.n, 1024);
    snprintf(yaml + n, 64 * 1024 - n, "  1025/tcp: more\n");
    assert_refused(yaml, "1026:3", "more than 1024");
}

static void empty_values_are_refused(void **state)
{
    (void)state;
    assert_refused("interval:\n", "1:10", "no value; right is a duration");
    assert_refused("group: ''\n", "1:8", "no value");
    assert_refused("limits:\n", "1:8", "nothing below it");
    assert_refused("'': 3\n", "1:1", "a key is a single word");
}

static void anchors_aliases_tags_and_second_documents_are_refused(void **state)
{
    (void)state;
    assert_refused("interval: &a 5s", "1:11", "anchors");
    assert_refused("limits: &a {queue: 2MiB}", "1:9", "anchors");
    assert_refused("&a interval: 5s", "1:1", "anchors");
    assert_refused("interval: *a", "1:11", "aliases");
    assert_refused("interval: !!str 5s", "1:11", "tags");
    assert_refused("limits: !x {queue: 2MiB}", "1:9", "tags");
    assert_refused("%TAG ! tag:x,2000:\n---\ninterval: 3s", "1:1", "tags");
    assert_refused("interval: 5s\n---\ndetail: on\n", "2:1", "second document");
}

static void text_that_is_no_yaml_is_refused_where_it_breaks(void **state)
{
    (void)state;
    assert_refused("interval: 5s\n\tdetail: on\n", "2:1", "not YAML");
    assert_refused("limits: {queue: 2MiB]", "1:21", "not YAML");
    assert_refused("group: 'a", "1:10", "not YAML");
    assert_refused("interval: 5s\n  detail: on\n", "1:11", "'5s detail'");
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    assert_refused("interval: 5s\ngroup: \xc3\xa4\xff\n", "2:9", "UTF-8");
    assert_refused("group: \x01", "1:8", "not readable text");
    assert_refused_n("detail: on\n\0", 12, "2:1", "not readable text");
    assert_refused("group: \"a\\0b\"", "1:8", "NUL");
    /* the byte order mark is no column */
    assert_refused("\xef\xbb\xbfinterval: 5", "1:11", "a unit");
    /* a column is a character, not a byte */
    assert_refused("limits: {'\xc3\xa4': 5}", "1:10", "unknown key '?");
}

static void deep_nesting_ends_at_the_first_level_too_many(void **state)
{
    size_t n = 1000000;
    _cleanup_free_ char *yaml = malloc(n);

    (void)state;
    memset(yaml, '[', n);
    assert_refused_n(yaml, n, "1:1", "the file holds a list");
    memset(yaml, '{', n);
    assert_refused_n(yaml, n, "1:2", "a key is a single word");
}

static void files_over_one_mebibyte_are_refused(void **state)
{
    size_t n = 1024 * 1024;
    _cleanup_free_ char *yaml = malloc(n + 1);
    _cleanup_config_ struct config config;

    (void)state;
    config_init(&config);
    memset(yaml, '\n', n + 1);
    assert_int_equal(config_parse("f.yaml", yaml, n, &config, NULL), 0);
    assert_refused_n(yaml, n + 1, "1:1", "larger than 1 MiB");
}

static void files_that_cannot_be_read_give_their_errno(void **state)
{
    _cleanup_config_ struct config config;
    struct err err = {0};
    char fifo[64];

    (void)state;
    config_init(&config);
    assert_int_equal(config_load("/nonexistent/c.yaml", &config, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/c.yaml: No such file"));
    assert_int_equal(config_load("/", &config, &err), -EISDIR);
    assert_int_equal(config_load("/dev/null", &config, &err), 0);
    snprintf(fifo, sizeof(fifo), "/tmp/connhist-test-%d.fifo", (int)getpid());
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(config_load(fifo, &config, &err), -EINVAL); /* and does not wait */
    assert_int_equal(unlink(fifo), 0);
}

static void files_are_read_and_named_in_errors(void **state)
{
    char path[] = "/tmp/connhist-config-XXXXXX", start[64];
    _cleanup_config_ struct config config;
    _cleanup_close_ int fd = mkstemp(path);
    struct err err = {0};

    (void)state;
    config_init(&config);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "interval: 7s\n", 13), 13);
    assert_int_equal(config_load(path, &config, &err), 0);
    assert_int_equal(config.interval_ms, 7000);
    assert_int_equal(write(fd, "x: 1\n", 5), 5);
    assert_int_equal(config_load(path, &config, &err), -EINVAL);
    snprintf(start, sizeof(start), "%s:2:1: ", path);
    assert_memory_equal(err.text, start, strlen(start));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(files_without_a_key_leave_the_defaults),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(on_and_off_are_words_quoted_or_not),
        cmocka_unit_test(what_a_file_does_not_name_stays),
        cmocka_unit_test(unknown_keys_are_named_with_the_nearest_known),
        cmocka_unit_test(keys_that_stand_twice_are_refused),
        cmocka_unit_test(values_of_a_wrong_type_are_refused),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(services_need_a_port_and_a_name),
        cmocka_unit_test(more_services_than_fit_are_refused),
        cmocka_unit_test(empty_values_are_refused),
        cmocka_unit_test(anchors_aliases_tags_and_second_documents_are_refused),
        cmocka_unit_test(text_that_is_no_yaml_is_refused_where_it_breaks),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(deep_nesting_ends_at_the_first_level_too_many),
        cmocka_unit_test(files_over_one_mebibyte_are_refused),
        cmocka_unit_test(files_that_cannot_be_read_give_their_errno),
        cmocka_unit_test(files_are_read_and_named_in_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
