/* SPDX-License-Identifier: MIT */
/* Complaints and exit statuses of the query program. */
#pragma once

/* What connhist ends with; see connhist(1). */
enum exit_status {
    EXIT_ANSWERED = 0, /* also when nothing matched */
    EXIT_USAGE = 2,    /* wrong usage */
    EXIT_CANNOT = 3,   /* no file, not readable, too new, output not writable … */
};

/* Writes one line "connhist: …" to stderr; control characters in it are made visible. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* The same, for `return wrong_usage("…")`: returns EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int wrong_usage(const char *format, ...);

/* The same: returns EXIT_CANNOT. */
__attribute__((format(printf, 1, 2))) int cannot_answer(const char *format, ...);

/* The system's words for a negative errno. */
const char *errno_words(int code);

/* Complains that a negative errno of memory or output stopped the answer. A reader that went away
 * (EPIPE) is no news: then nothing is said and EXIT_ANSWERED returned, else EXIT_CANNOT. */
int output_failed(int code);

/* Flushes stdout and checks that all of it could be written. Returns an exit status. */
int output_finish(void);
