/* SPDX-License-Identifier: MIT */
/* Names of remote addresses, asked for in parallel and never waited for long: what has no answer in
 * time is shown as a number. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/address.h"

struct resolver;

/* How long a table waits for names in all, ms. */
#define RESOLVER_PATIENCE_MS 1900

/* NULL when memory is short. */
struct resolver *resolver_new(void);

/* Questions that are still open go on until they are answered or the program ends; nobody waits. */
void resolver_free(struct resolver *resolver);
DEFINE_CLEANUP(struct resolver *, resolver_free)

/* Notes that the name of an address is wanted. One that was wanted before keeps its answer, and is
 * not asked again. What is wanted often is asked for first. Wildcards are left out. 0 or -ENOMEM. */
int resolver_want(struct resolver *resolver, uint8_t family, const struct address *address);

/* Asks for what is wanted, and waits for the answers, at most patience_ms; not for what was waited for
 * before, which is asked for again now and then until it has an answer. The first call sets RES_OPTIONS
 * in the program's environment. *ret_unanswered: how many of those waited for had no answer, not even
 * that there is no name. 0, or a negative errno when nobody can be asked. */
int resolver_wait(struct resolver *resolver, int64_t patience_ms, size_t *ret_unanswered);

/* From now on no thread begins to ask, and so opens a socket, until resolver_wait() or
 * resolver_go_on(); what is being asked goes on. */
void resolver_pause(struct resolver *resolver);

/* What is wanted and has no answer is asked for while nobody waits. */
void resolver_go_on(struct resolver *resolver);

/* The fully qualified name as far as it is known: letters, digits, '-', '_' and '.', at most 253; NULL:
 * none, or not yet, or one that could pass for an address. Valid until resolver_free(). */
const char *resolver_name(struct resolver *resolver, uint8_t family, const struct address *address);
