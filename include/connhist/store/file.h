/* SPDX-License-Identifier: MIT */
/* Facts of the file's format that writers and readers share. See schema/ and connhist-schema(5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/address.h"

/* PRAGMA application_id of a connhist file: "cnhs". */
#define FILE_APPLICATION_ID 0x636e6873

#define FILE_CLASSES     32                       /* duration classes in the key of `closed` */
#define FILE_CLOSING_MAX ((INT64_C(1) << 42) - 1) /* latest closing in it, ms of record time */
#define FILE_SERIALS     65536 /* rows of `closed` of one class and millisecond in it */

/* The newest edition (PRAGMA user_version) that this program knows: the number of migrations. */
int file_edition(void);

/* The class of a duration: its number of bits, at most 31. duration_ms >= 0. */
unsigned file_closed_class(int64_t duration_ms);

/* The latest closing time that a key can hold: 2109. */
#define FILE_CLOSING_MAX ((INT64_C(1) << 42) - 1)

/* The key of `closed`; closing_ms of record time, 0 … FILE_CLOSING_MAX. */
int64_t file_closed_key(unsigned class, int64_t closing_ms, unsigned serial);

/* When the life of a key ended; late_ms: the column of its row. Record time. */
int64_t file_closed_at(int64_t key, int64_t late_ms);

/* The range of keys in which sockets of a class stand that were alive at some instant of [from_ms,
 * until_ms] (record time): *ret_first <= key <= *ret_last. Rows in it must still be tested with
 * their exact times. */
void file_alive_range(unsigned class, int64_t from_ms, int64_t until_ms, int64_t *ret_first,
                      int64_t *ret_last);

/* The columns `traits` of open and closed. */
unsigned file_traits(unsigned state, unsigned role_source, bool opened_known);
unsigned file_traits_state(unsigned traits);
unsigned file_traits_role_source(unsigned traits);
bool file_traits_opened_known(unsigned traits);

/* The part of it that tells how the owner was found out: enum owner_source. has_process: of the
 * owner. */
unsigned file_traits_of_owner(unsigned owner_source);
unsigned file_traits_owner_source(unsigned traits, bool has_process);

/* The part of it that tells that the life had other owners before: they are in owner_changes. */
unsigned file_traits_of_handed_on(bool handed_on);
bool file_traits_handed_on(unsigned traits);

/* The part of it that tells that something other than the host's TCP held it at some time: when and
 * what is in offloads. */
unsigned file_traits_of_offloaded(bool offloaded);
bool file_traits_offloaded(unsigned traits);

/* The part of it that tells that an IPv6 socket does not take IPv4: of those that listen, or are bound
 * and not connected. */
unsigned file_traits_of_v6only(bool v6only);
bool file_traits_v6only(unsigned traits);

/* The same traits with how an earlier owner was found out: seen to hold it, or not known. */
unsigned file_traits_before(unsigned traits);

/* The column `closed_by` of closed and late; 0 is written as NULL. closed_by: enum closed_by. */
unsigned file_closed_by(unsigned closed_by, bool received_uncertain);
unsigned file_closed_by_who(unsigned column);
bool file_closed_by_uncertain(unsigned column);

/* The columns `local_port` and `remote_port`: a signed number of 16 bits takes two bytes in the file,
 * where ports from 32,768 on would take three. */
int64_t file_port(uint16_t port);
uint16_t file_port_of(int64_t column);

/* A value of the column `remote`. */
struct file_remote {
    const void *bytes; /* IPv6, network byte order, where ipv6 is set; not owned */
    size_t n;          /* bytes in it: 16, or the file is damaged */
    int64_t number;    /* IPv4 as a signed number of 32 bits, where it is not set */
    bool ipv6;         /* which it is */
};

/* The value for a remote address: IPv4-mapped ones are written as IPv4. `bytes` points into remote. */
struct file_remote file_remote(uint8_t family, const struct address *remote);

/* The address that a value tells, mapped if it is IPv4 and the socket of AF_INET6. -EBADMSG: no socket
 * of the family has that. */
int file_remote_address(uint8_t family, const struct file_remote *remote, struct address *ret);

/* The file used when none is named: /var/lib/connhist/connhist.db for root, else
 * $XDG_STATE_HOME/connhist/connhist.db or ~/.local/state/connhist/connhist.db.
 * -ENAMETOOLONG; -ENOENT: no home. */
int file_default_path(char *ret, size_t size, struct err *err);

/* The process that records into the file now; 0: none; negative errno when that can't be told. */
int file_recorder_pid(const char *path);

/* Whether there is such a group, by name or number: 0; -EINVAL: no. */
int file_check_group(const char *name, struct err *err);

/* Whether the calling user can make, write and chmod path and its companions by the rights of an owner
 * alone: they and the folder (or the nearest above it that exists) are its own, of a group that it is
 * in, and their modes let it. What does not exist is no hindrance. */
bool file_is_own(const char *path);
