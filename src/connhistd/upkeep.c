/* SPDX-License-Identifier: MIT */
#include "upkeep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "connhist/store/maintain.h"
#include "service.h"
#include "settings.h"

/* What is in a file is data: nothing of it reaches a terminal as it is. */
static void tell(void *arg, const char *line)
{
    (void)arg;
    for (const char *p = line; *p; p++)
        putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
    putchar('\n');
}

static int finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "connhistd: can't write the output\n");
    return EXIT_CANNOT;
}

static int check(const char *path, const struct maintenance *work, struct err *err)
{
    int64_t found;
    int r = maintain_check(path, work, &found, err);

    if (r < 0)
        return r;
    if (found)
        printf("%s is damaged: connhistd --repair --db %s --to NEW saves what can be saved\n", path,
               path);
    else
        printf("%s is whole\n", path);
    return found > 0;
}

static int repair(const char *path, const char *to, const struct maintenance *work, struct err *err)
{
    int64_t lost;
    int r = maintain_repair(path, to, work, &lost, err);

    if (r < 0)
        return r;
    printf(lost ? "%s has what could be saved; what lacks is told above\n"
                : "%s has all that was recorded\n",
           to);
    return lost > 0;
}

int upkeep_run(const struct daemon_options *options)
{
    struct progress progress;
    const struct maintenance work = {.progress = &progress, .tell = tell};
    struct settings *settings = NULL;
    struct err err = {0};
    int r = settings_load(options, &settings, &err);

    if (r < 0) {
        fprintf(stderr, "connhistd: %s\n", err.text);
        return r == -EINVAL || options->config ? EXIT_USAGE : EXIT_CANNOT;
    }
    progress_init(&progress, STDERR_FILENO);
    r = options->check ? check(settings->path, &work, &err)
                       : repair(settings->path, options->to, &work, &err);
    settings_free(settings);
    if (r < 0) {
        fprintf(stderr, "connhistd: %s\n", err.text);
        return EXIT_CANNOT;
    }
    return finish(r ? EXIT_FAULTS : EXIT_SUCCESS);
}
