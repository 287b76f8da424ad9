/* SPDX-License-Identifier: MIT */
/* What the process may do beyond an ordinary user: what recording needs, and nothing else. */
#pragma once

#include "connhist/base/err.h"
#include "connhist/base/log.h"
#include "settings.h"

struct privileges {
    bool dropped;    /* something was given up for good */
    bool for_others; /* rights over files of others were kept */
};

/* Gives up, for good, every capability that recording with these settings does not need, and the
 * possibility to gain others; says in the log what is lacking. Threads started before are not
 * concerned. Whatever can't be given up stays, and the log says so. */
void privileges_drop(const struct settings *settings, const struct log *log,
                     struct privileges *ret);

/* Whether what was kept is enough for other settings: 0; -EPERM, err says what lacks. */
int privileges_suffice(const struct privileges *privileges, const struct settings *settings,
                       struct err *err);
