/* SPDX-License-Identifier: MIT */
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "complain.h"

/* sh(1): there is no such program, or it can't be run. */
#define SH_NOT_EXECUTED 126
#define SH_NOT_FOUND    127

#define WORDS_MAX 15

/* Whether there is a terminal that a pager can move about on. */
static bool is_wanted(const struct context *ctx, const char *pager)
{
    const char *term = getenv("TERM");

    return ctx->format == FORMAT_TABLE && !ctx->no_pager &&
           !options_has(&ctx->options, OPT_NO_PAGER) && isatty(STDOUT_FILENO) &&
           isatty(STDIN_FILENO) && term && strcmp(term, "dumb") != 0 &&
           !(pager && (!pager[strspn(pager, " \t\n")] || strcmp(pager, "cat") == 0));
}

/* Runs what is words alone without a shell, so that it shows whether it can be run. Returns when it
 * can't, or has more to it than words. */
static void run_words(const char *pager)
{
    char text[1024], *words[WORDS_MAX + 1] = {0}, *rest = text;
    size_t n = 0;

    if (strlen(pager) >= sizeof(text) || strpbrk(pager, "|&;<>()$`\\\"'*?[]#~=%!{}"))
        return;
    snprintf(text, sizeof(text), "%s", pager);
    for (char *word; (word = strtok_r(rest, " \t\n", &rest));) {
        if (n == WORDS_MAX)
            return;
        words[n++] = word;
    }
    if (n == 0)
        return;
    execvp(words[0], words);
}

/* Tells by `told`, with an errno, that it could not be started; else that end closes by itself. */
static void become(const char *pager, int told)
{
    int code;

    setenv("LESS", "FRSX", 0); /* one page: leave at once; colours; lines are cut, not wrapped */
    errno = 0;
    if (pager)
        run_words(pager);
    else
        execlp("less", "less", (char *)NULL);
    code = errno;
    if (pager && code == 0)
        execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
    code = code ? code : errno;
    if (write(told, &code, sizeof(code)) < 0)
        _exit(SH_NOT_EXECUTED);
    _exit(SH_NOT_FOUND);
}

/* 0 when the child became a pager, else why it did not: a negative errno. */
static int become_result(int told)
{
    int code = 0;
    ssize_t n;

    do
        n = read(told, &code, sizeof(code));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(code) ? -code : 0;
}

/* From now on stdout leads to the pager. */
static void lead_to(struct context *ctx, pid_t pid, int rows)
{
    ctx->terminal_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    if (ctx->terminal_fd < 0 || dup2(rows, STDOUT_FILENO) < 0)
        return;
    ctx->pager = pid;
    signal(SIGINT, SIG_IGN);  /* it is the pager's */
    signal(SIGPIPE, SIG_IGN); /* it may be left before the end, or not be there */
}

void pager_start(struct context *ctx)
{
    const char *pager = getenv("PAGER");
    int rows[2], told[2], r;
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
    r = pid > 0 ? become_result(told[0]) : 0;
    if (pid > 0 && r == 0)
        lead_to(ctx, pid, rows[1]);
    close(told[0]);
    close(rows[0]);
    close(rows[1]);
    if (pid > 0 && !ctx->pager)
        waitpid(pid, NULL, 0);
    if (r < 0 && pager)
        complain("the pager %s can't be run (%s): shown without it", pager, errno_words(r));
}

/* Gives stdout back to the terminal; what nobody wanted to read is dropped. */
static void lead_back(struct context *ctx)
{
    if (fflush(stdout) == EOF)
        __fpurge(stdout);
    clearerr(stdout);
    dup2(ctx->terminal_fd, STDOUT_FILENO);
    close(ctx->terminal_fd);
}

bool pager_finish(struct context *ctx)
{
    const char *pager = getenv("PAGER");
    int status = 0;

    if (ctx->pager <= 0)
        return true;
    lead_back(ctx); /* and the pager reads to an end */
    while (waitpid(ctx->pager, &status, 0) < 0 && errno == EINTR)
        continue;
    ctx->pager = 0;
    signal(SIGINT, SIG_DFL);
    if (!pager || !WIFEXITED(status) || WEXITSTATUS(status) == 0)
        return true;
    if (WEXITSTATUS(status) == SH_NOT_FOUND || WEXITSTATUS(status) == SH_NOT_EXECUTED) {
        complain("the pager %s can't be run: shown without it", pager);
        ctx->no_pager = true;
        return false;
    }
    complain("the pager %s ended with status %d; --no-pager shows all without it", pager,
             WEXITSTATUS(status));
    return true;
}
