/* SPDX-License-Identifier: MIT */
/* The network interfaces of the calling thread's namespace, by rtnetlink (RTM_GETLINK). */
#pragma once

#include "connhist/base/err.h"
#include "connhist/model/interface.h"

/* Reads all with their statistics; what *ret held is replaced, and it is sorted. 0. -EINTR: they
 * changed under each of a few walks; *ret has what the last one told. Others leave *ret empty:
 * -EPROTO: not understood; -ETIMEDOUT: the kernel did not answer for 10 s; -ENOMEM; or what
 * socket(2), recvmsg(2) or the kernel's answer said. */
int interfaces_read(struct interface_list *ret, struct err *err);
