/* SPDX-License-Identifier: MIT */
#include "complain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>

#include "connhist/render/text.h"

#define LINE_MAX_BYTES 1024

__attribute__((format(printf, 1, 0))) static void vcomplain(const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];

    vsnprintf(line, sizeof(line), format, args);
    /* What was written so far comes first when both go to one place. */
    fflush(stdout);
    fputs("connhist: ", stderr);
    text_for_terminal(stderr, line);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vcomplain(format, args);
    va_end(args);
}

int wrong_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vcomplain(format, args);
    va_end(args);
    return EXIT_USAGE;
}

int cannot_answer(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vcomplain(format, args);
    va_end(args);
    return EXIT_CANNOT;
}

const char *errno_words(int code)
{
    const char *words = strerrordesc_np(-code);

    return words ? words : "unknown error";
}

int output_failed(int code)
{
    if (code == -EPIPE)
        return EXIT_ANSWERED;
    if (code == -EINTR) {
        __fpurge(stdout); /* at exit nothing is to wait for a reader that does not read */
        return cannot_answer("interrupted");
    }
    return cannot_answer("the answer could not be written: %s", errno_words(code));
}

int output_finish(void)
{
    errno = 0;
    if (fflush(stdout) == EOF || ferror(stdout))
        return output_failed(errno ? -errno : -EIO);
    return EXIT_ANSWERED;
}
