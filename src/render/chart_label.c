/* SPDX-License-Identifier: MIT */
#include "chart_label.h"

#include <string.h>

#include "connhist/model/service.h"
#include "connhist/model/state.h"

#define UNKNOWN    "(unknown)"
#define QUOTED_MAX 128 /* a name and its quotes */

#define PORT_SUMMED (-2)
#define NAME_SHARE \
    3 /* a name takes a third of the width at most, so that the rest stays readable */

static const char *separator_of(const struct layout *layout)
{
    return layout->used > 0 ? " " : "";
}

static void print_name(struct layout *layout, const struct trend_series *series,
                       const struct chart_options *options)
{
    const char *name = NULL;

    if (options->name_of_port && series->protocol)
        name = options->name_of_port(options->name_arg, series->protocol, (uint16_t)series->port);
    if (!name || !*name)
        return;
    putc(' ', layout->out);
    layout->used++;
    layout_clip(layout, name, layout->width / NAME_SHARE);
}

static void print_port(struct layout *layout, const struct trend_series *series,
                       const struct chart_options *options)
{
    if (series->port == PORT_SUMMED)
        return;
    if (series->port == SERVICE_PORT_OTHER) {
        layout_word(layout, separator_of(layout), "other ports");
        return;
    }
    if (series->port == 0 && series->role == ROLE_CLIENT) {
        layout_word(layout, separator_of(layout), "unconnected");
        return;
    }
    if (!series->protocol)
        layout_word(layout, separator_of(layout), "port");
    layout_print(layout, separator_of(layout), "%d", (int)series->port);
    print_name(layout, series, options);
}

/* What has none is told from what is not known. */
static const char *name_or_word(const char *name)
{
    if (!name)
        return UNKNOWN;
    return *name ? name : "(none)";
}

/* A name from outside: a long one begins a line, and is cut there. */
static void print_text(struct layout *layout, const char *before, const char *text)
{
    layout_word(layout, separator_of(layout), before);
    layout_print(layout, " ", "%s", text);
}

/* In quotes where it begins like a word of ours, as in tables. */
static const char *process_name(const struct trend_series *series, char buf[static QUOTED_MAX])
{
    const char *name = series->process;

    if (series->kernel || (*name != '(' && *name != '"'))
        return name;
    snprintf(buf, QUOTED_MAX, "\"%.120s\"", name);
    return buf;
}

static void print_process(struct layout *layout, const struct trend_series *series)
{
    char quoted[QUOTED_MAX];

    if (!series->process) {
        print_text(layout, "process", UNKNOWN);
        return;
    }
    print_text(layout, "process", process_name(series, quoted));
    if (series->exe)
        print_text(layout, "of", series->exe);
}

static void print_owner(struct layout *layout, unsigned by, const struct trend_series *series)
{
    if (by & TREND_BY_NETNS)
        print_text(layout, "netns", series->netns && *series->netns ? series->netns : "(own)");
    if (by & (TREND_BY_PROCESS | TREND_BY_PID))
        print_process(layout, series);
    if (by & TREND_BY_OWNER && series->pid)
        layout_print(layout, separator_of(layout), "pid %u", (unsigned)series->pid);
    if (by & TREND_BY_UNIT)
        print_text(layout, "unit", name_or_word(series->unit));
    if (by & TREND_BY_CONTAINER)
        print_text(layout, "container", name_or_word(series->container));
    if (by & TREND_BY_UID && series->uid >= 0)
        layout_print(layout, separator_of(layout), "uid %lld", (long long)series->uid);
    else if (by & TREND_BY_UID)
        print_text(layout, "uid", UNKNOWN);
}

void chart_label(struct layout *layout, const struct trend_series *series,
                 const struct chart_options *options)
{
    if (series->protocol)
        layout_word(layout, "", protocol_name(series->protocol));
    print_port(layout, series, options);
    if (series->role)
        layout_word(layout, separator_of(layout), role_name(series->role));
    if (series->state)
        layout_word(layout, separator_of(layout), state_name(series->state));
    if (series->peer[0])
        layout_print(layout, separator_of(layout), "peer %s", series->peer);
    print_owner(layout, options->by, series);
    if (layout->used == 0)
        layout_word(layout, "", "all sockets");
}
