/* SPDX-License-Identifier: MIT */
#include "netstat_hints.h"

#include <string.h>

#include "complain.h"
#include "context.h"

const struct option_hint netstat_hints[] = {
    {"u", "udp", "UDP alone is -p udp, and -tulpn of Linux' netstat is -lnb here"},
    {"", "tcp", "TCP alone is -p tcp"},
    {"4", "ipv4", "IPv4 alone is -p tcpv4 or -p udpv4"},
    {"6", "ipv6", "IPv6 alone is -p tcpv6 or -p udpv6"},
    {"", "proto", "-p is about protocols here; programs are -b"},
    {"", "programs", "programs are -b"},
    {"", "processes", "programs are -b"},
    {"", "listening", "listening ports are -l or --listen"},
    {"i", "interfaces", "each interface is -e --by interface"},
    {"c", "continuous", "what repeats is an interval as last word: netstat -an 1"},
    {"W", "wide", "into a pipe or a pager nothing is cut"},
    {"wx", "unix", "connhist knows TCP and UDP alone"},
    {"", "raw", "connhist knows TCP and UDP alone"},
    {"q", NULL, "bound sockets are shown by -a"},
    {"", "numeric-ports", "ports as numbers are -n"},
    {"", "numeric-hosts", "addresses are numbers unless -f is given"},
    {"", "extend", "users are shown without it"},
    {"v", "verbose", "there is no more to tell: -a -b -o show all of each socket"},
    {"", "timers", "timers are not shown; -o is the process id"},
    {"g", "groups", "multicast groups are not shown"},
    {"V", NULL, "the version is --version"},
    {"01235789", NULL, "INTERVAL is not negative"},
    {NULL, NULL, NULL},
};

/* Letters of Linux' netstat that no name of a protocol is made of alone. */
#define BUNDLE "abefhlnorstuwxW46"

int netstat_hints_check(const struct context *ctx)
{
    const char *text = options_text(&ctx->options, OPT_PROTO);

    if (!text || !*text || text[strspn(text, BUNDLE)])
        return EXIT_ANSWERED;
    return wrong_usage("--proto %s is not known: -p has a protocol behind it, as in -anp tcp; "
                       "programs are -b, as in -anb",
                       text);
}
