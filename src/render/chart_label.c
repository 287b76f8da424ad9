/* SPDX-License-Identifier: MIT */
#include "chart_label.h"

#include <string.h>

#include "connhist/model/service.h"
#include "connhist/model/state.h"

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
    if (layout->used == 0)
        layout_word(layout, "", "all sockets");
}
