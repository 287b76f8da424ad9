/* SPDX-License-Identifier: MIT */
#include "connhist/model/service.h"

#include <errno.h>

#include "connhist/base/strutil.h"

enum port_class port_class(uint16_t port)
{
    if (port < 1024)
        return PORT_WELL_KNOWN;
    return port < 49152 ? PORT_REGISTERED : PORT_DYNAMIC;
}

const char *port_class_name(enum port_class class)
{
    switch (class) {
    case PORT_WELL_KNOWN:
        return "well-known";
    case PORT_REGISTERED:
        return "registered";
    default:
        return "dynamic";
    }
}

/* How likely a client got this port from the kernel: higher is likelier. */
static int client_rank(uint16_t port, const struct port_range *ephemeral)
{
    return port_in_range(ephemeral, port) ? 3 : (int)port_class(port);
}

enum role role_by_ports(uint16_t local_port, uint16_t remote_port,
                        const struct port_range *ephemeral)
{
    int local = client_rank(local_port, ephemeral), remote = client_rank(remote_port, ephemeral);

    if (local != remote)
        return local > remote ? ROLE_CLIENT : ROLE_SERVER;
    return local_port > remote_port ? ROLE_CLIENT : ROLE_SERVER;
}

const char *role_name(unsigned role)
{
    return role == ROLE_SERVER ? "server" : role == ROLE_CLIENT ? "client" : "?";
}

int role_parse(const char *text, enum role *ret)
{
    if (same_word(text, "server"))
        *ret = ROLE_SERVER;
    else if (same_word(text, "client"))
        *ret = ROLE_CLIENT;
    else
        return -EINVAL;
    return 0;
}

const char *role_source_name(unsigned source)
{
    static const char *const names[] = {"?", "state", "tcp_info", "listener", "port_class"};

    return source < sizeof(names) / sizeof(names[0]) ? names[source] : names[0];
}
