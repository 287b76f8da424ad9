/* SPDX-License-Identifier: MIT */
/* Which serials of `closed` were given lately. What is not here is looked up in the file. */
#pragma once

#include <stdint.h>

#include "connhist/store/file.h"

#define SERIALS_SLOTS 512

struct serials {
    struct {
        int64_t first; /* key with serial 0; -1: slot is free */
        uint32_t next; /* next serial to give; beyond 65,535: none is left */
    } slots[SERIALS_SLOTS];
    int64_t last[FILE_CLASSES]; /* key with serial 0 of the last millisecond of each class in which
                                   sockets closed; INT64_MIN: to be looked up */
};

void serials_forget(struct serials *serials);
