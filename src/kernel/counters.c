/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/counters.h"

#include <errno.h>
#include <fcntl.h>

#include "connhist/base/cleanup.h"
#include "counters_parse.h"

#define READ_STEP_BYTES (16 * 1024)
#define FILE_MAX_BYTES  (1024 * 1024) /* snmp6 has 5 KB, netstat 6 KB */

struct text {
    VEC_FIELDS(char);
};

static void text_finish(struct text *text)
{
    vec_finish(text);
}

/* Reads a whole file: 0, -EFBIG, or as open(2), read(2). */
static int read_file(const char *path, struct text *text)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    vec_clear(text);
    while (n > 0) {
        if (text->n >= FILE_MAX_BYTES)
            return -EFBIG;
        if (vec_reserve(text, READ_STEP_BYTES) < 0)
            return -ENOMEM;
        do {
            n = read(fd, text->items + text->n, READ_STEP_BYTES);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
            return -errno;
        text->n += (size_t)n;
    }
    return 0;
}

int counters_read(struct counter_table *ret, struct err *err)
{
    static const struct {
        const char *path;
        enum counters_format format;
    } files[] = {
        {"/proc/thread-self/net/snmp", COUNTERS_PAIRS},
        {"/proc/thread-self/net/snmp6", COUNTERS_LINES},
        {"/proc/thread-self/net/netstat", COUNTERS_PAIRS},
        {"/proc/thread-self/net/sockstat", COUNTERS_SOCKSTAT},
        {"/proc/thread-self/net/sockstat6", COUNTERS_SOCKSTAT},
    };
    _cleanup_(text_finish) struct text text = {0};
    size_t found = 0;

    vec_clear(ret);
    ret->n_left_out = 0;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        int r = read_file(files[i].path, &text);

        if (r == -ENOENT)
            continue;
        if (r == 0)
            r = counters_parse(files[i].format, text.items, text.n, ret);
        if (r < 0) {
            vec_clear(ret);
            return err_errno(err, r, "%s", files[i].path);
        }
        found++;
    }
    if (!found)
        return err_set(err, -ENOENT,
                       "/proc/thread-self/net has none of the kernel's counters (is /proc there?)");
    counter_table_sort(ret);
    return 0;
}
