/* SPDX-License-Identifier: MIT */
/* From YAML's events to struct config, by the table of keys. Nothing is built in between, so that
 * each error still knows its line and column. */
#include "parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "connhist/base/strutil.h"
#include "connhist/config/config.h"
#include "keys.h"

struct reader {
    yaml_parser_t parser;
    const char *name;     /* the file's, for messages */
    const char *yaml;     /* the text */
    size_t n;             /* its bytes */
    uint64_t seen;        /* a bit for each key of the table */
    struct config config; /* what the file says, over the defaults */
    struct err *err;      /* may be NULL */
};

static void finish_event(yaml_event_t *event)
{
    yaml_event_delete(event);
}

#define _cleanup_event_ _cleanup_(finish_event)

/* "FILE:LINE:COLUMN: " and words. */
__attribute__((format(printf, 3, 4))) static int fail(const struct reader *reader, yaml_mark_t at,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    err_vset(reader->err, -EINVAL, format, args);
    va_end(args);
    return err_prefix(reader->err, -EINVAL, "%s:%zu:%zu", reader->name, at.line + 1, at.column + 1);
}

static int out_of_memory(const struct reader *reader)
{
    return err_errno(reader->err, -ENOMEM, "cannot read %s", reader->name);
}

/* Puts the place and the key before an error of a value's reader. */
static int fail_value(const struct reader *reader, yaml_mark_t at, const char *key, int r)
{
    if (r == -ENOMEM)
        return out_of_memory(reader);
    return err_prefix(reader->err, r, "%s:%zu:%zu: %s", reader->name, at.line + 1, at.column + 1,
                      key);
}

/* The place of a byte; libyaml knows only the offset of bytes that are not UTF-8. */
static yaml_mark_t mark_of_offset(const struct reader *reader, size_t offset)
{
    yaml_mark_t mark = {.index = offset};

    for (size_t i = 0; i < offset && i < reader->n; i++) {
        if (reader->yaml[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)reader->yaml[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static int fail_syntax(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return out_of_memory(reader);
    if (parser->error == YAML_READER_ERROR)
        return fail(reader, mark_of_offset(reader, parser->problem_offset),
                    "not readable text: %s; right is UTF-8 without control characters",
                    parser->problem);
    return fail(reader, parser->problem_mark,
                "not YAML: %s%s%s; right are lines 'key: value', indented with spaces",
                parser->context ? parser->context : "", parser->context ? ", " : "",
                parser->problem ? parser->problem : "unknown error");
}

/* Anchors, aliases and tags could only hide what a configuration means. */
static int refuse_features(const struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (event->type == YAML_ALIAS_EVENT)
        return fail(reader, event->start_mark, "aliases (*) are refused; write the value itself");
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor)
        return fail(reader, event->start_mark, "anchors (&) are refused; write the value alone");
    if (tag)
        return fail(reader, event->start_mark, "tags (!) are refused; write the value alone");
    return 0;
}

/* Takes the next event; *event must be empty. */
static int next_event(struct reader *reader, yaml_event_t *event)
{
    if (!yaml_parser_parse(&reader->parser, event))
        return fail_syntax(reader);
    return refuse_features(reader, event);
}

static const char *text_of(const yaml_event_t *event)
{
    return (const char *)event->data.scalar.value;
}

static const char *kind_of(const yaml_event_t *event)
{
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return "a list";
    return event->type == YAML_MAPPING_START_EVENT ? "keys below it" : "a single value";
}

/* A scalar that is not empty and is one C string. */
static int check_scalar(const struct reader *reader, const yaml_event_t *event, const char *key,
                        const char *right)
{
    if (event->type != YAML_SCALAR_EVENT)
        return fail(reader, event->start_mark, "%s takes one value, not %s; right is %s", key,
                    kind_of(event), right);
    if (event->data.scalar.length == 0)
        return fail(reader, event->start_mark, "%s has no value; right is %s", key, right);
    if (memchr(text_of(event), '\0', event->data.scalar.length))
        return fail(reader, event->start_mark, "%s holds a NUL character; right is %s", key, right);
    return 0;
}

/* Takes the next key of a mapping. 1: taken; 0: the mapping ended. */
static int next_key(struct reader *reader, yaml_event_t *event)
{
    int r = next_event(reader, event);

    if (r < 0)
        return r;
    if (event->type == YAML_MAPPING_END_EVENT)
        return 0;
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.length == 0 ||
        memchr(text_of(event), '\0', event->data.scalar.length))
        return fail(reader, event->start_mark, "a key is a single word; right is 'key: value'");
    return 1;
}

static int fail_unknown(const struct reader *reader, const yaml_event_t *event, const char *section)
{
    const char *names[CONFIG_KEYS_MAX], *near, *place = *section ? section : "the top level";
    char quoted[QUOTE_TEXT_MAX];
    size_t n = 0;

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (strcmp(key->section, section) == 0)
            names[n++] = key->name;
        else if (strcmp(key->name, text_of(event)) == 0)
            return fail(reader, event->start_mark, "key '%s' does not belong to %s; right is %s%s",
                        key->name, place, *key->section ? "below " : "the top level", key->section);
    }
    quote_text(text_of(event), quoted);
    near = nearest_word(text_of(event), names, n);
    if (near)
        return fail(reader, event->start_mark, "unknown key %s in %s; did you mean '%s'?", quoted,
                    place, near);
    return fail(reader, event->start_mark,
                "unknown key %s in %s; connhist.yaml(5) lists those that are known", quoted, place);
}

/* The index in the table; config_key_count when there is none. */
static size_t find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return i;
    return config_key_count;
}

