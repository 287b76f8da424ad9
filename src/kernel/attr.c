/* SPDX-License-Identifier: MIT */
#include "attr.h"

#include <errno.h>
#include <libmnl/libmnl.h>

int attr_next(struct attr_walk *walk, const struct nlattr **ret)
{
    const struct nlattr *attr = (const void *)walk->at;
    size_t step;

    if (walk->left == 0)
        return 0;
    if (walk->left < sizeof(*attr) || attr->nla_len < sizeof(*attr) || attr->nla_len > walk->left)
        return -EPROTO;
    step = MNL_ALIGN(attr->nla_len);
    if (step > walk->left)
        step = walk->left;
    walk->at += step;
    walk->left -= step;
    *ret = attr;
    return 1;
}
