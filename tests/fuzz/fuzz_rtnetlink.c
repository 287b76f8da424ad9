/* SPDX-License-Identifier: MIT */
/* Any bytes as the payload of one message. Byte 0 of the input: 0 RTM_NEWLINK, 1 RTM_NEWROUTE; bytes
 * 1-3 are not used; then the payload. */
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "kernel/decode_link.h"
#include "kernel/decode_route.h"

#define HEAD_BYTES 4

static void check_link(const void *payload, size_t n)
{
    struct interface interface;
    int r = decode_link(payload, n, &interface);

    assert(r == 0 || r == -EPROTO);
    if (r < 0)
        return;
    assert(*interface.name && memchr(interface.name, '\0', sizeof(interface.name)));
    assert(interface.ifindex > 0 && interface.ifindex <= INT32_MAX);
    assert(interface.stats.rx_bytes >= 0 && interface.stats.tx_carrier >= 0);
}

static void check_route(const void *payload, size_t n)
{
    struct route_hop_vec hops = {0};
    struct route_table table = {0};
    struct route route;
    int r = decode_route(payload, n, &route, &hops);

    assert(r == 0 || r == -EPROTO || r == -ENOMEM);
    if (r == 0) {
        struct address cut = route.destination;

        assert(route.family == AF_INET || route.family == AF_INET6);
        assert(route.bits <= address_bytes(route.family) * 8 && route.n_hops == hops.n);
        if (route.family == AF_INET6 && !address_is_mapped(route.family, &cut)) {
            address_cut(route.family, &cut, 32, route.bits);
            assert(memcmp(&cut, &route.destination, sizeof(cut)) == 0);
        }
        assert(route.pref <= ROUTE_PREF_HIGH && (route.mtu_bytes || !route.mtu_locked));
        assert(!route_leads_nowhere(route.type) || hops.n == 0);
        for (size_t i = 0; i < hops.n; i++)
            assert(hops.items[i].weight >= 1 && hops.items[i].weight <= 256);
        if (route_table_add(&table, &route, hops.items, hops.n) == 0) {
            route_table_rank(&table);
            assert(route_compare(&table, &table.items[0], &table, &table.items[0]) == 0);
        }
    }
    route_table_finish(&table);
    vec_finish(&hops);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    _cleanup_free_ uint8_t *payload = NULL;

    if (n <= HEAD_BYTES)
        return 0;
    payload = malloc(n - HEAD_BYTES); /* aligned, and with nothing behind it */
    if (!payload)
        return 0;
    memcpy(payload, data + HEAD_BYTES, n - HEAD_BYTES);
    if (data[0] == 0)
        check_link(payload, n - HEAD_BYTES);
    else
        check_route(payload, n - HEAD_BYTES);
    return 0;
}