static int read_value(struct reader *reader, const struct config_key *key,
                      const yaml_event_t *value)
{
    char name[CONFIG_FULL_NAME_MAX];
    int r;

    config_key_full_name(key, name);
    r = check_scalar(reader, value, name, key->right);
    if (r < 0)
        return r;
    r = key->read(key, text_of(value), &reader->config, reader->err);
    if (r < 0)
        return fail_value(reader, value->start_mark, name, r);
    if (key->offset == offsetof(struct config, group)) { /* whether it is there shows later */
        reader->config.group_line = value->start_mark.line + 1;
        reader->config.group_column = value->start_mark.column + 1;
    }
    return 0;
}

static int add_service(struct reader *reader, const yaml_event_t *key,
                       const struct config_service *service)
{
    struct config_service_vec *services = &reader->config.services;

    for (size_t i = 0; i < services->n; i++) {
        if (services->items[i].protocol != service->protocol)
            continue;
        if (services->items[i].port == service->port)
            return fail(reader, key->start_mark, "services: '%s' has a name already; right is one",
                        text_of(key));
        if (same_word(services->items[i].name, service->name))
            return fail(reader, key->start_mark,
                        "services: '%s' is the name of port %u already; right is another one",
                        service->name, (unsigned)services->items[i].port);
    }
    if (services->n >= CONFIG_MAX_SERVICES)
        return fail(reader, key->start_mark, "services: more than %d names", CONFIG_MAX_SERVICES);
    return vec_push(services, *service) < 0 ? out_of_memory(reader) : 0;
}

static int read_service(struct reader *reader, const yaml_event_t *key)
{
    _cleanup_event_ yaml_event_t value = {0};
    struct config_service service = {0};
    int r;

    r = config_service_read_port(text_of(key), &service, reader->err);
    if (r < 0)
        return fail_value(reader, key->start_mark, "services", r);
    r = next_event(reader, &value);
    if (r < 0)
        return r;
    r = check_scalar(reader, &value, "services", "a name");
    if (r < 0)
        return r;
    r = config_service_read_name(text_of(&value), &service, reader->err);
    if (r < 0)
        return fail_value(reader, value.start_mark, "services", r);
    return add_service(reader, key, &service);
}

static int read_services(struct reader *reader)
{
    int r;

    for (;;) {
        _cleanup_event_ yaml_event_t key = {0};

        r = next_key(reader, &key);
        if (r <= 0)
            return r;
        r = read_service(reader, &key);
        if (r < 0)
            return r;
    }
}

static int read_list(struct reader *reader, const struct config_key *key, const yaml_event_t *value)
{
    char name[CONFIG_FULL_NAME_MAX];
    struct config_patterns *patterns;
    void *place;

    config_key_full_name(key, name);
    if (value->type != YAML_SEQUENCE_START_EVENT)
        return fail(reader, value->start_mark,
                    "%s takes a list, not %s; right is [] or [\"one\", \"another\"], each %s", name,
                    kind_of(value), key->right);
    place = (char *)&reader->config + key->offset;
    patterns = place;
    patterns->given = true;
    for (;;) {
        _cleanup_event_ yaml_event_t item = {0};
        int r = next_event(reader, &item);

        if (r < 0 || item.type == YAML_SEQUENCE_END_EVENT)
            return r;
        r = check_scalar(reader, &item, name, key->right);
        if (r < 0)
            return r;
        r = key->read(key, text_of(&item), &reader->config, reader->err);
        if (r < 0)
            return fail_value(reader, item.start_mark, name, r);
    }
}

static int read_mapping(struct reader *reader, const char *section);

