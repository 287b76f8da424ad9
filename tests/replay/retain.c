/* SPDX-License-Identifier: MIT */
#include "retain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool retain_obey(struct store_retention *retention, struct recorder *recorder, const char *line)
{
    int64_t *age = retention->age_ms;

    if (strncmp(line, "retain ", 7) != 0)
        return false;
    if (sscanf(line,
               "retain %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %" SCNd64,
               &retention->max_bytes, &retention->wal_bytes, &age[0], &age[1], &age[2], &age[3],
               &age[4]) != 7)
        return false;
    if (recorder)
        recorder_set_retention(recorder, retention);
    puts("retained");
    fflush(stdout);
    return true;
}
