/* SPDX-License-Identifier: MIT */
/* What the kernel's counters mean, for those that explain sockets. */
#pragma once

/* One phrase for a counter's name ("TcpExt.ListenOverflows"); NULL: we have none. */
const char *counter_words(const char *name);
