/* SPDX-License-Identifier: MIT */
/* Reads the kernel's counters from /proc/thread-self/net/{snmp,snmp6,netstat,sockstat,sockstat6}:
 * those of the calling thread's network namespace (net/ipv4/proc.c, net/ipv6/proc.c). */
#pragma once

#include "connhist/base/err.h"
#include "connhist/model/counter.h"

/* Reads all that there are; what *ret held is replaced, and it is sorted. The files are read one
 * after the other: no instant. A file that this kernel does not have (no IPv6) adds nothing.
 * -ENOENT: there is none of them; others as open(2), read(2), -EFBIG, -ENOMEM. */
int counters_read(struct counter_table *ret, struct err *err);
