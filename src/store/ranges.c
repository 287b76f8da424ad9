/* SPDX-License-Identifier: MIT */
#include "ranges.h"

#include <stddef.h>
#include <string.h>

#define TIME_MIN INT64_C(100000000000) /* 1973, in ms; numbers stay below */
#define TIME_MAX (INT64_C(1) << 42)    /* as much as a key holds */

#define TIME(column)                                      \
    {                                                     \
        NULL, column, TIME_MIN, TIME_MAX - 1, RANGE_PLAIN \
    }
#define TIME_OR_ZERO(column)                                \
    {                                                       \
        NULL, column, TIME_MIN, TIME_MAX - 1, RANGE_OR_ZERO \
    }
#define NUMBER(column)                                  \
    {                                                   \
        NULL, column, 0, TIME_MIN / 10 - 1, RANGE_PLAIN \
    }
#define STAMPED(table, column) /* begin of a snapshot << 16, counted on: see record/counting.c */ \
    {                                                                                             \
        table, column, TIME_MIN << 16, (TIME_MAX << 16) - 1, RANGE_PLAIN                          \
    }
#define FROM_TO(table, column, least, most)     \
    {                                           \
        table, column, least, most, RANGE_PLAIN \
    }

/* Those of one table come first. */
static const struct range ranges[] = {
    {"closed", "key", TIME_MIN, TIME_MAX - 1, RANGE_KEY},
    FROM_TO("services", "protocol", 6, 17),
    FROM_TO("service_names", "protocol", 6, 17),
    FROM_TO("services", "id", 1, 1 << 24),
    STAMPED("interfaces", "id"),
    STAMPED("routes", "id"),
    STAMPED(NULL, "route"),
    FROM_TO("counter_names", "kind", 0, 1),
    FROM_TO("counter_rollups", "last", INT64_MIN, INT64_MAX),
    TIME("start_ms"),
    TIME("at_ms"),
    TIME("since_ms"),
    TIME("first_ms"),
    TIME("started_ms"),
    TIME("ended_ms"),
    TIME("sampled_ms"),
    TIME("last_sent_ms"),
    TIME("last_received_ms"),
    TIME_OR_ZERO("base_ms"), /* 0: of a boot that a repair made up */
    TIME_OR_ZERO("from_ms"),
    TIME_OR_ZERO("until_ms"),
    TIME_OR_ZERO("last_ms"),
    FROM_TO(NULL, "duration_ms", 0, TIME_MAX),
    FROM_TO(NULL, "late_ms", 0, TIME_MAX),
    FROM_TO(NULL, "interval_ms", 0, TIME_MAX),
    FROM_TO(NULL, "cpu_ms", 0, TIME_MAX),
    FROM_TO(NULL, "state", 1, 11),
    FROM_TO(NULL, "tier", -1, 3),
    FROM_TO(NULL, "status", 0, 1),
    FROM_TO(NULL, "anchor", 0, 1),
    FROM_TO(NULL, "sampled", 0, 1),
    FROM_TO(NULL, "is_new", 0, 1),
    FROM_TO(NULL, "has_stats", 0, 1),
    FROM_TO(NULL, "ended", 1, 4),
    FROM_TO(NULL, "turn", 0, 3),
    FROM_TO(NULL, "turns", 0, 15),
    FROM_TO(NULL, "lacks", 0, 7),
    FROM_TO(NULL, "details", 0, 7),
    FROM_TO(NULL, "cause", 1, 2),
    FROM_TO(NULL, "role", 1, 2),
    FROM_TO(NULL, "kind", 0, 31),
    FROM_TO(NULL, "protocol", 0, 255),
    FROM_TO(NULL, "family", 0, 255),
    FROM_TO(NULL, "port", -1, 65535),
    FROM_TO(NULL, "local_port", INT16_MIN, INT16_MAX),
    FROM_TO(NULL, "remote_port", INT16_MIN, INT16_MAX),
    FROM_TO(NULL, "traits", 0, 1 << 24),
    NUMBER("id"),
    NUMBER("netns"),
    NUMBER("inode"),
    NUMBER("service"),
    NUMBER("local"),
    NUMBER("life"),
    NUMBER("owner"),
    NUMBER("process"),
    NUMBER("program"),
    NUMBER("cgroup"),
    NUMBER("boot"),
    NUMBER("pid"),
    NUMBER("uid"),
    NUMBER("recording"),
    NUMBER("before"),
    NUMBER("after"),
    NUMBER("counter"),
    NUMBER("way"),
    NUMBER("ifindex"),
    NUMBER("count"),
    NUMBER("min"),
    NUMBER("max"),
    NUMBER("last"),
    NUMBER("waiting"),
    NUMBER("backlog"),
    NUMBER("done"),
    NUMBER("interrupted"),
    NUMBER("unkept"),
    NUMBER("doubles"),
    NUMBER("sockets"),
    NUMBER("left_out"),
    NUMBER("next_life"),
};

const struct range *range_find(const char *table, const char *column)
{
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (strcmp(ranges[i].column, column) == 0 &&
            (!ranges[i].table || strcmp(ranges[i].table, table) == 0))
            return &ranges[i];
    return NULL;
}

bool range_has(const struct range *range, int64_t value)
{
    if (!range || (range->kind == RANGE_OR_ZERO && value == 0))
        return true;
    if (range->kind == RANGE_KEY) {
        if (value < 0)
            return false;
        value = value >> 16 & (TIME_MAX - 1);
    }
    return value >= range->least && value <= range->most;
}
