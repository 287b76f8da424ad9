/* SPDX-License-Identifier: MIT */
/* A growing array. Declare `struct { VEC_FIELDS(type); } name = {0};` or a struct of it. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define VEC_FIELDS(type)                               \
    type *items;    /* owned; freed by vec_finish() */ \
    size_t n;       /* items in use */                 \
    size_t capacity /* items that fit before the next growth */

/* Makes room for `more` items beyond n. Returns 0 or -ENOMEM (nothing changed). */
int vec_grow_(void **items, size_t *capacity, size_t n, size_t more, size_t item_bytes);

#define vec_reserve(v, more) \
    vec_grow_((void **)&(v)->items, &(v)->capacity, (v)->n, (more), sizeof(*(v)->items))

/* Appends a copy of value. 0 or -ENOMEM. */
#define vec_push(v, value) (vec_reserve((v), 1) ? -ENOMEM : ((v)->items[(v)->n++] = (value), 0))

/* Forgets the items and keeps the memory. */
#define vec_clear(v) ((void)((v)->n = 0))

#define vec_finish(v)               \
    do {                            \
        free((v)->items);           \
        (v)->items = NULL;          \
        (v)->n = (v)->capacity = 0; \
    } while (0)
