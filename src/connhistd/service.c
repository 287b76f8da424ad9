/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "connhist/base/log.h"
#include "connhist/base/timetext.h"
#include "notify.h"
#include "privileges.h"
#include "settings.h"

#define RETRY_MS     1000  /* between tries to start, after a reload that failed */
#define STOP_WAIT_MS 10000 /* how long an ending recorder tries to write what waits */

struct service {
    const struct daemon_options *options;
    struct log log;
    struct settings *settings; /* in force; owned */
    struct recorder *recorder; /* running; owned */
    int signal_fd, done_fd, watchdog_fd, epoll_fd;
    int64_t watchdog_ms; /* 0: nobody wants to hear */
    int exit_status;
    uint64_t ticks; /* taken by recorders before the running one */
    struct privileges privileges;
    bool ending;
};

static void log_notice(void *arg, int level, const char *text)
{
    const struct service *service = arg;

    log_line(&service->log, level, "%s", text);
}

/* Starts a recorder with these settings. On error nothing runs. */
static int start(struct service *service, struct settings *settings, struct err *err)
{
    struct source source = {0};
    struct recorder *recorder = NULL;
    int r;

    /* ticks before a reload count for --count too; one more is taken if they were enough */
    if (settings->recorder.max_ticks)
        settings->recorder.max_ticks =
            service->options->count > service->ticks ? service->options->count - service->ticks : 1;
    settings->recorder.notice = log_notice;
    settings->recorder.notice_arg = service;
    r = source_live(&settings->source, &source, err);
    if (r == 0)
        r = recorder_new(&settings->recorder, &source, &recorder, err);
    if (r == 0)
        r = recorder_start(recorder, service->done_fd, err);
    if (r < 0) {
        recorder_free(recorder);
        return r;
    }
    service->recorder = recorder;
    return 0;
}

static int stop(struct service *service)
{
    struct err err = {0};
    int r = recorder_stop(service->recorder, STOP_WAIT_MS, &err);

    if (r < 0)
        log_line(&service->log, LOG_ERR, "the record's end could not be written: %s", err.text);
    service->ticks += recorder_ticks(service->recorder);
    recorder_free(service->recorder);
    service->recorder = NULL;
    return r;
}

