/* SPDX-License-Identifier: MIT */
#include "real_sockets.h"

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t loopback(enum tongue tongue, bool server, uint16_t port, union any_address *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (tongue == TONGUE_IPV4 || (tongue == TONGUE_MAPPED && !server)) {
        ret->in.sin_family = AF_INET;
        ret->in.sin_port = htons(port);
        ret->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(ret->in);
    }
    ret->in6.sin6_family = AF_INET6;
    ret->in6.sin6_port = htons(port);
    if (tongue == TONGUE_IPV6)
        ret->in6.sin6_addr = in6addr_loopback;
    return sizeof(ret->in6);
}

int enter_own_network(void **state)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    _cleanup_close_ int fd = -1;

    (void)state;
    if (unshare(CLONE_NEWNET) < 0)
        return 0;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -1 : 0;
}

int bound_socket(enum tongue tongue, int type)
{
    union any_address address;
    socklen_t n = loopback(tongue, true, 0, &address);
    int v6only = tongue == TONGUE_IPV6, fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (tongue != TONGUE_IPV4)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
    assert_int_equal(bind(fd, &address.any, n), 0);
    return fd;
}

uint16_t local_port(int fd)
{
    union any_address address;
    socklen_t n = sizeof(address);

    assert_int_equal(getsockname(fd, &address.any, &n), 0);
    return ntohs(address.any.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
}

uint64_t cookie_of(int fd)
{
    uint64_t cookie;
    socklen_t n = sizeof(cookie);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
    return cookie;
}

uint64_t inode_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

int connect_to(enum tongue tongue, int fd, uint16_t port)
{
    union any_address address;
    socklen_t n = loopback(tongue, false, port, &address);

    return connect(fd, &address.any, n) < 0 ? -errno : 0;
}

int client_of(enum tongue tongue, uint16_t port)
{
    int family = tongue == TONGUE_IPV6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect_to(tongue, fd, port), 0);
    return fd;
}

struct pair connected_pair(enum tongue tongue)
{
    struct pair pair = {.listener = bound_socket(tongue, SOCK_STREAM)};

    assert_int_equal(listen(pair.listener, 8), 0);
    pair.port = local_port(pair.listener);
    pair.client = client_of(tongue, pair.port);
    pair.client_port = local_port(pair.client);
    pair.server = accept(pair.listener, NULL, NULL);
    assert_true(pair.server >= 0);
    return pair;
}

static void close_once(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void pair_close(struct pair *pair)
{
    close_once(&pair->client);
    close_once(&pair->server);
    close_once(&pair->listener);
}

static int keep(void *arg, const struct sample *sample)
{
    struct table *table = arg;

    if (table->n == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 256;
        table->items = realloc(table->items, table->capacity * sizeof(*table->items));
        assert_non_null(table->items);
    }
    table->items[table->n++] = *sample;
    return 0;
}

void table_read(struct table *table, struct sock_diag *diag, const struct sock_diag_dump *dump)
{
    struct err err = {0};
    int r;

    table->n = 0;
    r = sock_diag_dump(diag, dump, keep, table, &err);
    if (r < 0)
        fail_msg("sock_diag_dump: %s", err.text);
}

void table_finish(struct table *table)
{
    free(table->items);
    *table = (struct table){0};
}

struct sample *table_find(struct table *table, uint16_t local, uint16_t remote)
{
    struct sample *found = NULL;

    for (size_t i = 0; i < table->n; i++) {
        struct sample *sample = &table->items[i];

        if (sample->local_port != local || sample->remote_port != remote)
            continue;
        if (found)
            fail_msg("two sockets have the ports %u and %u", local, remote);
        found = sample;
    }
    return found;
}

/* As /proc/net writes an endpoint: 32-bit words in host byte order. */
static void hex_endpoint(const struct sample *sample, const struct address *address, uint16_t port,
                         char ret[static 48])
{
    size_t used = 0;

    for (size_t i = 0; i < address_bytes(sample->family); i += 4) {
        uint32_t word;

        memcpy(&word, address->bytes + i, 4);
        used += (size_t)snprintf(ret + used, 48 - used, "%08X", word);
    }
    snprintf(ret + used, 48 - used, ":%04X", port);
}

bool proc_has(const struct sample *sample)
{
    char local[48], remote[48], wanted[128], path[64], line[512];
    _cleanup_fclose_ FILE *file = NULL;

    hex_endpoint(sample, &sample->local, sample->local_port, local);
    hex_endpoint(sample, &sample->remote, sample->remote_port, remote);
    snprintf(wanted, sizeof(wanted), ": %s %s %02X ", local, remote, sample->state);
    snprintf(path, sizeof(path), "/proc/net/%s%s", protocol_name(sample->protocol),
             sample->family == AF_INET6 ? "6" : "");
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (strstr(line, wanted))
            return true;
    return false;
}
