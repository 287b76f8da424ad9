/* SPDX-License-Identifier: MIT */
#include "connhist/config/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "keys.h"
#include "parse.h"

void config_init(struct config *config)
{
    *config = (struct config){0};
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        int r = key->fallback ? key->read(key, key->fallback, config, NULL) : 0;

        assert(r == 0); /* no default of the table needs memory */
        (void)r;
    }
}

void config_patterns_finish(struct config_patterns *patterns)
{
    for (size_t i = 0; i < patterns->n; i++)
        free(patterns->items[i]);
    vec_finish(patterns);
}

void config_finish(struct config *config)
{
    free(config->database);
    free(config->group);
    vec_finish(&config->services);
    config_patterns_finish(&config->include);
    config_patterns_finish(&config->exclude);
    *config = (struct config){0};
}

const char *detail_name(enum detail detail)
{
    switch (detail) {
    case DETAIL_ANONYMOUS:
        return "anonymous";
    case DETAIL_OFF:
        return "off";
    default:
        return "on";
    }
}

/* Reads all of fd into buf. The number of bytes, n when there is more, or a negative errno. */
static ssize_t read_all(int fd, char *buf, size_t n)
{
    size_t used = 0;

    while (used < n) {
        ssize_t got = read(fd, buf + used, n - used);

        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got > 0)
            used += (size_t)got;
    }
    return (ssize_t)used;
}

int config_load(const char *path, struct config *ret, struct err *err)
{
    _cleanup_free_ char *yaml = malloc(CONFIG_MAX_BYTES + 1);
    _cleanup_close_ int fd = -1;
    struct stat st;
    ssize_t n;

    if (!yaml)
        return err_errno(err, -ENOMEM, "cannot read %s", path);
    /* nobody may be there who writes into a FIFO */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, -errno, "cannot read %s", path);
    if (S_ISFIFO(st.st_mode))
        return err_set(err, -EINVAL, "cannot read %s: it is not a regular file", path);
    n = read_all(fd, yaml, CONFIG_MAX_BYTES + 1);
    if (n < 0)
        return err_errno(err, (int)n, "cannot read %s", path);
    return config_parse(path, yaml, (size_t)n, ret, err);
}
