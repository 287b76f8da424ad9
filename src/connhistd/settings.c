/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "build_config.h"
#include "connhist/store/file.h"

#define WAL_SHARE       8
#define WAL_LEAST_BYTES (INT64_C(4) << 20)
#define WAL_MOST_BYTES  (INT64_C(128) << 20)

_Static_assert(CONFIG_TIERS == TIER_COUNT, "each tier has its age in the configuration");

/* The default file may be missing; one that was named may not. */
static int load_config(const struct daemon_options *options, struct config *config, struct err *err)
{
    int r;

    config_init(config);
    if (options->config)
        return config_load(options->config, config, err);
    r = config_load(CONFIG_DEFAULT_PATH, config, err);
    return r == -ENOENT ? 0 : r;
}

static int find_path(const struct daemon_options *options, struct settings *settings,
                     struct err *err)
{
    char path[PATH_MAX];
    const char *chosen = options->database ? options->database : settings->config.database;

    if (!chosen) {
        int r = file_default_path(path, sizeof(path), err);

        if (r < 0)
            return r;
        chosen = path;
    }
    settings->path = strdup(chosen);
    return settings->path ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int copy_names(struct settings *settings, struct err *err)
{
    const struct config_service_vec *services = &settings->config.services;

    settings->names = calloc(services->n + 1, sizeof(*settings->names));
    if (!settings->names)
        return err_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < services->n; i++) {
        settings->names[i].port = services->items[i].port;
        settings->names[i].protocol = services->items[i].protocol;
        memcpy(settings->names[i].name, services->items[i].name, sizeof(settings->names[i].name));
    }
    return 0;
}

static struct ledger_options ledger_options(const struct config *config)
{
    static const enum ledger_detail details[] = {
        [DETAIL_ON] = LEDGER_DETAIL_ON,
        [DETAIL_ANONYMOUS] = LEDGER_DETAIL_ANONYMOUS,
        [DETAIL_OFF] = LEDGER_DETAIL_OFF,
    };

    return (struct ledger_options){
        .detail = details[config->detail],
        .anonymous_ipv4_bits = config->anonymous_ipv4,
        .anonymous_ipv6_bits = config->anonymous_ipv6,
        .max_client_services = config->max_client_services,
        .max_services = config->max_services,
        .max_syn_recv = config->max_syn_recv,
    };
}

/* The -wal has its share of the whole. */
static struct store_retention retention(const struct config *config)
{
    struct store_retention retention = {.max_bytes = config->max_size_bytes,
                                        .wal_bytes = config->max_size_bytes / WAL_SHARE};

    if (retention.wal_bytes < WAL_LEAST_BYTES)
        retention.wal_bytes = WAL_LEAST_BYTES;
    if (retention.wal_bytes > WAL_MOST_BYTES)
        retention.wal_bytes = WAL_MOST_BYTES;
    for (int tier = 0; tier < CONFIG_TIERS; tier++)
        retention.age_ms[tier] = config->keep_ms[tier];
    return retention;
}

static void fill_recorder(const struct daemon_options *options, struct settings *settings)
{
    static const char *const all[] = {"*"};
    const struct config *config = &settings->config;

    settings->recorder = (struct recorder_options){
        .store = {.path = settings->path, .group = config->group},
        .ledger = ledger_options(config),
        .retention = retention(config),
        .detail = detail_name(config->detail),
        .names = settings->names,
        .n_names = config->services.n,
        .interval_ms = options->interval_ms ? options->interval_ms : config->interval_ms,
        .sampling_ms = config->sampling_ms,
        .max_ticks = options->count,
        .events_bytes = (size_t)config->events_bytes,
        .queue_bytes = (size_t)config->queue_bytes,
        .version = CONNHIST_VERSION,
        .clock = clock_system(),
    };
    settings->source = (struct source_live_options){
        .clock = &settings->recorder.clock,
        .event_buffer_bytes = (size_t)config->events_bytes,
        .include = config->include.given ? (const char *const *)config->include.items : all,
        .n_include = config->include.given ? config->include.n : 1,
        .exclude = (const char *const *)config->exclude.items,
        .n_exclude = config->exclude.n,
    };
    if (options->log_level >= 0)
        settings->config.log_level = options->log_level;
}

static int check_group(const struct daemon_options *options, const struct config *config,
                       struct err *err)
{
    int r = config->group ? file_check_group(config->group, err) : 0;

    return r < 0 ? err_prefix(err, r, "%s:%zu:%zu: group",
                              options->config ? options->config : CONFIG_DEFAULT_PATH,
                              config->group_line, config->group_column)
                 : 0;
}

int settings_load(const struct daemon_options *options, struct settings **ret, struct err *err)
{
    _cleanup_(cleanup_settings_free) struct settings *settings = calloc(1, sizeof(*settings));
    int r;

    if (!settings)
        return err_set(err, -ENOMEM, "out of memory");
    r = load_config(options, &settings->config, err);
    if (r == 0)
        r = check_group(options, &settings->config, err);
    if (r == 0)
        r = find_path(options, settings, err);
    if (r == 0)
        r = copy_names(settings, err);
    if (r < 0)
        return r;
    fill_recorder(options, settings);
    *ret = TAKE_PTR(settings);
    return 0;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    config_finish(&settings->config);
    free(settings->path);
    free(settings->names);
    free(settings);
}
