/* SPDX-License-Identifier: MIT */
/* Any bytes as a configuration: they are taken, or refused with a place and one line of words. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "connhist/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct err err = {0};
    int r;

    config_init(&config);
    config.interval_ms = 777; /* a mark: no error may touch it */
    r = config_parse("f", (const char *)data, size, &config, &err);
    if (r < 0) {
        assert(r == -EINVAL && err.code == r);
        assert(strncmp(err.text, "f:", 2) == 0 && !strchr(err.text, '\n'));
        assert(config.interval_ms == 777 && !config.database && !config.services.items);
    } else {
        assert(config.interval_ms >= 100 && config.interval_ms <= 3600000);
        assert(config.anonymous_ipv4 <= 32 && config.anonymous_ipv6 <= 128);
        assert(!config.database || config.database[0] == '/');
        assert(config.services.n <= 1024);
    }
    config_finish(&config);
    return 0;
}
