/* SPDX-License-Identifier: MIT */
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether there is a terminal that a pager can move about on. */
static bool is_wanted(const struct context *ctx, const char *pager)
{
    const char *term = getenv("TERM");

    return ctx->format == FORMAT_TABLE && !options_has(&ctx->options, OPT_NO_PAGER) &&
           isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && term && strcmp(term, "dumb") != 0 &&
           !(pager && (!*pager || strcmp(pager, "cat") == 0));
}

/* Tells by `told` that it could not be started; else that end closes by itself. */
static void become(const char *pager, int told)
{
    char none = 1;

    setenv("LESS", "FRSX", 0); /* one page: leave at once; colours; lines are cut, not wrapped */
    if (pager)
        execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
    else
        execlp("less", "less", (char *)NULL);
    if (write(told, &none, 1) < 0)
        _exit(126);
    _exit(127);
}

/* Whether the child became a pager. */
static bool has_become(int told)
{
    ssize_t n;
    char none;

    do
        n = read(told, &none, 1);
    while (n < 0 && errno == EINTR);
    return n == 0;
}

void pager_start(struct context *ctx)
{
    const char *pager = getenv("PAGER");
    int rows[2], told[2];
    pid_t pid;

    if (!is_wanted(ctx, pager) || pipe2(rows, O_CLOEXEC) < 0)
        return;
    if (pipe2(told, O_CLOEXEC) < 0) {
        close(rows[0]);
        close(rows[1]);
        return;
    }
    pid = fork();
    if (pid == 0) {
        dup2(rows[0], STDIN_FILENO);
        become(pager, told[1]);
    }
    close(told[1]);
    if (pid > 0 && has_become(told[0]) && dup2(rows[1], STDOUT_FILENO) >= 0) {
        ctx->pager = pid;
        signal(SIGINT, SIG_IGN); /* it is the pager's: whoever leaves that ends us by SIGPIPE */
    } else if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
    close(told[0]);
    close(rows[0]);
    close(rows[1]);
}

void pager_finish(struct context *ctx)
{
    if (ctx->pager <= 0)
        return;
    fclose(stdout);
    while (waitpid(ctx->pager, NULL, 0) < 0 && errno == EINTR)
        continue;
    ctx->pager = 0;
}
