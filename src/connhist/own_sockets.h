/* SPDX-License-Identifier: MIT */
/* The sockets of this process: the live table leaves out those that ask for names. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"

/* Zeroed: none. */
struct own_sockets {
    VEC_FIELDS(uint32_t); /* inodes */
};

void own_sockets_finish(struct own_sockets *sockets);

/* Adds those that are open now, from /proc/self/fd; without it none. 0 or -ENOMEM. */
int own_sockets_add(struct own_sockets *sockets);

/* inode: 0 is nobody's. */
bool own_sockets_has(const struct own_sockets *sockets, uint32_t inode);
