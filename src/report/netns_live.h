/* SPDX-License-Identifier: MIT */
/* The network namespace that a question to the kernel is about. */
#pragma once

#include <stdbool.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/kernel/netns.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/report/filter.h"

#define NETNS_LIVE_NAME_MAX 40

struct netns_live {
    bool is_own; /* the calling thread's: the rest is meaningless */
    struct netns_found found;
    char name[80]; /* as in struct socket_row */
};

/* Finds it. -ENOENT: there is none now, as far as it can be seen. */
int netns_live_find(const struct filter *filter, struct netns_live *ret, struct err *err);

/* The calling thread is in it from now on, until netns_live_leave(*ret_home_fd); the caller closes
 * the descriptor, which is -1 if it stayed where it was. -EPERM: CAP_SYS_ADMIN is missing; others
 * as netns_enter(). */
int netns_live_enter(const struct netns_live *live, int *ret_home_fd, struct err *err);

/* Back home; errors as netns_return(). */
int netns_live_leave(int home_fd, struct err *err);

/* A netlink socket in it. -EPERM: CAP_SYS_ADMIN is missing; others as netns_enter(),
 * sock_diag_open(). */
int netns_live_open(const struct netns_live *live, const struct clock *clock,
                    struct sock_diag **ret, struct err *err);
