/* SPDX-License-Identifier: MIT */
/* Dumps of the kernel's socket tables by NETLINK_SOCK_DIAG (linux/sock_diag.h, linux/inet_diag.h).
 * Nothing of netlink leaks out: samples come out. One object belongs to one network namespace, the
 * one its opener was in, and to one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/model/sample.h"

struct sock_diag;

/* Gets each sample of a dump; the sample is valid during the call. Returns 0 or a negative errno,
 * which ends the dump with that error. */
typedef int (*sample_fn)(void *arg, const struct sample *sample);

struct sock_diag_dump {
    enum protocol protocol;
    bool
        want_info; /* ask for tcp_info, so that samples have an opener and offload (TCP; 25 % dearer) */
};

/* Opens a netlink socket in the calling thread's network namespace. clock: read once for each
 * message buffer, for sample.sampled_ns; must outlive the object.
 * -EPROTONOSUPPORT: this kernel has no NETLINK_SOCK_DIAG; others as socket(2), bind(2). */
int sock_diag_open(const struct clock *clock, struct sock_diag **ret, struct err *err);
void sock_diag_close(struct sock_diag *diag);

/* One pass over all sockets of a protocol, both families, all states with bound CLOSE ones. TCP is
 * one walk of the kernel's table (TCPDIAG_GETSOCK), two where the kernel refuses that. Doubles are
 * not dropped. 0: complete. -EINTR: the kernel says the walk was inconsistent (NLM_F_DUMP_INTR),
 * all samples were delivered. -ENOENT: the kernel lacks a module, err names it. -EMSGSIZE: a
 * message was cut. -EPROTO: not understood. -ETIMEDOUT: the kernel did not answer for 10 s. Others:
 * the error carried in NLMSG_ERROR or NLMSG_DONE, or fn's (err is then left as fn left it). After
 * any error the next call starts afresh. */
int sock_diag_dump(struct sock_diag *diag, const struct sock_diag_dump *dump, sample_fn fn,
                   void *arg, struct err *err);

/* Asks for tcp_info of the n TCP sockets in samples, by cookie and endpoints, and sets their
 * opener. Those that are gone, of a kind that has no tcp_info, or whose counters don't tell, keep
 * theirs. Requests go in groups. 0, or the error that stopped it (samples before it are done). */
int sock_diag_ask_info(struct sock_diag *diag, struct sample *samples, size_t n, struct err *err);
