/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/interfaces.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "decode_link.h"
#include "rtnl.h"

static int add_link(void *arg, const void *payload, size_t n)
{
    struct interface_list *list = arg;
    struct interface interface;
    int r = decode_link(payload, n, &interface);

    if (r < 0)
        return r;
    if (list->n >= INTERFACES_MAX) {
        list->n_left_out++;
        return 0;
    }
    return vec_push(list, interface);
}

int interfaces_read(struct interface_list *ret, struct err *err)
{
    const struct rtnl_dump dump = {.what = "network interfaces",
                                   .fn = add_link,
                                   .arg = ret,
                                   .request = RTM_GETLINK,
                                   .reply = RTM_NEWLINK,
                                   .family = AF_UNSPEC};
    int r = -EINTR;

    for (int i = 0; r == -EINTR && i < RTNL_TRIES; i++) {
        vec_clear(ret);
        ret->n_left_out = 0;
        r = rtnl_dump(&dump, err);
    }
    if (r < 0 && r != -EINTR)
        vec_clear(ret);
    interface_list_sort(ret);
    return r;
}
