/* SPDX-License-Identifier: MIT */
#include "events.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define DRAIN_MAX       4096  /* events read in one go */
#define FASTEST_PER_SEC 68000 /* closings that one busy program was seen to make in a second */
#define EVENT_BYTES     1280  /* of the receive buffer, each */
#define LONGEST_WAIT_MS 100   /* being woken for each event would cost six times as much */
#define CALM_WAIT_MS    10    /* the least while no buffer was found fuller than it should be */

struct events {
    const struct source *source;
    const struct clock *clock;
    pthread_mutex_t lock;     /* guards what follows, and reading from the source */
    struct closings *waiting; /* read, not taken yet; NULL: none */
    size_t max_bytes;
    size_t most;   /* events of one namespace but the own one that a drain found */
    size_t in_row; /* of the namespace in_row_of, in the drain under way */
    uint32_t in_row_of;
    bool lost_some;     /* a buffer overflowed since the period was decided */
    bool hurried;       /* a buffer was found half full */
    bool woke;          /* wake_fd was written to since the last take */
    int64_t drained_ns; /* boot time of the last look that left nothing behind */
    int wake_fd, stop_fd;
    pthread_t thread;
    bool started;
};

void closings_free(struct closings *closings)
{
    if (!closings)
        return;
    vec_finish(&closings->items);
    free(closings);
}

int events_new(const struct source *source, const struct clock *clock, size_t max_bytes,
               int wake_fd, int stop_fd, struct events **ret)
{
    struct events *events = calloc(1, sizeof(*events));

    if (!events)
        return -ENOMEM;
    pthread_mutex_init(&events->lock, NULL);
    events->source = source;
    events->clock = clock;
    events->max_bytes = max_bytes;
    events->wake_fd = wake_fd;
    events->stop_fd = stop_fd;
    events->drained_ns = clock_boottime_ns(clock);
    *ret = events;
    return 0;
}

void events_free(struct events *events)
{
    if (!events)
        return;
    closings_free(events->waiting);
    pthread_mutex_destroy(&events->lock);
    free(events);
}

/* Something is lost; the span begins where everything was still read. */
static void note_loss(struct events *events, uint64_t n, bool dropped)
{
    struct closings *waiting = events->waiting;

    if (!waiting->lost)
        waiting->lost_from_ns = events->drained_ns;
    waiting->lost = true;
    waiting->dropped |= dropped;
    waiting->n_lost += n;
    waiting->lost_until_ns = clock_boottime_ns(events->clock);
}

/* A drain reads one namespace after the other. */
static void count_waiting(struct events *events, uint32_t netns)
{
    events->in_row = netns == events->in_row_of ? events->in_row + 1 : 1;
    events->in_row_of = netns;
    if (netns && events->in_row > events->most)
        events->most = events->in_row;
}

static void keep_closing(void *arg, uint32_t netns, const struct closing *closing)
{
    struct events *events = arg;
    struct closings *waiting = events->waiting;
    struct netns_closing *one;

    count_waiting(events, netns);
    if (waiting->items.n * sizeof(*one) >= events->max_bytes ||
        vec_reserve(&waiting->items, 1) < 0) {
        note_loss(events, 1, true);
        return;
    }
    one = &waiting->items.items[waiting->items.n++];
    one->netns = netns;
    one->closing = *closing;
}

/* Reads until nothing more is there. The lock is held. */
static int drain(struct events *events, struct err *err)
{
    struct source_drained drained = {.more = true};
    int r = 0;

    if (!events->waiting)
        events->waiting = calloc(1, sizeof(*events->waiting));
    if (!events->waiting)
        return err_set(err, -ENOMEM, "out of memory");
    events->in_row = 0;
    while (r == 0 && drained.more) {
        r = events->source->ops->drain(events->source->ctx, keep_closing, events, DRAIN_MAX,
                                       &drained, err);
        events->lost_some |= drained.lost;
        if (drained.lost)
            note_loss(events, 0, false);
    }
    if (r == 0) {
        events->drained_ns = clock_boottime_ns(events->clock);
    } else {
        note_loss(events, 0, false);
        events->waiting->failed = true;
    }
    return r;
}

