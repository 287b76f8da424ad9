/* SPDX-License-Identifier: MIT */
#include "connhist/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

void log_line(const struct log *log, int level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    va_list args;
    int written;

    if (level > log->max_level)
        return;
    if (log->prefix)
        n = (size_t)snprintf(line, sizeof(line), "<%d>", level & LOG_PRIMASK);
    va_start(args, format);
    written = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
    va_end(args);
    if (written < 0)
        return;
    n = n + (size_t)written < sizeof(line) - 2 ? n + (size_t)written : sizeof(line) - 2;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[n++] = '\n';
    /* nobody is left to tell when the log itself can't be written */
    if (write(log->fd, line, n) < 0)
        return;
}
