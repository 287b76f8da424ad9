/* SPDX-License-Identifier: MIT */
/* Names of remote addresses, asked for in parallel and never waited for long: what has no answer in
 * time is shown as a number. */
#pragma once

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
 * not asked again. Wildcards are left out. 0 or -ENOMEM. */
int resolver_want(struct resolver *resolver, uint8_t family, const struct address *address);

/* Asks for what is wanted, and waits for the answers, at most patience_ms; not at all when all of it
 * was waited for before. 0, or a negative errno when
 * nobody can be asked. */
int resolver_wait(struct resolver *resolver, int64_t patience_ms);

/* The fully qualified name as far as it is known: letters, digits, '-', '_' and '.', at most 253; NULL:
 * none, or not yet, or one that could pass for an address. Valid until resolver_free(). */
const char *resolver_name(struct resolver *resolver, uint8_t family, const struct address *address);
