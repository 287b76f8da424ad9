/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "decode_route.h"
#include "rtnl.h"

struct reader {
    struct route_table *table;
    struct route_hop_vec hops; /* of the route at hand; owned */
    uint8_t family;            /* asked for */
};

static void reader_finish(struct reader *reader)
{
    vec_finish(&reader->hops);
}

/* A kernel without IPv6 answers a question for it with the routes of all other families, and old
 * ones tell IPv6 routes that were learned for a single peer. */
static bool belongs(const struct reader *reader, const void *payload, size_t n)
{
    struct rtmsg message;

    if (n < sizeof(message))
        return true; /* the decoder says what is wrong */
    memcpy(&message, payload, sizeof(message));
    return message.rtm_family == reader->family && !(message.rtm_flags & RTM_F_CLONED);
}

static int add_route(void *arg, const void *payload, size_t n)
{
    struct reader *reader = arg;
    struct route route;
    int r;

    if (!belongs(reader, payload, n))
        return 0;
    r = decode_route(payload, n, &route, &reader->hops);
    if (r < 0)
        return r;
    return route_table_add(reader->table, &route, reader->hops.items, reader->hops.n);
}

static int read_family(struct reader *reader, uint8_t family, struct err *err)
{
    const struct rtnl_dump dump = {.what = family == AF_INET ? "IPv4 routes" : "IPv6 routes",
                                   .fn = add_route,
                                   .arg = reader,
                                   .request = RTM_GETROUTE,
                                   .reply = RTM_NEWROUTE,
                                   .family = family};

    reader->family = family;
    return rtnl_dump(&dump, err);
}

/* Both families; an inconsistent first walk does not stop the second. */
static int read_both(struct reader *reader, struct err *err)
{
    struct err second = {0};
    int first = read_family(reader, AF_INET, err);
    int r;

    if (first < 0 && first != -EINTR)
        return first;
    r = read_family(reader, AF_INET6, &second);
    if (r < 0)
        return err_set(err, r, "%s", second.text);
    return first;
}

int routes_read(struct route_table *ret, struct err *err)
{
    _cleanup_(reader_finish) struct reader reader = {.table = ret};
    int r = -EINTR;

    for (int i = 0; r == -EINTR && i < RTNL_TRIES; i++) {
        route_table_clear(ret);
        r = read_both(&reader, err);
    }
    if (r < 0 && r != -EINTR)
        route_table_clear(ret);
    route_table_rank(ret);
    return r;
}
