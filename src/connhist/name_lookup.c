/* SPDX-License-Identifier: MIT */
#include "name_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Of resolv.conf(5). */
#define OPTIONS   "timeout:1 attempts:1"
#define NAME_MAX_ 253 /* RFC 1035 */

/* Not what resolv.conf says: with its patience of 10 s nothing is found out in two. */
void name_lookup_prepare(void)
{
    const char *given = getenv("RES_OPTIONS");
    char *options;

    if (asprintf(&options, OPTIONS "%s%s", given ? " " : "", given ? given : "") < 0)
        return;                        /* then it takes longer */
    setenv("RES_OPTIONS", options, 1); /* of two the last one counts */
    free(options);
}

/* An address is none, nor what inet_aton() takes for an address ("1234", "0x7f.1"): so do other programs. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(name);
    struct address address;
    struct in_addr in;
    uint8_t family;

    return n > 0 && n <= NAME_MAX_ && strspn(name, allowed) == n && name[0] != '-' &&
           address_parse(name, &family, &address) < 0 && inet_aton(name, &in) == 0;
}

bool name_lookup(uint8_t family, const struct address *address, char **ret)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool is_in = family == AF_INET;
    const struct sockaddr *to = is_in ? (const void *)&in : (const void *)&in6;
    char name[NI_MAXHOST];
    int r;

    memcpy(&in.sin_addr, address->bytes, sizeof(in.sin_addr));
    memcpy(&in6.sin6_addr, address->bytes, sizeof(in6.sin6_addr));
    r = getnameinfo(to, is_in ? sizeof(in) : sizeof(in6), name, sizeof(name), NULL, 0, NI_NAMEREQD);
    *ret = r == 0 && is_name(name) ? strdup(name) : NULL;
    return r != EAI_AGAIN && r != EAI_SYSTEM && r != EAI_MEMORY;
}
