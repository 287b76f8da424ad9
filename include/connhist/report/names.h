/* SPDX-License-Identifier: MIT */
/* Names of services: those of one's own (configuration, or the file's copy of it), then the
 * system's list (/etc/services). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/state.h"

struct names;
struct db;

int names_new(struct names **ret);
void names_free(struct names *names);
DEFINE_CLEANUP(struct names *, names_free)

/* Adds one; the last one added for a port wins. 0 or -ENOMEM. */
int names_add(struct names *names, enum protocol protocol, uint16_t port, const char *name);

/* Adds those that the recorder noted in the file. */
int names_add_file(struct names *names, struct db *db);

/* The name of a port, or NULL; valid until the next call with the same object. */
const char *names_of_port(struct names *names, unsigned protocol, uint16_t port);

/* The port of a name (any case); protocol 0: TCP first, then UDP. names may be
 * NULL: the system's list alone. -ENOENT when nobody knows it. */
int names_find(const struct names *names, const char *name, unsigned protocol, uint16_t *ret_port);
