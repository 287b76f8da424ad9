/* SPDX-License-Identifier: MIT */
/* Destructors that run when a variable leaves its scope. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Runs func(&variable) at the end of the variable's scope. */
#define _cleanup_(func) __attribute__((cleanup(func)))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* Closes a descriptor unless it is negative. */
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_close_  _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

/* Defines cleanup_NAME() for a destructor `void func(type *)` that accepts NULL. */
#define DEFINE_CLEANUP(type, func)             \
    static inline void cleanup_##func(type *p) \
    {                                          \
        if (*p)                                \
            func(*p);                          \
    }

/* Takes the value of a pointer and leaves NULL, for handing ownership on. */
#define TAKE_PTR(p)                 \
    __extension__({                 \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

/* Takes a descriptor and leaves -1. */
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
