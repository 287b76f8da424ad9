/* SPDX-License-Identifier: MIT */
#include "connhist/model/coverage.h"

void coverage_finish(struct coverage *coverage)
{
    vec_finish(&coverage->gaps);
    vec_finish(&coverage->deaf);
}
