/* SPDX-License-Identifier: MIT */
/* Table, shipped file and man page say the same. */
#include "keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_file(const char *path)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    char *text = calloc(1, 64 * 1024);

    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, 64 * 1024 - 1, file) > 0);
    return text;
}

/* Whether a line, apart from what may stand before (indentation, '#'), starts so. */
static bool has_line(const char *text, const char *start)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n #");
        if (strncmp(line, start, strlen(start)) == 0)
            return true;
    }
    return false;
}

static void the_shipped_file_changes_nothing(void **state)
{
    struct config config, defaults;
    struct err err = {0};

    (void)state;
    config_init(&config);
    config_init(&defaults);
    /* so that a value which the file lacks shows */
    config.interval_ms = config.queue_bytes = config.sampling_ms = 1;
    config.detail = DETAIL_OFF;
    config.anonymous_ipv4 = config.anonymous_ipv6 = 1;
    config.log_level = 1;
    config.max_client_services = config.max_services = config.max_syn_recv = 1;
    if (config_load(CONFIG_FILE, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_null(config.database);
    assert_null(config.group);
    assert_int_equal(config.interval_ms, defaults.interval_ms);
    assert_int_equal(config.detail, defaults.detail);
    assert_int_equal(config.anonymous_ipv4, defaults.anonymous_ipv4);
    assert_int_equal(config.anonymous_ipv6, defaults.anonymous_ipv6);
    assert_int_equal(config.log_level, defaults.log_level);
    assert_int_equal(config.max_client_services, defaults.max_client_services);
    assert_int_equal(config.max_services, defaults.max_services);
    assert_int_equal(config.max_syn_recv, defaults.max_syn_recv);
    assert_int_equal(config.queue_bytes, defaults.queue_bytes);
    assert_int_equal(config.sampling_ms, defaults.sampling_ms);
    assert_int_equal(config.services.n, 0);
    config_finish(&config);
    config_finish(&defaults);
}

static void the_shipped_file_holds_every_key(void **state)
{
    _cleanup_free_ char *text = read_file(CONFIG_FILE);

    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char line[128];

        snprintf(line, sizeof(line), "%s:%s%s", key->name, key->fallback ? " " : "",
                 key->fallback ? key->fallback : "");
        if (!has_line(text, line))
            fail_msg(CONFIG_FILE " lacks \"%s\"", line);
    }
}

/* Uncomments what is shipped as an example: lines "#key: …" without a space. */
static void the_shipped_examples_are_right(void **state)
{
    _cleanup_free_ char *text = read_file(CONFIG_FILE);
    struct config config;
    struct err err = {0};

    (void)state;
    for (char *p = text; (p = strchr(p, '#')); p++)
        if ((p == text || p[-1] == '\n') &&
            (p[1] >= 'a' || (p[1] == ' ' && p[2] == ' ' && p[3] >= '0' && p[3] <= '9')))
            memmove(p, p + 1, strlen(p));
    config_init(&config);
    if (config_parse("f", text, strlen(text), &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(config.database, "/var/lib/connhist/connhist.db");
    assert_string_equal(config.group, "adm");
    assert_int_equal(config.services.n, 2);
    config_finish(&config);
}

static void the_man_page_describes_every_key(void **state)
{
    _cleanup_free_ char *text = read_file(MAN_FILE);

    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        char line[128];

        snprintf(line, sizeof(line), ".It Ic %s :", config_keys[i].name);
        if (!has_line(text, line))
            fail_msg(MAN_FILE " lacks \"%s\"", line);
    }
}

static void the_man_page_states_every_default(void **state)
{
    _cleanup_free_ char *text = read_file(MAN_FILE);

    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char section[128], item[128], plain[64], word[64];
        const char *at, *next;

        if (!key->fallback)
            continue;
        snprintf(item, sizeof(item), ".It Ic %s :", key->name);
        snprintf(plain, sizeof(plain), "Default: %s.\n", key->fallback);
        snprintf(word, sizeof(word), "Default:\n.Cm %s .\n", key->fallback);
        at = text;
        if (*key->section) { /* a key of that name may stand elsewhere, too */
            snprintf(section, sizeof(section), ".It Ic %s :", key->section);
            at = strstr(text, section);
            assert_non_null(at);
        }
        at = strstr(at, item);
        assert_non_null(at);
        next = strstr(at + 1, ".It Ic");
        at = strstr(at, plain) ? strstr(at, plain) : strstr(at, word);
        if (!at || (next && at > next))
            fail_msg(MAN_FILE " lacks the default of %s", key->name);
    }
}

static void every_bound_is_accepted_and_what_lies_beyond_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *unit = strstr(key->right, "duration") ? "ms" : "";
        struct config config;
        char text[32];

        if (key->max == 0)
            continue;
        config_init(&config);
        for (int64_t beyond = -1; beyond <= 1; beyond++) {
            snprintf(text, sizeof(text), "%lld%s", (long long)(key->max + beyond), unit);
            assert_int_equal(key->read(key, text, &config, NULL) < 0, beyond > 0);
            snprintf(text, sizeof(text), "%lld%s", (long long)(key->min - beyond), unit);
            assert_int_equal(key->read(key, text, &config, NULL) < 0, beyond > 0);
        }
        config_finish(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_file_changes_nothing),
        cmocka_unit_test(the_shipped_file_holds_every_key),
        cmocka_unit_test(the_shipped_examples_are_right),
        cmocka_unit_test(the_man_page_describes_every_key),
        cmocka_unit_test(the_man_page_states_every_default),
        cmocka_unit_test(every_bound_is_accepted_and_what_lies_beyond_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
