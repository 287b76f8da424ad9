/* SPDX-License-Identifier: MIT */
#include "connhist/store/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connhist/model/owner.h"
#include "schema.h"

#define CLASS_SHIFT   58
#define CLOSING_SHIFT 16
#define SERIAL_MAX    0xffff

int file_edition(void)
{
    return schema_migrations_n;
}

unsigned file_closed_class(int64_t duration_ms)
{
    unsigned bits;

    if (duration_ms <= 0)
        return 0;
    bits = 64 - (unsigned)__builtin_clzll((unsigned long long)duration_ms);
    return bits < FILE_CLASSES ? bits : FILE_CLASSES - 1;
}

int64_t file_closed_key(unsigned class, int64_t closing_ms, unsigned serial)
{
    return (int64_t) class << CLASS_SHIFT | closing_ms << CLOSING_SHIFT | (int64_t)serial;
}

int64_t file_closed_at(int64_t key, int64_t late_ms)
{
    return (key >> CLOSING_SHIFT & FILE_CLOSING_MAX) - late_ms;
}

static int64_t clamp_closing(int64_t ms)
{
    return ms < 0 ? 0 : ms > FILE_CLOSING_MAX ? FILE_CLOSING_MAX : ms;
}

/* A life of the class took less than 2^class ms up to the time in its key, which is never before
 * its end: alive within the span, that time is not before from_ms and before until_ms + 2^class. */
void file_alive_range(unsigned class, int64_t from_ms, int64_t until_ms, int64_t *ret_first,
                      int64_t *ret_last)
{
    int64_t from = clamp_closing(from_ms), until = clamp_closing(until_ms);
    int64_t last = class < FILE_CLASSES - 1 ? until + (INT64_C(1) << class) - 1 : FILE_CLOSING_MAX;

    *ret_first = file_closed_key(class, from, 0);
    *ret_last = file_closed_key(class, clamp_closing(last), SERIAL_MAX);
}

unsigned file_traits(unsigned state, unsigned role_source, bool opened_known)
{
    return (state & 15) | ((role_source - 1) & 3) << 4 | (unsigned)opened_known << 6;
}

unsigned file_traits_state(unsigned traits)
{
    return traits & 15;
}

unsigned file_traits_role_source(unsigned traits)
{
    return (traits >> 4 & 3) + 1;
}

bool file_traits_opened_known(unsigned traits)
{
    return traits >> 6 & 1;
}

/* OWNER_BY_INODE and OWNER_BY_NOTHING are both 0, so that the column stays small: which of them, the
 * owner's process tells. */
unsigned file_traits_of_owner(unsigned owner_source)
{
    return owner_source > OWNER_BY_INODE ? (owner_source - OWNER_BY_INODE) << 7 : 0;
}

unsigned file_traits_owner_source(unsigned traits, bool has_process)
{
    unsigned bits = traits >> 7 & 3;

    if (bits == 0)
        return has_process ? OWNER_BY_INODE : OWNER_BY_NOTHING;
    return OWNER_BY_INODE + bits;
}

unsigned file_traits_of_handed_on(bool handed_on)
{
    return (unsigned)handed_on << 9;
}

bool file_traits_handed_on(unsigned traits)
{
    return traits >> 9 & 1;
}

unsigned file_traits_of_offloaded(bool offloaded)
{
    return (unsigned)offloaded << 10;
}

bool file_traits_offloaded(unsigned traits)
{
    return traits >> 10 & 1;
}

unsigned file_traits_of_v6only(bool v6only)
{
    return (unsigned)v6only << 11;
}

bool file_traits_v6only(unsigned traits)
{
    return traits >> 11 & 1;
}

unsigned file_traits_before(unsigned traits)
{
    return traits & ~(3U << 7);
}

unsigned file_closed_by(unsigned closed_by, bool received_uncertain)
{
    return (closed_by & 15) | (unsigned)received_uncertain << 4;
}

unsigned file_closed_by_who(unsigned column)
{
    return column & 15;
}

bool file_closed_by_uncertain(unsigned column)
{
    return column >> 4 & 1;
}

int64_t file_port(uint16_t port)
{
    return (int16_t)port;
}

uint16_t file_port_of(int64_t column)
{
    return (uint16_t)column;
}

struct file_remote file_remote(uint8_t family, const struct address *remote)
{
    if (family == AF_INET || address_is_mapped(family, remote))
        return (struct file_remote){.number = (int32_t)address_ipv4(family, remote)};
    return (struct file_remote){.bytes = remote->bytes, .n = sizeof(remote->bytes), .ipv6 = true};
}

int file_remote_address(uint8_t family, const struct file_remote *remote, struct address *ret)
{
    uint32_t network = htonl((uint32_t)remote->number);
    struct address address = {0};

    if (remote->ipv6) {
        if (family != AF_INET6 || remote->n != sizeof(address.bytes))
            return -EBADMSG;
        memcpy(address.bytes, remote->bytes, sizeof(address.bytes));
    } else {
        if (remote->number < INT32_MIN || remote->number > INT32_MAX)
            return -EBADMSG;
        if (family == AF_INET6)
            address.bytes[10] = address.bytes[11] = 0xff;
        memcpy(address.bytes + (family == AF_INET6 ? 12 : 0), &network, sizeof(network));
    }
    *ret = address;
    return 0;
}

/* The user's home, also where HOME is not set; -ENOENT: none. */
static int home_of_user(char *ret, size_t size)
{
    char buf[4096];
    struct passwd entry, *found = NULL;
    const char *home = secure_getenv("HOME");

    if (!home || *home != '/') {
        if (getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) != 0 || !found)
            return -ENOENT;
        home = entry.pw_dir;
    }
    return (size_t)snprintf(ret, size, "%s", home) < size ? 0 : -ENAMETOOLONG;
}

int file_default_path(char *ret, size_t size, struct err *err)
{
    const char *state = secure_getenv("XDG_STATE_HOME");
    char home[PATH_MAX], path[PATH_MAX];
    int n, r;

    if (geteuid() == 0)
        n = snprintf(path, sizeof(path), "/var/lib/connhist/connhist.db");
    else if (state && *state == '/') /* the specification says to ignore relative ones */
        n = snprintf(path, sizeof(path), "%s/connhist/connhist.db", state);
    else {
        r = home_of_user(home, sizeof(home));
        if (r < 0)
            return err_errno(err, r, "no home folder to look in: set HOME, or name the file");
        n = snprintf(path, sizeof(path), "%s/.local/state/connhist/connhist.db", home);
    }
    if (n < 0 || (size_t)n >= sizeof(path) || (size_t)n >= size)
        return err_errno(err, -ENAMETOOLONG, "the default path of the file");
    memcpy(ret, path, (size_t)n + 1);
    return 0;
}
