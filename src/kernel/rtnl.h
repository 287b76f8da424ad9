/* SPDX-License-Identifier: MIT */
/* One dump by NETLINK_ROUTE in the calling thread's network namespace. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

/* A dump that was inconsistent is made again, this often in all. */
#define RTNL_TRIES 3

/* Gets each message's payload, 4-byte aligned, valid during the call. 0 or a negative errno, which
 * ends the dump with that error. */
typedef int (*rtnl_fn)(void *arg, const void *payload, size_t n);

struct rtnl_dump {
    const char *what; /* "network interfaces", for messages; not owned */
    rtnl_fn fn;
    void *arg;        /* handed to fn */
    uint16_t request; /* RTM_GETLINK … */
    uint16_t reply;   /* RTM_NEWLINK … */
    uint8_t family;   /* AF_UNSPEC, AF_INET, AF_INET6 */
};

/* 0. -EINTR: inconsistent (NLM_F_DUMP_INTR), all was delivered. -EPROTO, -ETIMEDOUT, -EMSGSIZE,
 * fn's error, or as socket(2), recvmsg(2) and the kernel's answer; err says which. */
int rtnl_dump(const struct rtnl_dump *dump, struct err *err);
