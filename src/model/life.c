/* SPDX-License-Identifier: MIT */
#include "connhist/model/life.h"

const char *closed_by_name(unsigned closed_by)
{
    static const char *const names[] = {"unknown", "local", "remote", "reset", "timeout"};

    return closed_by < sizeof(names) / sizeof(names[0]) ? names[closed_by] : names[0];
}
