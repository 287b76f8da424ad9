/* SPDX-License-Identifier: MIT */
#include "connhist/base/vec.h"

#include <errno.h>
#include <stdint.h>

int vec_grow_(void **items, size_t *capacity, size_t n, size_t more, size_t item_bytes)
{
    size_t wanted;
    void *grown;

    if (more > SIZE_MAX / 2 - n)
        return -ENOMEM;
    if (n + more <= *capacity)
        return 0;
    wanted = *capacity < 8 ? 8 : *capacity + *capacity / 2;
    if (wanted < n + more)
        wanted = n + more;
    grown = reallocarray(*items, wanted, item_bytes);
    if (!grown)
        return -ENOMEM;
    *items = grown;
    *capacity = wanted;
    return 0;
}
