/* SPDX-License-Identifier: MIT */
/* Facts about this host and process that /proc tells. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/service.h"

#define BOOT_ID_MAX 40

/* /proc/sys/kernel/random/boot_id without newline. */
int host_boot_id(char ret[static BOOT_ID_MAX], struct err *err);

/* Inode number of the calling thread's network namespace (/proc/thread-self/ns/net). */
int host_netns_inode(uint64_t *ret, struct err *err);

/* net.ipv4.ip_local_port_range of the calling thread's namespace; on error *ret is the kernel's
 * default, 32768-60999. */
int host_ephemeral_range(struct port_range *ret, struct err *err);

/* How many TIME_WAIT sockets of the calling thread's namespace were given up before their time:
 * TcpExt TCPTimeWaitOverflow (too many) and TWRecycled (their ports were taken); grows. 0 if it
 * can't be read. */
uint64_t host_time_wait_dropped(void);

/* net.ipv4.tcp_fin_timeout of the calling thread's namespace in ms; where it can't be read the
 * kernel's default, 60,000. */
int64_t host_fin_timeout_ms(void);

/* Whether n more descriptors can be had below the limit of this process (RLIMIT_NOFILE), as they are
 * handed out, from the lowest free one on. fd: any one of its descriptors. */
bool host_has_descriptors(int fd, int n);

/* Raises the limit of descriptors to what may be had without a privilege; where even that is
 * refused it stays. */
void host_raise_descriptors(void);

/* CPU time (ms, user and system) and resident memory (bytes) of this process. */
void host_own_cost(int64_t *ret_cpu_ms, int64_t *ret_rss_bytes);
