/* SPDX-License-Identifier: MIT */
/* What a series comes to: its maximum, where it is now, whether it grows. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "connhist/base/cleanup.h"
#include "sweep.h"

#define MS_PER_HOUR 3600000.0

/* Fewer snapshots than this don't show a direction. */
#define FIT_MIN 3

/* The snapshots of the last third of the recorded span, prepared for least squares. */
struct third {
    size_t first; /* index of its first snapshot */
    size_t n;     /* snapshots in it */
    double
        *elapsed; /* [i]: sum of (time - mean time) of the i snapshots from `first` on, ms; owned */
    double squares; /* sum of (time - mean time)^2 */
    double span_ms; /* from its first snapshot to its last */
};

static void third_finish(struct third *third)
{
    free(third->elapsed);
}

static int third_init(struct third *third, const struct sweep *sweep)
{
    int64_t last_ms = sweep->times[sweep->n_times - 1];
    int64_t begin_ms = last_ms - (last_ms - sweep->times[0]) / 3;
    const int64_t *times;
    double mean = 0;

    third->first = sweep_index(sweep, 0, begin_ms);
    third->n = sweep->n_times - third->first;
    third->elapsed = calloc(third->n + 1, sizeof(*third->elapsed));
    if (!third->elapsed)
        return -ENOMEM;
    times = sweep->times + third->first;
    third->span_ms = (double)(last_ms - times[0]);
    for (size_t i = 0; i < third->n; i++)
        mean += (double)(times[i] - times[0]) / (double)third->n;
    for (size_t i = 0; i < third->n; i++) {
        double distance = (double)(times[i] - times[0]) - mean;

        third->elapsed[i + 1] = third->elapsed[i] + distance;
        third->squares += distance * distance;
    }
    return 0;
}

/* Sums of a series over the third. */
struct fit {
    double counts;   /* sum of counts */
    double products; /* sum of count * (time - mean time) */
};

/* The count was `count` at the snapshots from `first` to before `end`. */
static void fit_stretch(struct fit *fit, const struct third *third, size_t first, size_t end,
                        int64_t count)
{
    size_t low = first > third->first ? first - third->first : 0;
    size_t high = end > third->first ? end - third->first : 0;

    if (high <= low)
        return;
    fit->counts += (double)count * (double)(high - low);
    fit->products += (double)count * (third->elapsed[high] - third->elapsed[low]);
}

static void conclude(struct counted *series, const struct fit *fit, const struct third *third)
{
    double slope, change, mean;

    series->direction = TREND_UNCLEAR;
    if (third->n < FIT_MIN || third->squares <= 0)
        return;
    slope = fit->products / third->squares;
    change = slope * third->span_ms;
    mean = fit->counts / (double)third->n;
    series->per_hour = slope * MS_PER_HOUR;
    if (fabs(change) <= fmax(2, mean / 10))
        series->direction = TREND_STEADY;
    else
        series->direction = change > 0 ? TREND_GROWING : TREND_SHRINKING;
}

static void measure(struct counted *series, const struct third *third, size_t n_times)
{
    struct fit fit = {0};
    int64_t count = 0;
    size_t first = 0;

    for (size_t i = 0; i <= series->changes.n; i++) {
        size_t end = i < series->changes.n ? series->changes.items[i].at : n_times;

        if (end > first && count > series->max) {
            series->max = count;
            series->max_at = first;
        }
        fit_stretch(&fit, third, first, end, count);
        if (i < series->changes.n)
            count += series->changes.items[i].delta;
        first = end;
    }
    series->now = count;
    conclude(series, &fit, third);
}

int sweep_measure(struct sweep *sweep)
{
    _cleanup_(third_finish) struct third third = {0};
    int r = third_init(&third, sweep);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sweep->series.n; i++)
        measure(&sweep->series.items[i], &third, sweep->n_times);
    return 0;
}
