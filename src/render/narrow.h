/* SPDX-License-Identifier: MIT */
/* How the columns of a table give way on a terminal that is too narrow for them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Columns of a terminal, as all widths here. */
struct narrow_column {
    int natural;   /* that its widest text takes, heading included */
    int width;     /* that it gets; set by narrow_fit() */
    uint8_t least; /* its texts may be cut to that, but not below its heading; 0: not cut */
    uint8_t tight; /* to that where even leaving out is not enough; 0: no further than least */
    uint8_t gives; /* left out where cutting is not enough: the highest first; 0: never */
    bool empty;    /* no row has a value: left out before those that say something */
    bool out;      /* left out; set by narrow_fit() */
};

/* Chooses width and out of n columns with one blank between each two, so that they take at most
 * `room` if they can: first without any cut, then by cutting the widest, then by leaving out, then
 * by cutting more. */
void narrow_fit(struct narrow_column *columns, size_t n, int room);
