/* SPDX-License-Identifier: MIT */
/* Addresses and ports of sockets, as programs and people read them. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "socket_table.h"

static bool is_link_local(uint8_t family, const struct address *address)
{
    const uint8_t *b = address->bytes;

    return family == AF_INET6 &&
           ((b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || (b[0] == 0xff && (b[1] & 0x0f) == 0x02));
}

/* "%eth0", or "%3" where the name is not known. */
static void add_scope(const struct socket_row *row, char buf[static SCOPED_MAX])
{
    size_t used = strlen(buf);

    if (*row->interface)
        snprintf(buf + used, SCOPED_MAX - used, "%%%.15s", row->interface);
    else
        snprintf(buf + used, SCOPED_MAX - used, "%%%u", (unsigned)row->scope_ifindex);
}

const char *socket_table_address(const struct socket_row *row, const struct address *address,
                                 char buf[static SCOPED_MAX])
{
    address_format(row->family, address, buf);
    if (row->scope_ifindex && is_link_local(row->family, address))
        add_scope(row, buf);
    return buf;
}

/* As ss(8) writes it: with the interface that it is bound to, and "*" where both IPv6 and IPv4 are
 * taken. False: without brackets. */
static bool address_for_people(const struct socket_row *row, const struct address *address,
                               char buf[static SCOPED_MAX])
{
    bool both = row->v6only == 0 && address_is_any(row->family, address);

    socket_table_address(row, address, buf);
    if (both)
        snprintf(buf, SCOPED_MAX, "*");
    if (row->scope_ifindex && address == &row->local && !is_link_local(row->family, address))
        add_scope(row, buf);
    return row->family == AF_INET6 && !both;
}

const char *socket_table_name(const struct socket_table *table, const struct socket_row *row)
{
    return table->resolver ? resolver_name(table->resolver, row->family, &row->remote) : NULL;
}

const char *socket_table_endpoint(const struct socket_table *table, const struct socket_row *row,
                                  const struct address *address, uint16_t port,
                                  char buf[static ENDPOINT_MAX])
{
    const char *name = NULL, *host = address == &row->remote ? socket_table_name(table, row) : NULL;
    char text[SCOPED_MAX], number[8];
    bool brackets = address_for_people(row, address, text);

    snprintf(number, sizeof(number), "%u", (unsigned)port);
    if (port && table->names)
        name = names_of_port(table->names, row->protocol, port);
    snprintf(buf, ENDPOINT_MAX, brackets && !host ? "[%s]:%s" : "%s:%s", host ? host : text,
             !port  ? "*"
             : name ? name
                    : number);
    return buf;
}
