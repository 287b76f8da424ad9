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

/* The moments of the last third of the recorded span, prepared for least squares. */
struct third {
    size_t first;    /* index of its first moment */
    size_t n;        /* moments in it */
    double *weights; /* [i]: snapshots of the i moments from `first` on; owned */
    double *elapsed; /* [i]: sum over them of (time - mean time), ms; owned */
    double squares;  /* sum of (time - mean time)^2 */
    double span_ms;  /* from its first snapshot to its last */
};

static void third_finish(struct third *third)
{
    free(third->weights);
    free(third->elapsed);
}

/* When a moment was, and how many snapshots it stands for; *period moves along. */
static double read_moment(const struct moments *moments, size_t at, size_t *period, double *ret_n)
{
    const struct period *next =
        *period < moments->periods.n ? &moments->periods.items[*period] : NULL;

    *ret_n = 1;
    if (!next || next->at != at)
        return (double)moments->times.items[at];
    (*period)++;
    *ret_n = (double)next->done;
    return ((double)next->first_ms + (double)next->last_ms) / 2;
}

static void weigh(struct third *third, const struct moments *moments)
{
    double origin = (double)moments->times.items[third->first], mean = 0, n;
    size_t begin = moments_period(moments, third->first), period = begin;

    for (size_t i = 0; i < third->n; i++) {
        double time = read_moment(moments, third->first + i, &period, &n) - origin;

        third->weights[i + 1] = third->weights[i] + n;
        mean += (time - mean) * n / third->weights[i + 1];
    }
    period = begin;
    for (size_t i = 0; i < third->n; i++) {
        double distance = read_moment(moments, third->first + i, &period, &n) - origin - mean;

        third->elapsed[i + 1] = third->elapsed[i] + n * distance;
        third->squares += n * distance * distance;
    }
}

static int third_init(struct third *third, const struct sweep *sweep)
{
    int64_t last_ms = moments_last(sweep->moments);
    int64_t begin_ms = last_ms - (last_ms - sweep->times[0]) / 3;

    third->first = sweep_index(sweep, 0, begin_ms);
    if (third->first == sweep->n_times) /* it begins within the last period */
        third->first--;
    third->n = sweep->n_times - third->first;
    third->weights = calloc(third->n + 1, sizeof(*third->weights));
    third->elapsed = calloc(third->n + 1, sizeof(*third->elapsed));
    if (!third->elapsed || !third->weights)
        return -ENOMEM;
    third->span_ms = (double)(last_ms - sweep->times[third->first]);
    weigh(third, sweep->moments);
    return 0;
}

/* Sums of a series over the third. */
struct fit {
    double counts;   /* sum of counts */
    double products; /* sum of count * (time - mean time) */
};

static void fit_stretch(struct fit *fit, const struct third *third, const struct stretch *stretch)
{
    size_t low = stretch->first > third->first ? stretch->first - third->first : 0;
    size_t high = stretch->end > third->first ? stretch->end - third->first : 0;
    double count = stretch->sum / (double)stretch->n;

    if (high <= low)
        return;
    fit->counts += count * (third->weights[high] - third->weights[low]);
    fit->products += count * (third->elapsed[high] - third->elapsed[low]);
}

static void conclude(struct counted *series, const struct fit *fit, const struct third *third)
{
    double slope, change, mean;

    series->direction = TREND_UNCLEAR;
    if (third->weights[third->n] < FIT_MIN || third->squares <= 0)
        return;
    slope = fit->products / third->squares;
    change = slope * third->span_ms;
    mean = fit->counts / third->weights[third->n];
    series->per_hour = slope * MS_PER_HOUR;
    if (fabs(change) <= fmax(2, mean / 10))
        series->direction = TREND_STEADY;
    else
        series->direction = change > 0 ? TREND_GROWING : TREND_SHRINKING;
}

static void measure(struct counted *series, const struct third *third, const struct sweep *sweep)
{
    struct sweep_walk walk = {0};
    struct fit fit = {0};
    struct stretch stretch;

    while (sweep_next(sweep, series, &walk, sweep->n_times, &stretch)) {
        if (stretch.max > series->max) {
            series->max = stretch.max;
            series->max_at = stretch.first;
        }
        fit_stretch(&fit, third, &stretch);
        series->now = stretch.last;
    }
    conclude(series, &fit, third);
}

int sweep_measure(struct sweep *sweep)
{
    _cleanup_(third_finish) struct third third = {0};
    int r = third_init(&third, sweep);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sweep->series.n; i++)
        measure(&sweep->series.items[i], &third, sweep);
    return 0;
}
