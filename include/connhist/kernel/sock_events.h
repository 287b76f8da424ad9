/* SPDX-License-Identifier: MIT */
/* The kernel's word about each socket it frees: the destroy groups of NETLINK_SOCK_DIAG. One object
 * belongs to one network namespace, the one its opener was in, and to one thread. No privilege is
 * needed, but a large buffer needs CAP_NET_ADMIN. An open object keeps its namespace alive. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/model/closing.h"

struct sock_events;
struct sock_events_reader;

/* What one event takes of the receive buffer (Linux 6.18), for reckoning how many it holds. */
#define SOCK_EVENTS_BYTES_EACH 1280

/* Gets each closing; it is valid during the call. */
typedef void (*closing_fn)(void *arg, const struct closing *closing);

struct sock_events_drained {
    size_t n_closings; /* handed to fn */
    size_t n_bad;      /* not understood, or cut */
    size_t n_foreign;  /* not from the kernel; ignored */
    bool lost;         /* the buffer had overflowed: the kernel does not say how many it dropped */
    bool more;         /* max was reached: others may wait */
};

/* Opens a netlink socket in the calling thread's network namespace and joins the groups for TCP and
 * UDP over IPv4 and IPv6. clock: read once for each batch, for closing.received_ns; must outlive
 * the object. buffer_bytes: the receive buffer wished for, as the kernel counts (see
 * SOCK_EVENTS_BYTES_EACH); where CAP_NET_ADMIN is missing it is cut to twice net.core.rmem_max.
 * -EPROTONOSUPPORT: this kernel has no NETLINK_SOCK_DIAG; others as socket(2), setsockopt(2). */
int sock_events_open(const struct clock *clock, size_t buffer_bytes, struct sock_events **ret,
                     struct err *err);
void sock_events_close(struct sock_events *events);

/* The memory that events are read into, 80 KiB; one does for many objects. 0 or -ENOMEM. */
int sock_events_reader_new(struct sock_events_reader **ret);
void sock_events_reader_free(struct sock_events_reader *reader);

/* For poll(2): readable when an event or a loss waits. Don't read from it. */
int sock_events_fd(const struct sock_events *events);

/* The size of the receive buffer that was really got. */
size_t sock_events_buffer_bytes(const struct sock_events *events);

/* Sets another size, which may be missed as in sock_events_open(). What waits is not lost. 0 or
 * negative errno, the size is then as it was. */
int sock_events_resize(struct sock_events *events, size_t buffer_bytes);

/* Reads what waits, but about max datagrams at most (rounded up to whole batches), and gives each
 * closing to fn. Never blocks. After a loss it goes on. 0, or as recvmmsg(2): what was read before
 * the error was handed on, and *ret tells of it in either case. */
int sock_events_drain(struct sock_events *events, struct sock_events_reader *reader, closing_fn fn,
                      void *arg, size_t max, struct sock_events_drained *ret, struct err *err);