/* Reads what belongs to one key. */
static int read_entry(struct reader *reader, const char *section, const yaml_event_t *event)
{
    _cleanup_event_ yaml_event_t value = {0};
    size_t i = find_key(section, text_of(event));
    const struct config_key *key = &config_keys[i];
    int r;

    if (i == config_key_count)
        return fail_unknown(reader, event, section);
    if (reader->seen & UINT64_C(1) << i)
        return fail(reader, event->start_mark, "key '%s' stands here twice; right is once",
                    key->name);
    reader->seen |= UINT64_C(1) << i;
    r = next_event(reader, &value);
    if (r < 0)
        return r;
    if (key->kind == CONFIG_KEY_VALUE)
        return read_value(reader, key, &value);
    if (key->kind == CONFIG_KEY_LIST)
        return read_list(reader, key, &value);
    if (value.type == YAML_SCALAR_EVENT && value.data.scalar.length == 0)
        return fail(reader, value.start_mark, "%s has nothing below it; right are %s", key->name,
                    key->right);
    if (value.type != YAML_MAPPING_START_EVENT)
        return fail(reader, value.start_mark, "%s takes no %s; right are %s", key->name,
                    value.type == YAML_SCALAR_EVENT ? "single value" : "list", key->right);
    /* no deeper than the table: no section holds a section */
    return key->kind == CONFIG_KEY_SERVICES ? read_services(reader)
                                            : read_mapping(reader, key->name);
}

static int read_mapping(struct reader *reader, const char *section)
{
    int r;

    for (;;) {
        _cleanup_event_ yaml_event_t key = {0};

        r = next_key(reader, &key);
        if (r <= 0)
            return r;
        r = read_entry(reader, section, &key);
        if (r < 0)
            return r;
    }
}

static int read_root(struct reader *reader)
{
    _cleanup_event_ yaml_event_t root = {0}, end = {0};
    int r = next_event(reader, &root);

    if (r < 0)
        return r;
    if (root.type == YAML_MAPPING_START_EVENT)
        r = read_mapping(reader, "");
    else if (root.type != YAML_SCALAR_EVENT || root.data.scalar.length > 0)
        return fail(reader, root.start_mark, "the file holds %s; right are lines 'key: value'",
                    kind_of(&root));
    return r < 0 ? r : next_event(reader, &end);
}

static int read_stream(struct reader *reader)
{
    _cleanup_event_ yaml_event_t stream = {0}, document = {0}, end = {0};
    int r = next_event(reader, &stream);

    if (r < 0)
        return r;
    r = next_event(reader, &document);
    if (r < 0 || document.type == YAML_STREAM_END_EVENT)
        return r;
    if (document.data.document_start.tag_directives.start !=
        document.data.document_start.tag_directives.end)
        return fail(reader, document.start_mark, "tags (%%TAG) are refused; write plain values");
    r = read_root(reader);
    if (r < 0)
        return r;
    r = next_event(reader, &end);
    if (r < 0)
        return r;
    if (end.type != YAML_STREAM_END_EVENT)
        return fail(reader, end.start_mark, "a second document begins; right is one");
    return 0;
}

static void keep_patterns(struct config_patterns *to, struct config_patterns *from)
{
    if (to->given)
        return;
    *to = *from;
    *from = (struct config_patterns){0};
}

/* Hands over what was read; what the file did not name stays. */
static void hand_over(struct reader *reader, struct config *ret)
{
    struct config *config = &reader->config;

    if (!config->database)
        config->database = TAKE_PTR(ret->database);
    if (!config->group)
        config->group = TAKE_PTR(ret->group);
    if (!(reader->seen & UINT64_C(1) << find_key("", "services"))) {
        config->services = ret->services;
        ret->services = (struct config_service_vec){0};
    }
    keep_patterns(&config->include, &ret->include);
    keep_patterns(&config->exclude, &ret->exclude);
    config_finish(ret);
    *ret = *config;
    *config = (struct config){0};
}

int config_parse(const char *name, const char *yaml, size_t n, struct config *ret, struct err *err)
{
    static const char bom[] = "\xef\xbb\xbf";
    const size_t bom_bytes = sizeof(bom) - 1;
    struct reader reader = {.name = name, .yaml = yaml, .n = n, .err = err, .config = *ret};
    int r;

    reader.config.database = reader.config.group = NULL;
    reader.config.services = (struct config_service_vec){0};
    reader.config.include = reader.config.exclude = (struct config_patterns){0};
    if (n > CONFIG_MAX_BYTES)
        return fail(&reader, (yaml_mark_t){0}, "larger than 1 MiB, which no configuration is");
    /* libyaml would count it as a column */
    if (n >= bom_bytes && memcmp(yaml, bom, bom_bytes) == 0) {
        reader.yaml += bom_bytes;
        reader.n -= bom_bytes;
    }
    if (!yaml_parser_initialize(&reader.parser))
        return out_of_memory(&reader);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.yaml, reader.n);
    r = read_stream(&reader);
    yaml_parser_delete(&reader.parser);
    if (r == 0)
        hand_over(&reader, ret);
    config_finish(&reader.config);
    return r;
}
