/* SPDX-License-Identifier: MIT */
/* What the benchmarks share: CPU time, medians, how figures are told, a place of their own. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BENCH_SKIPPED 77 /* exit status that meson takes for "could not be run here" */

/* A benchmark that can't go on has no figure to give: says why and exits. */
__attribute__((format(printf, 1, 2), noreturn)) void bench_die(const char *format, ...);
_Noreturn void bench_die_errno(const char *what);
__attribute__((format(printf, 1, 2), noreturn)) void bench_skip(const char *format, ...);

/* CPU time of the calling thread, user and system, ms. */
double bench_cpu_ms(void);

/* Time that goes by, ms. */
double bench_wall_ms(void);

/* CPU time, user and system, of a program run to its end with its output thrown away, ms. */
double bench_program_cpu_ms(char *const argv[]);

/* The median; sorts values. */
double bench_median(double *values, size_t n);

/* Prints "NAME: VALUE UNIT (budget: BUDGET)"; budget may be NULL. */
void bench_tell(const char *name, double value, const char *unit, const char *budget);

/* Makes a folder under $TMPDIR or /tmp and gives "FOLDER/connhist.db"; freed by bench_leave(). */
char *bench_enter(void);

/* Removes the folder and all in it. */
void bench_leave(char *path);

/* Size of a file, bytes; 0 if there is none. */
int64_t bench_size(const char *path);

/* The next number of a series that is the same in each run (xorshift). *state must not be 0. */
uint64_t bench_random(uint64_t *state);
