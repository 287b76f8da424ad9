/* SPDX-License-Identifier: MIT */
#include "connhist/base/err.h"

#include <stdio.h>
#include <string.h>

int err_vset(struct err *err, int code, const char *format, va_list args)
{
    if (!err)
        return code;
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), format, args);
    return code;
}

int err_set(struct err *err, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    err_vset(err, code, format, args);
    va_end(args);
    return code;
}

static void append(struct err *err, const char *text)
{
    size_t used = strlen(err->text);

    snprintf(err->text + used, sizeof(err->text) - used, "%s", text);
}

int err_errno(struct err *err, int code, const char *format, ...)
{
    va_list args;

    if (!err)
        return code;
    va_start(args, format);
    err_vset(err, code, format, args);
    va_end(args);
    append(err, ": ");
    append(err, strerrordesc_np(-code) ? strerrordesc_np(-code) : "unknown error");
    return code;
}

int err_prefix(struct err *err, int code, const char *format, ...)
{
    char before[ERR_TEXT_MAX];
    va_list args;

    if (!err)
        return code;
    memcpy(before, err->text, sizeof(before));
    va_start(args, format);
    err_vset(err, code, format, args);
    va_end(args);
    append(err, ": ");
    append(err, before);
    return code;
}
