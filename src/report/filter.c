/* SPDX-License-Identifier: MIT */
#include "connhist/report/filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/err.h"
#include "connhist/base/strutil.h"
#include "connhist/report/names.h"

#define PART_MAX 80

/* Copies the part of a list up to the next comma into buf and moves *text behind it.
 * False: no part is left. *text is NULL behind the last one. */
static bool next_part(const char **text, char buf[static PART_MAX], bool *ret_cut)
{
    const char *comma;
    size_t n;

    if (!*text)
        return false;
    comma = strchr(*text, ',');
    n = comma ? (size_t)(comma - *text) : strlen(*text);
    *ret_cut = n >= PART_MAX;
    if (*ret_cut)
        n = PART_MAX - 1;
    memcpy(buf, *text, n);
    buf[n] = '\0';
    *text = comma ? comma + 1 : NULL;
    return true;
}

/* Takes "/tcp" or "/udp" off the end of a part, if it is there. */
static int take_protocol(struct filter *filter, char *part, struct err *err)
{
    char *slash = strrchr(part, '/');
    enum protocol protocol;

    if (!slash)
        return 0;
    if (protocol_parse(slash + 1, &protocol) < 0)
        return err_set(err, -EINVAL, "'%s': the protocol is tcp or udp", part);
    if (filter->protocol && filter->protocol != protocol)
        return err_set(err, -EINVAL, "'%s' contradicts %s: ask for one protocol at a time", part,
                       protocol_name(filter->protocol));
    *slash = '\0';
    filter->protocol = (uint8_t)protocol;
    return 0;
}

/* "8000-8010"; false: not of this form. */
static bool parse_range(const char *part, struct port_choice *ret)
{
    const char *dash = strchr(part, '-');
    char low_text[8];
    uint64_t low, high;

    if (!dash || (size_t)(dash - part) >= sizeof(low_text))
        return false;
    memcpy(low_text, part, (size_t)(dash - part));
    low_text[dash - part] = '\0';
    if (parse_u64(low_text, 0, UINT16_MAX, &low) < 0 ||
        parse_u64(dash + 1, low, UINT16_MAX, &high) < 0)
        return false;
    *ret = (struct port_choice){.low = (uint16_t)low, .high = (uint16_t)high};
    return true;
}

static int parse_ports(const char *part, unsigned protocol, const struct names *names,
                       struct port_choice *ret, struct err *err)
{
    uint64_t number;
    uint16_t port;

    if (parse_range(part, ret))
        return 0;
    if (parse_u64(part, 0, UINT16_MAX, &number) == 0)
        port = (uint16_t)number;
    else if (!*part || names_find(names, part, protocol, &port) < 0)
        return err_set(
            err, -EINVAL,
            "'%s' is no port: use a number (0-65535), a range (8000-8010) or the name of a "
            "service, as in /etc/services or `services:` of the configuration",
            part);
    *ret = (struct port_choice){.low = port, .high = port};
    return 0;
}

int filter_add_ports(struct filter *filter, const char *text, const struct names *names,
                     struct err *err)
{
    struct filter wider = *filter;
    const char *protocols = text, *ports = text;
    char part[PART_MAX];
    bool cut;
    int r;

    /* the protocols first: a name may mean another port under another protocol */
    while (next_part(&protocols, part, &cut)) {
        if (cut)
            return err_set(err, -EINVAL, "'%s…' is no port: it is too long", part);
        r = take_protocol(&wider, part, err);
        if (r < 0)
            return r;
    }
    while (next_part(&ports, part, &cut)) {
        char *slash = strrchr(part, '/');

        if (slash)
            *slash = '\0';
        if (wider.n_ports == FILTER_PORTS_MAX)
            return err_set(err, -EINVAL, "'%s': at most %d ports or ranges can be asked for", part,
                           FILTER_PORTS_MAX);
        r = parse_ports(part, wider.protocol, names, &wider.ports[wider.n_ports], err);
        if (r < 0)
            return r;
        wider.n_ports++;
    }
    *filter = wider;
    return 0;
}

int filter_add_states(struct filter *filter, const char *text, struct err *err)
{
    uint16_t states = filter->states;
    enum sock_state state;
    char part[PART_MAX];
    bool cut;

    while (next_part(&text, part, &cut)) {
        if (cut || state_parse(part, &state) < 0)
            return err_set(
                err, -EINVAL,
                "'%s' is no state: use ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, "
                "TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN or CLOSING",
                part);
        states |= (uint16_t)(1U << state);
    }
    filter->states = states;
    return 0;
}

bool filter_port(const struct filter *filter, int32_t port)
{
    if (filter->n_ports == 0)
        return true;
    for (size_t i = 0; i < filter->n_ports; i++)
        if (port >= filter->ports[i].low && port <= filter->ports[i].high)
            return true;
    return false;
}

bool filter_service(const struct filter *filter, const struct service_key *service)
{
    return (!filter->protocol || filter->protocol == service->protocol) &&
           (!filter->role || filter->role == service->role) && filter_port(filter, service->port);
}

bool filter_state(const struct filter *filter, unsigned state)
{
    if (filter->no_listeners && (state == STATE_LISTEN || state == STATE_CLOSE))
        return false;
    return !filter->states || (state < STATE_COUNT && filter->states & 1U << state);
}

bool filter_endpoints(const struct filter *filter, uint8_t family, const struct address *local,
                      const struct address *remote)
{
    return (!filter->family || filter->family == family) &&
           (!filter->has_local || prefix_contains(&filter->local, family, local)) &&
           (!filter->has_peer || prefix_contains(&filter->peer, family, remote));
}

int filter_netns_number(const char *text, uint64_t *ret)
{
    static const struct {
        const char *begin, *end;
    } forms[] = {{"inode:", ""}, {"net:[", "]"}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t head = strlen(forms[i].begin), tail = strlen(forms[i].end), length = strlen(text);
        char number[24];

        if (strncmp(text, forms[i].begin, head) != 0)
            continue;
        if (length < head + tail || length - head - tail >= sizeof(number) ||
            strcmp(text + length - tail, forms[i].end) != 0)
            return -EINVAL;
        snprintf(number, sizeof(number), "%.*s", (int)(length - head - tail), text + head);
        return parse_u64(number, 0, UINT64_MAX, ret) < 0 ? -EINVAL : 1;
    }
    return 0;
}

bool filter_netns(const struct filter *filter, const char *name, uint64_t inode)
{
    uint64_t number;

    if (!filter->netns)
        return true;
    if (filter_netns_number(filter->netns, &number) > 0)
        return number == inode;
    if (strcmp(filter->netns, FILTER_NETNS_OWN) == 0)
        return !*name;
    return strcmp(filter->netns, name) == 0;
}
