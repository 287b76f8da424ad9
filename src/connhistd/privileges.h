/* SPDX-License-Identifier: MIT */
/* What the process may do beyond an ordinary user: what recording needs, and nothing else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/log.h"
#include "settings.h"

struct privileges {
    uint64_t effective; /* capabilities at the start, bits of capabilities(7) */
    bool dropped;       /* something was given up for good */
    bool for_others;    /* rights over files of others were not to be given up */
    bool over_files;    /* such rights were there, and are kept */
    int error;          /* negative errno: not all could be given up; -EOPNOTSUPP: no libcap-ng */
};

/* Gives up, for good, every capability that recording with these settings does not need, and the
 * possibility to gain others. Threads started before are not concerned. What can't be given up
 * stays. */
void privileges_drop(const struct settings *settings, struct privileges *ret);

/* Says in the log what was kept beyond the ordinary, and what is lacking. */
void privileges_tell(const struct privileges *privileges, const struct log *log);

/* Whether what was kept is enough for other settings: 0; -EPERM, err says what lacks. */
int privileges_suffice(const struct privileges *privileges, const struct settings *settings,
                       struct err *err);
