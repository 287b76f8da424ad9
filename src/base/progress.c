/* SPDX-License-Identifier: MIT */
#include "connhist/base/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connhist/base/clock.h"

#define PAUSE_NS  (100 * NS_PER_MS)
#define BAR_WIDTH 30

void progress_init(struct progress *progress, int fd)
{
    *progress = (struct progress){.fd = fd, .on = isatty(fd) == 1};
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

/* A terminal that takes nothing is no reason to stop the work. */
static void put(const struct progress *progress, const char *text, size_t n)
{
    if (write(progress->fd, text, n) < 0)
        return;
}

void progress_show(struct progress *progress, const char *what, int64_t done, int64_t total)
{
    char line[160], bar[BAR_WIDTH + 1];
    int64_t share = total > 0 ? done * 100 / total : -1;
    size_t full;
    int n;

    if (!progress || !progress->on || now_ns() < progress->next_ns)
        return;
    if (share > 100)
        share = 100;
    full = share < 0 ? 0 : (size_t)share * BAR_WIDTH / 100;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', full);
    bar[BAR_WIDTH] = '\0';
    if (share >= 0)
        n = snprintf(line, sizeof(line), "\r[%s] %3d %%  %.80s\033[K", bar, (int)share, what);
    else
        n = snprintf(line, sizeof(line), "\r%.80s ...\033[K", what);
    put(progress, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
    progress->shown = true;
    progress->next_ns = now_ns() + PAUSE_NS;
}

void progress_clear(struct progress *progress)
{
    if (!progress || !progress->shown)
        return;
    put(progress, "\r\033[K", 4);
    progress->shown = false;
    progress->next_ns = 0;
}
