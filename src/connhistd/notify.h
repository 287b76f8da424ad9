/* SPDX-License-Identifier: MIT */
/* The service manager's protocol (sd_notify(3)): datagrams of NAME=VALUE lines to $NOTIFY_SOCKET.
 */
#pragma once

#include <stdint.h>

/* Sends state, if a service manager listens; 0 also without one, negative errno when it could not
 * be sent. */
int notify_send(const char *state);

/* As notify_send("RELOADING=1") with the time stamp that the protocol asks for. */
int notify_reloading(void);

/* How often the service manager wants to hear from this process, ms; 0: never. */
int64_t notify_watchdog_ms(void);
