/* SPDX-License-Identifier: MIT */
#include "connhist/model/loss.h"

const char *loss_kind_name(unsigned kind)
{
    static const char *const names[] = {"?",           "ticks missed",   "dump failed",
                                        "queue full",  "write failed",   "recorder died",
                                        "events lost", "detail dropped", "file damaged"};

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

bool loss_kind_misses(unsigned kind)
{
    return kind == LOSS_TICKS_MISSED || kind == LOSS_QUEUE_FULL || kind == LOSS_WRITE_FAILED;
}

bool loss_kind_is_deaf(unsigned kind)
{
    return kind == LOSS_EVENTS || kind == LOSS_RECORDER_DIED;
}
