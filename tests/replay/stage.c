/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void stage_die(const char *what, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", what, why);
    exit(1);
}

void stage_read_sample(struct stage *stage, const char *line)
{
    char protocol[8], local[64], remote[64], state[16];
    struct sample s = {0};
    enum sock_state number;
    int family, opener;
    int64_t uid;

    if (sscanf(line,
               "sample %7s %d %63s %" SCNu16 " %63s %" SCNu16 " %15s %" SCNu64 " %" SCNu32
               " %" SCNd64 " %" SCNu32 " %" SCNu8 " %" SCNu32 " %" SCNu32 " %" SCNu32
               " %d %" SCNu64,
               protocol, &family, local, &s.local_port, remote, &s.remote_port, state, &s.cookie,
               &s.inode, &uid, &s.scope_ifindex, &s.timer, &s.expires_ms, &s.recv_queue,
               &s.send_queue, &opener, &s.cgroup) < 16)
        stage_die("sample", line);
    if (state_parse(state, &number) < 0 || address_parse(local, &s.family, &s.local) < 0 ||
        address_parse(remote, &s.family, &s.remote) < 0)
        stage_die("sample", line);
    s.family = family == 4 ? AF_INET : AF_INET6;
    s.protocol = strcmp(protocol, "tcp") == 0 ? PROTOCOL_TCP : PROTOCOL_UDP;
    s.state = (uint8_t)number;
    s.opener = (uint8_t)opener;
    s.has_uid = uid >= 0;
    s.uid = uid >= 0 ? (uint32_t)uid : 0;
    if (vec_push(&stage->samples, s) < 0)
        stage_die("sample", "out of memory");
}

void stage_read_facts(struct stage *stage, const char *line)
{
    struct sample *s = stage->samples.n ? &stage->samples.items[stage->samples.n - 1] : NULL;

    if (!s ||
        sscanf(line, "facts %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32,
               &s->facts.sent_bytes, &s->facts.received_bytes, &s->facts.segs_out, &s->facts.rtt_us,
               &s->sent_ago_ms, &s->received_ago_ms) != 6)
        stage_die("facts", line);
    s->facts.segs_in = s->facts.segs_out;
    s->facts.known = true;
}

void stage_read_event(struct stage *stage, const char *line)
{
    char protocol[8], local[64], remote[64];
    struct made_event event = {0};
    struct closing *c = &event.closing;
    int family, opener, has_info, fin_acked, wiped, unconnected;

    if (sscanf(line,
               "event %d %7s %d %63s %" SCNu16 " %63s %" SCNu16 " %" SCNu64
               " %d %d %d %d %d %" SCNu64 " %" SCNu64,
               &event.drains, protocol, &family, local, &c->local_port, remote, &c->remote_port,
               &c->cookie, &opener, &has_info, &fin_acked, &wiped, &unconnected, &c->bytes_sent,
               &c->bytes_received) != 15)
        stage_die("event", line);
    if (address_parse(local, &c->family, &c->local) < 0 ||
        address_parse(remote, &c->family, &c->remote) < 0)
        stage_die("event", line);
    c->family = family == 4 ? AF_INET : AF_INET6;
    c->protocol = strcmp(protocol, "tcp") == 0 ? PROTOCOL_TCP : PROTOCOL_UDP;
    c->opener = (uint8_t)opener;
    c->has_info = has_info;
    c->fin_acked = fin_acked;
    c->established = has_info || fin_acked;
    c->wiped = wiped;
    c->unconnected = unconnected;
    c->received_ns = stage->boot_ns;
    if (vec_push(&stage->events, event) < 0)
        stage_die("event", "out of memory");
}