static void tell_ready(const struct service *service)
{
    char interval[TIME_TEXT_MAX], state[512];

    duration_format(service->settings->recorder.interval_ms, interval);
    snprintf(state, sizeof(state), "READY=1\nSTATUS=recording every %s into %.400s", interval,
             service->settings->path);
    log_line(&service->log, LOG_INFO, "connhistd %s: recording every %s into %s",
             service->settings->recorder.version, interval, service->settings->path);
    notify_send(state);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_names(const struct recorder_options *a, const struct recorder_options *b)
{
    if (a->n_names != b->n_names)
        return false;
    for (size_t i = 0; i < a->n_names; i++)
        if (a->names[i].port != b->names[i].port || a->names[i].protocol != b->names[i].protocol ||
            strcmp(a->names[i].name, b->names[i].name) != 0)
            return false;
    return true;
}

static bool same_patterns(const char *const *a, size_t n_a, const char *const *b, size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static bool same_source(const struct source_live_options *a, const struct source_live_options *b)
{
    return a->event_buffer_bytes == b->event_buffer_bytes &&
           same_patterns(a->include, a->n_include, b->include, b->n_include) &&
           same_patterns(a->exclude, a->n_exclude, b->exclude, b->n_exclude);
}

/* Whether a recorder with the one would do the same as one with the other. */
static bool same_recorder(const struct recorder_options *a, const struct recorder_options *b)
{
    return same_text(a->store.path, b->store.path) && same_text(a->store.group, b->store.group) &&
           a->ledger.detail == b->ledger.detail &&
           a->ledger.anonymous_ipv4_bits == b->ledger.anonymous_ipv4_bits &&
           a->ledger.anonymous_ipv6_bits == b->ledger.anonymous_ipv6_bits &&
           a->ledger.max_client_services == b->ledger.max_client_services &&
           a->ledger.max_services == b->ledger.max_services &&
           a->ledger.max_syn_recv == b->ledger.max_syn_recv && a->interval_ms == b->interval_ms &&
           a->sampling_ms == b->sampling_ms && a->queue_bytes == b->queue_bytes &&
           a->events_bytes == b->events_bytes && same_names(a, b);
}

/* Ends the running recorder and starts one with new settings, or if that can't be, one as it was.
 * If neither can, loop() tries again: a disk that is full now is no reason to give up. */
static void replace_recorder(struct service *service, struct settings *settings)
{
    struct err err = {0};

    stop(service);
    if (start(service, settings, &err) == 0) {
        settings_free(service->settings);
        service->settings = settings;
        return;
    }
    log_line(&service->log, LOG_ERR, "%s; going back to the configuration before", err.text);
    settings_free(settings);
    if (start(service, service->settings, &err) < 0)
        log_line(&service->log, LOG_ERR, "%s; nothing is recorded until that is mended", err.text);
}

/* What is kept may change while the recording goes on. */
static void keep_recorder(struct service *service, const struct settings *settings)
{
    service->settings->recorder.retention = settings->recorder.retention;
    recorder_set_retention(service->recorder, &settings->recorder.retention);
}

/* SIGHUP: new settings if they are sound, else all stays as it is. */
static void reload(struct service *service)
{
    struct settings *settings = NULL;
    struct err err = {0};

    notify_reloading();
    if (settings_load(service->options, &settings, &err) < 0 ||
        privileges_suffice(&service->privileges, settings, &err) < 0) {
        settings_free(settings);
        log_line(&service->log, LOG_ERR, "%s; the configuration in force stays", err.text);
    } else {
        service->log.max_level = settings->config.log_level;
        if (service->recorder && same_source(&settings->source, &service->settings->source) &&
            same_recorder(&settings->recorder, &service->settings->recorder)) {
            keep_recorder(service, settings);
            settings_free(settings);
        } else {
            replace_recorder(service, settings);
        }
    }
    if (service->recorder)
        tell_ready(service);
}

static void on_signal(struct service *service)
{
    struct signalfd_siginfo info;

    if (read(service->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP)
        reload(service);
    else
        service->ending = true;
}

/* The manager hears from us as long as the dump thread is not stuck. A disk that does not answer is
 * no reason to be killed: what waits for it would be lost. */
static void on_watchdog(struct service *service)
{
    uint64_t expirations;

    if (read(service->watchdog_fd, &expirations, sizeof(expirations)) < 0)
        return;
    if (!service->recorder ||
        recorder_busy_ns(service->recorder) < service->watchdog_ms * NS_PER_MS)
        notify_send("WATCHDOG=1");
}

static int watch(const struct service *service, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(service->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_signals(struct service *service)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    service->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return service->signal_fd < 0 ? -errno : 0;
}

static int open_watchdog(struct service *service)
{
    struct itimerspec every = {0};

    service->watchdog_ms = notify_watchdog_ms();
    every.it_interval.tv_sec = service->watchdog_ms / 2 / MS_PER_SEC;
    every.it_interval.tv_nsec = service->watchdog_ms / 2 % MS_PER_SEC * NS_PER_MS;
    every.it_value = every.it_interval;
    service->watchdog_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (service->watchdog_fd < 0 || timerfd_settime(service->watchdog_fd, 0, &every, NULL) < 0)
        return -errno;
    return 0;
}

static int open_loop(struct service *service)
{
    int r = open_signals(service);

    if (r == 0)
        r = open_watchdog(service);
    if (r < 0)
        return r;
    service->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    service->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (service->done_fd < 0 || service->epoll_fd < 0)
        return -errno;
    r = watch(service, service->signal_fd);
    if (r == 0)
        r = watch(service, service->done_fd);
    if (r == 0)
        r = watch(service, service->watchdog_fd);
    return r;
}

static void close_loop(struct service *service)
{
    int fds[] = {service->signal_fd, service->done_fd, service->watchdog_fd, service->epoll_fd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* After a reload that left nothing running. */
static void try_again(struct service *service)
{
    struct err err = {0};

    if (start(service, service->settings, &err) == 0)
        tell_ready(service);
}

static void loop(struct service *service)
{
    struct epoll_event event;

    while (!service->ending) {
        int n = epoll_wait(service->epoll_fd, &event, 1, service->recorder ? -1 : RETRY_MS);

        if (n == 0)
            try_again(service);
        if (n < 1)
            continue;
        if (event.data.fd == service->signal_fd)
            on_signal(service);
        else if (event.data.fd == service->watchdog_fd)
            on_watchdog(service);
        else
            service->ending = true; /* the last tick was taken, or none can be taken any more */
    }
    if (service->recorder && recorder_failed(service->recorder))
        service->exit_status = EXIT_CANNOT;
}

static void run_recorder(struct service *service)
{
    struct err err = {0};

    if (start(service, service->settings, &err) < 0) {
        log_line(&service->log, LOG_ERR, "%s", err.text);
        service->exit_status = EXIT_CANNOT;
        return;
    }
    tell_ready(service);
    privileges_tell(&service->privileges, &service->log);
    loop(service);
    notify_send("STOPPING=1");
    if (service->recorder && stop(service) < 0)
        service->exit_status = EXIT_CANNOT;
}

int service_run(const struct daemon_options *options)
{
    struct service service = {
        .options = options,
        /* under a service manager lines carry their priority; on a terminal they are for eyes */
        .log = {.fd = STDERR_FILENO, .max_level = LOG_INFO, .prefix = !isatty(STDERR_FILENO)},
        .signal_fd = -1,
        .done_fd = -1,
        .watchdog_fd = -1,
        .epoll_fd = -1,
    };
    struct err err = {0};
    int r = settings_load(options, &service.settings, &err);

    if (r < 0) {
        log_line(&service.log, LOG_ERR, "%s", err.text);
        return r == -EINVAL || options->config ? EXIT_USAGE : EXIT_CANNOT;
    }
    service.log.max_level = service.settings->config.log_level;
    privileges_drop(service.settings, &service.privileges);
    r = open_loop(&service);
    if (r < 0) {
        log_line(&service.log, LOG_ERR, "can't set up the event loop: %s", strerrordesc_np(-r));
        service.exit_status = EXIT_CANNOT;
    } else {
        run_recorder(&service);
    }
    close_loop(&service);
    settings_free(service.settings);
    return service.exit_status;
}
