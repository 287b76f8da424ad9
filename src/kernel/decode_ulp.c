/* SPDX-License-Identifier: MIT */
#include "decode_ulp.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/tls.h>
#include <stdbool.h>
#include <string.h>

#include "attr.h"
#include "connhist/model/offload.h"

/* What the attributes of one ULP told. */
struct ulp {
    uint8_t offload;      /* enum offload, by its name */
    uint16_t tls_tx_mode; /* TLS_INFO_TXCONF; 0: not told */
    uint16_t tls_rx_mode; /* TLS_INFO_RXCONF; 0: not told */
    uint32_t mptcp_flags; /* MPTCP_SUBFLOW_ATTR_FLAGS; 0: not told */
};

typedef int (*attr_fn)(const struct nlattr *attr, struct ulp *ulp);

static int each(const void *payload, size_t n, attr_fn fn, struct ulp *ulp)
{
    struct attr_walk walk = {.at = payload, .left = n};
    const struct nlattr *attr;
    int r;

    while ((r = attr_next(&walk, &attr)) > 0) {
        r = fn(attr, ulp);
        if (r < 0)
            return r;
    }
    return r;
}

static int each_in(const struct nlattr *attr, attr_fn fn, struct ulp *ulp)
{
    return each(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr), fn, ulp);
}

static uint8_t offload_of(const char *name, size_t n)
{
    static const struct {
        const char *name; /* tcp_ulp_ops.name */
        uint8_t offload;
    } known[] = {
        {"tls", OFFLOAD_KTLS},
        {"mptcp", OFFLOAD_MPTCP},
        {"espintcp", OFFLOAD_ESPINTCP},
        {"smc", OFFLOAD_SMC},
    };

    n = strnlen(name, n);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == n && memcmp(known[i].name, name, n) == 0)
            return known[i].offload;
    return OFFLOAD_OTHER;
}

static int take_u16(const struct nlattr *attr, uint16_t *ret)
{
    if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
        return -EPROTO;
    memcpy(ret, mnl_attr_get_payload(attr), sizeof(*ret));
    return 0;
}

static int take_tls(const struct nlattr *attr, struct ulp *ulp)
{
    switch (mnl_attr_get_type(attr)) {
    case TLS_INFO_TXCONF:
        return take_u16(attr, &ulp->tls_tx_mode);
    case TLS_INFO_RXCONF:
        return take_u16(attr, &ulp->tls_rx_mode);
    default:
        return 0;
    }
}

static int take_mptcp(const struct nlattr *attr, struct ulp *ulp)
{
    if (mnl_attr_get_type(attr) != MPTCP_SUBFLOW_ATTR_FLAGS)
        return 0;
    if (mnl_attr_get_payload_len(attr) < sizeof(ulp->mptcp_flags))
        return -EPROTO;
    memcpy(&ulp->mptcp_flags, mnl_attr_get_payload(attr), sizeof(ulp->mptcp_flags));
    return 0;
}

static int take(const struct nlattr *attr, struct ulp *ulp)
{
    switch (mnl_attr_get_type(attr)) {
    case INET_ULP_INFO_NAME:
        ulp->offload = offload_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
        return 0;
    case INET_ULP_INFO_TLS:
        return each_in(attr, take_tls, ulp);
    case INET_ULP_INFO_MPTCP:
        return each_in(attr, take_mptcp, ulp);
    default:
        return 0;
    }
}

/* Who connects keeps the ULP when the peer does not speak MPTCP: the handshake is over, and neither
 * flag says that the peer agreed. */
static bool fell_back(uint32_t flags)
{
    return flags & MPTCP_SUBFLOW_FLAG_CONNECTED &&
           !(flags & (MPTCP_SUBFLOW_FLAG_MCAP_REM | MPTCP_SUBFLOW_FLAG_JOIN_REM));
}

int decode_ulp(const void *payload, size_t n, uint8_t *ret)
{
    struct ulp ulp = {.offload = OFFLOAD_OTHER};
    int r = each(payload, n, take, &ulp);

    if (r < 0)
        return r;
    if (ulp.offload == OFFLOAD_KTLS)
        ulp.offload = offload_ktls(ulp.tls_tx_mode, ulp.tls_rx_mode);
    else if (ulp.offload == OFFLOAD_MPTCP && fell_back(ulp.mptcp_flags))
        ulp.offload = OFFLOAD_MPTCP_AS_TCP;
    *ret = ulp.offload;
    return 0;
}
