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
    if (vec_push(&stage->samples, ((struct made_sample){s, stage->into})) < 0)
        stage_die("sample", "out of memory");
}

static void read_facts(struct stage *stage, const char *line)
{
    struct sample *s = stage->samples.n ? &stage->samples.items[stage->samples.n - 1].sample : NULL;

    if (!s ||
        sscanf(line, "facts %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32,
               &s->facts.sent_bytes, &s->facts.received_bytes, &s->facts.segs_out, &s->facts.rtt_us,
               &s->sent_ago_ms, &s->received_ago_ms) != 6)
        stage_die("facts", line);
    s->facts.segs_in = s->facts.segs_out;
    s->facts.known = true;
}

static void read_offload(struct stage *stage, const char *line)
{
    if (!stage->samples.n ||
        sscanf(line, "offload %" SCNu8,
               &stage->samples.items[stage->samples.n - 1].sample.offload) != 1)
        stage_die("offload", line);
}

bool stage_obey_info(struct stage *stage, const char *line)
{
    if (strncmp(line, "facts ", 6) == 0)
        read_facts(stage, line);
    else if (strncmp(line, "offload ", 8) == 0)
        read_offload(stage, line);
    else
        return false;
    return true;
}

void stage_read_event(struct stage *stage, const char *line)
{
    char protocol[8], local[64], remote[64];
    struct made_event event = {.place = stage->into};
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

uint32_t stage_place(const struct stage *stage, const struct netns_ref *netns)
{
    uint32_t place = 0;

    while (place < stage->n_places - 1 && stage->places[place].id != netns->id)
        place++;
    return place;
}

/* The own one has the number that is set for it, as the kernel gives it anew to another. */
struct netns_ref stage_ref(const struct stage *stage, uint32_t place)
{
    struct netns_ref ref = {
        .inode = stage->netns_inode + place,
        .cookie = place ? 100 + place + UINT64_C(1000) * stage->places[place].births : 0,
        .id = stage->places[place].id,
        .is_new = stage->places[place].is_new};

    if (place)
        snprintf(ref.name, sizeof(ref.name), "n%u", place);
    return ref;
}

static int by_id(const void *a, const void *b)
{
    const struct netns_ref *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

size_t stage_list(struct stage *stage)
{
    size_t n = 0;

    for (uint32_t i = 0; i < stage->n_places; i++)
        if (stage->places[i].standing == NETNS_RECORDED)
            stage->refs[n++] = stage_ref(stage, i);
    qsort(stage->refs, n, sizeof(stage->refs[0]), by_id);
    return n;
}

static void come_back(struct stage *stage, uint32_t place, bool is_new)
{
    struct made_netns *made = &stage->places[place];

    *made = (struct made_netns){.tables = made->tables, .id = ++stage->next_id, .is_new = is_new};
}

bool stage_obey_places(struct stage *stage, const char *line)
{
    uint32_t place, number = 0;

    if (sscanf(line, "namespaces %" SCNu32, &place) == 1 && place <= STAGE_NETNS_MAX) {
        while (stage->n_places < place)
            come_back(stage, stage->n_places++, false);
    } else if (sscanf(line, "into %" SCNu32, &place) == 1 && place < stage->n_places) {
        stage->into = place;
    } else if (sscanf(line, "without %" SCNu32 " %" SCNu32, &place, &number) == 2 &&
               place < stage->n_places) {
        stage->places[place].standing = (uint8_t)number;
    } else if (sscanf(line, "with %" SCNu32, &place) == 1 && place < stage->n_places) {
        come_back(stage, place, false);
    } else if (sscanf(line, "born %" SCNu32, &place) == 1 && place < stage->n_places) {
        number = stage->places[place].births + 1;
        come_back(stage, place, true);
        stage->places[place].births = number;
    } else if (strcmp(line, "fail\n") == 0) {
        stage->places[stage->into].fail = true;
    } else if (made_tables_obey(&stage->places[stage->into].tables, line)) {
        return true;
    } else {
        return false;
    }
    return true;
}
