/* SPDX-License-Identifier: MIT */
/* The name of one address, as the C library finds it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/address.h"

/* To be called before there are threads: from now on a name server has one second for an answer, unless
 * RES_OPTIONS says otherwise, which is set in the environment. */
void name_lookup_prepare(void);

/* Asks, which may take its time; threads may do so together. *ret: letters, digits, '-', '_' and '.', at
 * most 253, owned by the caller; NULL when the address has no name, or one that could pass for an
 * address. Whether there was an answer; without one *ret is NULL. */
bool name_lookup(uint8_t family, const struct address *address, char **ret);
