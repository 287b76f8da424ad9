/* SPDX-License-Identifier: MIT */
/* The services that the file tells apart. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/service.h"

struct store;

/* Gives each service of this boot's namespaces in `netns` that is told apart by its port, with the
 * namespace's id there. After store_begin_recording(). fn returns 0 or a negative errno that ends it. Errors as
 * store_read_past(). */
int store_each_service(struct store *store, const struct netns_ref *netns, size_t n_netns,
                       int (*fn)(void *arg, const struct service_key *key), void *arg,
                       struct err *err);
