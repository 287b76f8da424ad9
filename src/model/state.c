/* SPDX-License-Identifier: MIT */
#include "connhist/model/state.h"

#include <errno.h>

#include "connhist/base/strutil.h"

static const char *const names[STATE_COUNT] = {
    "?",         "ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
    "TIME_WAIT", "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN",    "CLOSING",
};

/* Spellings of netstat, ss, RFC 9293 and netstat of other systems. */
static const struct {
    const char *spelling;
    enum sock_state state;
} aliases[] = {
    {"ESTAB", STATE_ESTABLISHED},     {"SYNSENT", STATE_SYN_SENT},
    {"SYN_RECEIVED", STATE_SYN_RECV}, {"SYNRECV", STATE_SYN_RECV},
    {"SYN_RCVD", STATE_SYN_RECV},     {"FIN_WAIT_1", STATE_FIN_WAIT1},
    {"FINWAIT1", STATE_FIN_WAIT1},    {"FIN_WAIT_2", STATE_FIN_WAIT2},
    {"FINWAIT2", STATE_FIN_WAIT2},    {"TIMEWAIT", STATE_TIME_WAIT},
    {"CLOSED", STATE_CLOSE},          {"UNCONN", STATE_CLOSE},
    {"BOUND", STATE_CLOSE},           {"CLOSEWAIT", STATE_CLOSE_WAIT},
    {"LASTACK", STATE_LAST_ACK},      {"LISTENING", STATE_LISTEN},
};

const char *state_name(unsigned state)
{
    return state < STATE_COUNT ? names[state] : names[0];
}

int state_parse(const char *text, enum sock_state *ret)
{
    for (unsigned i = 1; i < STATE_COUNT; i++)
        if (same_word(text, names[i])) {
            *ret = (enum sock_state)i;
            return 0;
        }
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (same_word(text, aliases[i].spelling)) {
            *ret = aliases[i].state;
            return 0;
        }
    return -EINVAL;
}

const char *const *state_names(size_t *ret_n)
{
    *ret_n = STATE_COUNT - 1;
    return names + 1;
}

const char *protocol_name(unsigned protocol)
{
    return protocol == PROTOCOL_TCP ? "tcp" : protocol == PROTOCOL_UDP ? "udp" : "?";
}

int protocol_parse(const char *text, enum protocol *ret)
{
    if (same_word(text, "tcp"))
        *ret = PROTOCOL_TCP;
    else if (same_word(text, "udp"))
        *ret = PROTOCOL_UDP;
    else
        return -EINVAL;
    return 0;
}
