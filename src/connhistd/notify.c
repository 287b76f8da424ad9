/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/base/strutil.h"

int notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;
    socklen_t size;

    if (!path || !*path)
        return 0;
    if ((*path != '/' && *path != '@') || strlen(path) >= sizeof(to.sun_path))
        return -EINVAL;
    memcpy(to.sun_path, path, strlen(path));
    if (*path == '@')
        to.sun_path[0] = '\0'; /* the abstract namespace */
    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, size) < 0)
        return -errno;
    return 0;
}

int notify_reloading(void)
{
    struct timespec now = {0};
    char state[80];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    return notify_send(state);
}

int64_t notify_watchdog_ms(void)
{
    const char *usec_text = getenv("WATCHDOG_USEC"), *pid_text = getenv("WATCHDOG_PID");
    uint64_t usec, pid;

    if (!usec_text || parse_u64(usec_text, 1, INT64_MAX, &usec) < 0)
        return 0;
    if (pid_text && (parse_u64(pid_text, 1, INT32_MAX, &pid) < 0 || (pid_t)pid != getpid()))
        return 0;
    return usec >= 1000 ? (int64_t)(usec / 1000) : 1;
}