int events_take(struct events *events, struct closings **ret, struct err *err)
{
    int r;

    pthread_mutex_lock(&events->lock);
    r = drain(events, err);
    *ret = events->waiting;
    events->waiting = NULL;
    events->woke = false;
    pthread_mutex_unlock(&events->lock);
    return r;
}

/* The dump thread is woken when something was lost, or before something will be. */
static void wake_if_needed(struct events *events)
{
    const struct closings *waiting = events->waiting;

    if (events->woke || !waiting ||
        (!waiting->lost && waiting->items.n * sizeof(struct netns_closing) < events->max_bytes / 4))
        return;
    events->woke = true;
    eventfd_write(events->wake_fd, 1);
}

/* How long half of a buffer lasts at the fastest. */
static int lasts_ms(size_t bytes)
{
    size_t ms = bytes / EVENT_BYTES / 2 * 1000 / FASTEST_PER_SEC;

    if (ms > LONGEST_WAIT_MS)
        return LONGEST_WAIT_MS;
    return ms > 0 ? (int)ms : 1;
}

/* With many namespaces their buffers are small, and hardly ever is one of them filled at the fastest: so
 * it is not waited less than CALM_WAIT_MS for them, unless a drain found half of one in use, or a
 * loss, and until one finds less than a fourth. */
static int drain_period_ms(struct events *events)
{
    size_t others = 0;
    int own_ms = lasts_ms(events->source->ops->event_buffer(events->source->ctx, &others));
    int others_ms = others ? lasts_ms(others) : LONGEST_WAIT_MS;

    pthread_mutex_lock(&events->lock);
    if (events->lost_some || events->most * EVENT_BYTES >= others / 2)
        events->hurried = true;
    else if (events->most * EVENT_BYTES < others / 4)
        events->hurried = false;
    if (!events->hurried && others_ms < CALM_WAIT_MS)
        others_ms = CALM_WAIT_MS;
    events->lost_some = false;
    events->most = 0;
    pthread_mutex_unlock(&events->lock);
    return own_ms < others_ms ? own_ms : others_ms;
}

/* Waits a period, but where nothing came in the one before, for an event first: as long as events
 * come there is one awakening for each period. False: the thread shall end. */
static bool wait_for_events(const struct events *events, int fd, int period_ms, bool busy)
{
    struct pollfd fds[2] = {{.fd = events->stop_fd, .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};

    while (!busy && poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return false;
    return !fds[0].revents && poll(fds, 1, period_ms) <= 0;
}

/* Returns whether anything was there. */
static bool drain_waiting(struct events *events)
{
    size_t before;
    bool busy;

    pthread_mutex_lock(&events->lock);
    before = events->waiting ? events->waiting->items.n : 0;
    drain(events, NULL); /* if it fails, the loss is noted */
    wake_if_needed(events);
    busy = events->waiting && (events->waiting->lost || events->waiting->items.n > before);
    pthread_mutex_unlock(&events->lock);
    return busy;
}

static void *events_main(void *arg)
{
    struct events *events = arg;
    int fd = events->source->ops->events_fd(events->source->ctx);
    bool busy = false;

    /* buffers are shared out anew as namespaces come and go */
    while (wait_for_events(events, fd, drain_period_ms(events), busy))
        busy = drain_waiting(events);
    return NULL;
}

int events_start(struct events *events)
{
    int r = pthread_create(&events->thread, NULL, events_main, events);

    events->started = r == 0;
    return -r;
}

void events_stop(struct events *events)
{
    if (events && events->started)
        pthread_join(events->thread, NULL);
    if (events)
        events->started = false;
}
