/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "connhist/base/strutil.h"
#include "connhist/base/timetext.h"
#include "connhist/model/state.h"

#define MIB            (INT64_C(1) << 20)
#define GROUP_NAME_MAX 255
#define DAY_MS         INT64_C(86400000)
#define AGE_MAX_MS     (36500 * DAY_MS)

/* Where the value of key lives in *config. */
static void *member(const struct config_key *key, struct config *config)
{
    return (char *)config + key->offset;
}

static int refuse(const struct config_key *key, const char *text, struct err *err)
{
    char quoted[QUOTE_TEXT_MAX];

    return err_set(err, -EINVAL, "%s is not %s", quote_text(text, quoted), key->right);
}

static int replace_text(const struct config_key *key, const char *text, struct config *config)
{
    char **place = member(key, config), *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    free(*place);
    *place = copy;
    return 0;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static int read_path(const struct config_key *key, const char *text, struct config *config,
                     struct err *err)
{
    size_t n = strlen(text);

    if (text[0] != '/' || text[n - 1] == '/' || n >= PATH_MAX || has_control(text))
        return refuse(key, text, err);
    return replace_text(key, text, config);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static bool is_name(const char *text, size_t max)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (!is_name_char(text[i]))
            return false;
    return n > 0 && n <= max;
}

static int read_group(const struct config_key *key, const char *text, struct config *config,
                      struct err *err)
{
    if (!is_name(text, GROUP_NAME_MAX) || text[0] == '-')
        return refuse(key, text, err);
    return replace_text(key, text, config);
}

static int read_duration(const struct config_key *key, const char *text, struct config *config,
                         struct err *err)
{
    int64_t ms = 0;
    int r = duration_parse(text, &ms, err);

    if (r < 0)
        return r;
    if (ms < key->min || ms > key->max)
        return refuse(key, text, err);
    *(int64_t *)member(key, config) = ms;
    return 0;
}

static int read_duration_or_off(const struct config_key *key, const char *text,
                                struct config *config, struct err *err)
{
    if (strcmp(text, "off") != 0)
        return read_duration(key, text, config, err);
    *(int64_t *)member(key, config) = 0;
    return 0;
}

static int read_duration_or_forever(const struct config_key *key, const char *text,
                                    struct config *config, struct err *err)
{
    int64_t ms;

    /* the forms of any duration are not all right here */
    if (strcmp(text, "forever") != 0)
        return duration_parse(text, &ms, NULL) < 0 ? refuse(key, text, err)
                                                   : read_duration(key, text, config, err);
    *(int64_t *)member(key, config) = 0;
    return 0;
}

static int read_size(const struct config_key *key, const char *text, struct config *config,
                     struct err *err)
{
    int64_t bytes = 0;

    if (size_parse(text, &bytes, NULL) < 0 || bytes < key->min || bytes > key->max)
        return refuse(key, text, err);
    *(int64_t *)member(key, config) = bytes;
    return 0;
}

static int read_number(const struct config_key *key, const char *text, struct config *config,
                       struct err *err)
{
    uint64_t number = 0;

    if (parse_u64(text, (uint64_t)key->min, (uint64_t)key->max, &number) < 0)
        return refuse(key, text, err);
    *(uint32_t *)member(key, config) = (uint32_t)number;
    return 0;
}

static int read_detail(const struct config_key *key, const char *text, struct config *config,
                       struct err *err)
{
    for (enum detail detail = DETAIL_ON; detail <= DETAIL_OFF; detail++)
        if (strcmp(text, detail_name(detail)) == 0) {
            *(enum detail *)member(key, config) = detail;
            return 0;
        }
    return refuse(key, text, err);
}

static int read_log_level(const struct config_key *key, const char *text, struct config *config,
                          struct err *err)
{
    static const char *const names[] = {
        [LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
    };

    for (int level = LOG_ERR; level <= LOG_DEBUG; level++)
        if (strcmp(text, names[level]) == 0) {
            *(int *)member(key, config) = level;
            return 0;
        }
    return refuse(key, text, err);
}

/* fnmatch(3) would take a '[' without its ']', or a '\\' at the end, for something or other. */
static bool is_pattern(const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n > NAME_MAX || has_control(text) || strchr(text, '/'))
        return false;
    for (const char *at = text; *at; at++) {
        if (*at == '\\' && !*++at)
            return false;
        if (*at == '[') {
            at = strchr(at + 1 + (at[1] == '!') + (at[1 + (at[1] == '!')] == ']'), ']');
            if (!at)
                return false;
        }
    }
    return true;
}

static int read_pattern(const struct config_key *key, const char *text, struct config *config,
                        struct err *err)
{
    struct config_patterns *patterns = member(key, config);
    char *copy;

    if (!is_pattern(text))
        return refuse(key, text, err);
    if (patterns->n >= CONFIG_MAX_PATTERNS)
        return err_set(err, -EINVAL, "more than %d", CONFIG_MAX_PATTERNS);
    copy = strdup(text);
    if (!copy || vec_push(patterns, copy) < 0) {
        free(copy);
        return -ENOMEM;
    }
    return 0;
}

int config_service_read_port(const char *text, struct config_service *ret, struct err *err)
{
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : 0;
    char digits[8] = "", quoted[QUOTE_TEXT_MAX];
    enum protocol protocol = PROTOCOL_TCP;
    uint64_t port = 0;

    if (n < sizeof(digits))
        memcpy(digits, text, n);
    if (!slash || parse_u64(digits, 1, UINT16_MAX, &port) < 0 ||
        protocol_parse(slash + 1, &protocol) < 0)
        return err_set(
            err, -EINVAL,
            "%s is not PORT/tcp or PORT/udp with a port from 1 to 65535, such as 8000/tcp",
            quote_text(text, quoted));
    ret->port = (uint16_t)port;
    ret->protocol = (uint8_t)protocol;
    return 0;
}

/* A name of digits alone could be taken for a port, or with '-' for a range of them. */
static bool is_number(const char *text)
{
    return text[strspn(text, "0123456789-")] == '\0';
}

int config_service_read_name(const char *text, struct config_service *ret, struct err *err)
{
    char quoted[QUOTE_TEXT_MAX];

    if (!is_name(text, sizeof(ret->name) - 1) || is_number(text) || text[0] == '-')
        return err_set(err, -EINVAL,
                       "%s is not a service name: up to %zu letters, digits, '-', '_' and '.', "
                       "not digits alone, nor with '-' in front",
                       quote_text(text, quoted), sizeof(ret->name) - 1);
    memcpy(ret->name, text, strlen(text) + 1);
    return 0;
}

const char *config_key_full_name(const struct config_key *key,
                                 char buf[static CONFIG_FULL_NAME_MAX])
{
    snprintf(buf, CONFIG_FULL_NAME_MAX, "%s%s%s", key->section, *key->section ? "." : "",
             key->name);
    return buf;
}

#define AT(name) offsetof(struct config, name)

/* clang-format off */
const struct config_key config_keys[] = {
    {"", "database", CONFIG_KEY_VALUE, read_path, AT(database), 0, 0, NULL,
     "the path of a file that begins with '/'"},
    {"", "group", CONFIG_KEY_VALUE, read_group, AT(group), 0, 0, NULL,
     "the name of a group or its number"},
    {"", "interval", CONFIG_KEY_VALUE, read_duration, AT(interval_ms), 100, 60 * 60 * 1000, "10s",
     "a duration from 100ms to 1h"},
    {"", "detail", CONFIG_KEY_VALUE, read_detail, AT(detail), 0, 0, "on",
     "one of on, anonymous, off"},
    {"", "anonymous", CONFIG_KEY_SECTION, .right = "the keys ipv4 and ipv6 below it"},
    {"anonymous", "ipv4", CONFIG_KEY_VALUE, read_number, AT(anonymous_ipv4), 0, 32, "24",
     "a number of bits from 0 to 32"},
    {"anonymous", "ipv6", CONFIG_KEY_VALUE, read_number, AT(anonymous_ipv6), 0, 128, "48",
     "a number of bits from 0 to 128"},
    {"", "log_level", CONFIG_KEY_VALUE, read_log_level, AT(log_level), 0, 0, "info",
     "one of error, warning, notice, info, debug"},
    {"", "limits", CONFIG_KEY_SECTION,
     .right = "the keys client_services, events, queue, services and syn_recv below it"},
    {"limits", "client_services", CONFIG_KEY_VALUE, read_number, AT(max_client_services), 16, 65536,
     "1024", "a number from 16 to 65536"},
    {"limits", "services", CONFIG_KEY_VALUE, read_number, AT(max_services), 64, 65536, "4096",
     "a number from 64 to 65536"},
    {"limits", "syn_recv", CONFIG_KEY_VALUE, read_number, AT(max_syn_recv), 0, 1000000, "4096",
     "a number from 0 to 1000000"},
    {"limits", "events", CONFIG_KEY_VALUE, read_size, AT(events_bytes), 16 * 1024, 1024 * MIB, "8MiB",
     "a size from 16KiB to 1GiB"},
    {"limits", "queue", CONFIG_KEY_VALUE, read_size, AT(queue_bytes), MIB, 4096 * MIB, "32MiB",
     "a size from 1MiB to 4GiB"},
    {"", "sampling", CONFIG_KEY_SECTION, .right = "the key tcp_info below it"},
    {"sampling", "tcp_info", CONFIG_KEY_VALUE, read_duration_or_off, AT(sampling_ms), 100,
     24 * 60 * 60 * 1000, "60s", "a duration from 100ms to 24h, or off"},
    {"", "retention", CONFIG_KEY_SECTION,
     .right = "the keys max_size, detail, ticks, minutes, hours and days below it"},
    {"retention", "max_size", CONFIG_KEY_VALUE, read_size, AT(max_size_bytes), 16 * MIB, 65536 * 1024 * MIB,
     "1GiB", "a size from 16MiB to 64TiB"},
    {"retention", "detail", CONFIG_KEY_VALUE, read_duration_or_forever, AT(keep_ms[0]), 60 * 1000,
     AGE_MAX_MS, "90d", "a duration from 1m to 36500d, or forever"},
    {"retention", "ticks", CONFIG_KEY_VALUE, read_duration_or_forever, AT(keep_ms[1]), 60 * 60 * 1000,
     AGE_MAX_MS, "7d", "a duration from 1h to 36500d, or forever"},
    {"retention", "minutes", CONFIG_KEY_VALUE, read_duration_or_forever, AT(keep_ms[2]), 60 * 60 * 1000,
     AGE_MAX_MS, "60d", "a duration from 1h to 36500d, or forever"},
    {"retention", "hours", CONFIG_KEY_VALUE, read_duration_or_forever, AT(keep_ms[3]), DAY_MS,
     AGE_MAX_MS, "730d", "a duration from 24h to 36500d, or forever"},
    {"retention", "days", CONFIG_KEY_VALUE, read_duration_or_forever, AT(keep_ms[4]), DAY_MS,
     AGE_MAX_MS, "forever", "a duration from 24h to 36500d, or forever"},
    {"", "namespaces", CONFIG_KEY_SECTION, .right = "the keys include and exclude below it"},
    {"namespaces", "include", CONFIG_KEY_LIST, read_pattern, AT(include), 0, 0, NULL,
     "a name of a network namespace, with * and ? for any, or inode:NUMBER"},
    {"namespaces", "exclude", CONFIG_KEY_LIST, read_pattern, AT(exclude), 0, 0, NULL,
     "a name of a network namespace, with * and ? for any, or inode:NUMBER"},
    {"", "services", CONFIG_KEY_SERVICES, .right = "lines such as '8000/tcp: name' below it"},
};
/* clang-format on */

const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_KEYS_MAX,
               "a reader keeps a bit for each key");
