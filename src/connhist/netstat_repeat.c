/* SPDX-License-Identifier: MIT */
#include "netstat_repeat.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connhist/base/clock.h"
#include "connhist/base/timetext.h"

#include "complain.h"
#include "question.h"

#define INTERVAL_LEAST_MS 100
#define COUNT_MOST        1000000000

/* "2", "0.5", ".5", "1.": what netstat and sleep(1) take, seconds; else a duration with its unit. */
static int read_interval(const char *text, int64_t *ret_ms)
{
    size_t length = strlen(text);
    bool bare = text[strspn(text, "0123456789.")] == '\0' && text[strcspn(text, "0123456789")];
    bool has_point = bare && length > 1 && text[length - 1] == '.';
    char with_unit[32];
    struct err err = {0};
    int64_t ms = 0;

    if (bare && length + 3 > sizeof(with_unit))
        return wrong_usage("INTERVAL %s is too long", text);
    if (bare)
        snprintf(with_unit, sizeof(with_unit), "%s%.*ss", *text == '.' ? "0" : "",
                 (int)(length - has_point), text);
    if (duration_parse(bare ? with_unit : text, &ms, &err) < 0)
        return wrong_usage(
            "INTERVAL %s is neither seconds (2, 0.5) nor a duration (500ms, 1m); see "
            "connhist netstat --help",
            text);
    if (ms < INTERVAL_LEAST_MS)
        return wrong_usage("INTERVAL %s is too short; it must be at least %dms", text,
                           INTERVAL_LEAST_MS);
    *ret_ms = ms;
    return EXIT_ANSWERED;
}

int netstat_repeat_read(const struct context *ctx, struct repetition *ret)
{
    struct repetition repetition = {0};
    int status;

    if (ctx->n_words > 1)
        return wrong_usage("netstat: unexpected word %s; see connhist netstat --help",
                           ctx->words[1]);
    status =
        ctx->n_words > 0 ? read_interval(ctx->words[0], &repetition.interval_ms) : EXIT_ANSWERED;
    if (status != EXIT_ANSWERED)
        return status;
    if (ctx->n_words > 0 && options_has(&ctx->options, OPT_AT))
        return wrong_usage("INTERVAL repeats what is now: --at shows one instant");
    if (ctx->n_words > 0 &&
        (options_has(&ctx->options, OPT_SINCE) || options_has(&ctx->options, OPT_UNTIL)))
        return wrong_usage("INTERVAL repeats what is now: --since and --until show a past span");
    if (options_has(&ctx->options, OPT_REPEATS) && ctx->n_words == 0)
        return wrong_usage("--count goes with INTERVAL: netstat --count 5 2s");
    status = question_number(ctx, OPT_REPEATS, COUNT_MOST, &repetition.count);
    if (status == EXIT_ANSWERED)
        *ret = repetition;
    return status;
}

/* Whatever it is about, also waiting for a reader or a name: what was shown is written out. */
static void end_program(int signal)
{
    (void)signal;
    _exit(EXIT_ANSWERED);
}

/* Waits for a time of CLOCK_MONOTONIC; resizes of the terminal and the like are no end of it. */
static void wait_until(int64_t at_ns)
{
    const struct timespec at = {.tv_sec = at_ns / NS_PER_SEC, .tv_nsec = at_ns % NS_PER_SEC};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        continue;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static int show_once(struct context *ctx, int (*show)(struct context *ctx, void *arg), void *arg)
{
    const struct clock clock = clock_system();
    char time[TIME_TEXT_MAX];
    int status;

    ctx->now_ms = clock_realtime_ns(&clock) / NS_PER_MS;
    if (ctx->format == FORMAT_TABLE)
        printf("%s%s\n", ctx->repetition ? "\n" : "",
               time_format(ctx->now_ms, ctx->utc, true, time));
    status = show(ctx, arg);
    ctx->repetition++;
    return status == EXIT_ANSWERED ? output_finish() : status;
}

int netstat_repeat(struct context *ctx, const struct repetition *repetition,
                   int (*show)(struct context *ctx, void *arg), void *arg)
{
    const struct sigaction action = {.sa_handler = end_program};
    const int64_t interval_ns = repetition->interval_ms * NS_PER_MS;
    int64_t next_ns = monotonic_ns();

    ctx->repeats = true;
    sigaction(SIGINT, &action, NULL);
    for (;;) {
        int status = show_once(ctx, show, arg);
        int64_t now_ns;

        /* a reader that went away is no failure, but the end */
        if (status != EXIT_ANSWERED || ferror(stdout) || ctx->repetition == repetition->count)
            return status;
        now_ns = monotonic_ns();
        next_ns += interval_ns * (1 + (now_ns > next_ns ? (now_ns - next_ns) / interval_ns : 0));
        wait_until(next_ns);
    }
}
