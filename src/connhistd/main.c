/* SPDX-License-Identifier: MIT */
/* connhistd: records the kernel's socket tables into a SQLite file. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "build_config.h"
#include "connhist/kernel/host.h"
#include "service.h"
#include "upkeep.h"

/* Help that could not be written was not given. */
static int flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_SUCCESS;
    fprintf(stderr, "connhistd: can't write the output\n");
    return EXIT_CANNOT;
}

int main(int argc, char **argv)
{
    struct daemon_options options;
    struct err err = {0};

    if (options_read(argc, argv, &options, &err) < 0) {
        fprintf(stderr, "connhistd: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (options.help) {
        options_help();
        return flushed();
    }
    if (options.version) {
        printf("connhistd %s\n", CONNHIST_VERSION);
        return flushed();
    }
    if (options.check || options.repair)
        return upkeep_run(&options);
    /* a reader of our log that goes away is no reason to end */
    signal(SIGPIPE, SIG_IGN);
    /* two threads allocate: an arena each would cost more memory than it saves time */
    mallopt(M_ARENA_MAX, 1);
    /* what a burst needed shall not stay: glibc would raise both bounds by itself */
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    /* each network namespace takes one */
    host_raise_descriptors();
    return service_run(&options);
}
