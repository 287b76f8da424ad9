/* SPDX-License-Identifier: MIT */
/* Which end of a connection is the service. See "The way of the data" in CONTRIBUTING.md. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "ledger_private.h"

struct verdict {
    enum role role;
    enum role_source source;
    bool portless; /* an unconnected client: service 0 */
};

struct service_key roles_server_key(uint32_t netns, const struct sample *sample)
{
    return (struct service_key){.netns = netns,
                                .port = sample->local_port,
                                .protocol = sample->protocol,
                                .role = ROLE_SERVER};
}

static bool is_listened_address(const struct entry *listener, const struct entry *entry)
{
    if (listener->family != entry->family)
        return false;
    if ((listener->flags & ENTRY_V6ONLY) && address_is_mapped(entry->family, &entry->local))
        return false;
    return address_is_any(listener->family, &listener->local) ||
           address_is_any(entry->family, &entry->local) || /* wiped by an abort */
           memcmp(&listener->local, &entry->local, sizeof(entry->local)) == 0;
}

static bool listener_matches(const struct entry *listener, const struct entry *entry)
{
    return listener->local_port == entry->local_port && listener->netns == entry->netns &&
           (!listener->scope_ifindex || listener->scope_ifindex == entry->scope_ifindex) &&
           is_listened_address(listener, entry);
}

/* Listeners sorted by port, so that a burst of new sockets doesn't scan them all: the first of a
 * port. */
static size_t first_of_port(const struct ledger *ledger, const struct entry *entry)
{
    size_t low = 0, high = ledger->listeners.n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (lives_get(&ledger->lives, ledger->listeners.items[middle])->local_port <
            entry->local_port)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct entry *roles_next_listener(const struct ledger *ledger, const struct entry *entry,
                                        size_t *at)
{
    *at = *at == SIZE_MAX ? first_of_port(ledger, entry) : *at + 1;
    for (; *at < ledger->listeners.n; (*at)++) {
        const struct entry *listener = lives_get(&ledger->lives, ledger->listeners.items[*at]);

        if (listener->local_port != entry->local_port)
            break;
        if (listener_matches(listener, entry))
            return listener;
    }
    return NULL;
}

static bool has_listener(const struct ledger *ledger, const struct entry *entry)
{
    size_t at = SIZE_MAX;

    return roles_next_listener(ledger, entry, &at);
}

static int by_port(const void *a, const void *b, void *lives)
{
    uint16_t left = lives_get(lives, *(const uint32_t *)a)->local_port;
    uint16_t right = lives_get(lives, *(const uint32_t *)b)->local_port;

    return (left > right) - (left < right);
}

/* Listeners of the snapshot before count too: what came just before they stopped is theirs. */
int roles_collect_listeners(struct ledger *ledger)
{
    if (ledger->listeners_at == ledger->snapshot)
        return 0;
    vec_clear(&ledger->listeners);
    for (uint32_t i = 0; i < ledger->lives.end; i++) {
        const struct entry *entry = lives_get(&ledger->lives, i);

        if (entry->number && entry->state == STATE_LISTEN && vec_push(&ledger->listeners, i) < 0)
            return -ENOMEM;
    }
    if (ledger->listeners.n)
        qsort_r(ledger->listeners.items, ledger->listeners.n, sizeof(uint32_t), by_port,
                &ledger->lives);
    ledger->listeners_at = ledger->snapshot;
    return 0;
}

/* A socket without a peer: below the ephemeral range it serves. */
static struct verdict of_unconnected(const struct ledger *ledger, const struct entry *entry,
                                     enum role_source source)
{
    if (entry->local_port && entry->local_port < ledger_place(ledger, entry->netns).ephemeral.low)
        return (struct verdict){ROLE_SERVER, source, false};
    return (struct verdict){ROLE_CLIENT, source, true};
}

static struct verdict of_udp(const struct ledger *ledger, const struct entry *entry)
{
    if (entry->state == STATE_ESTABLISHED)
        return (struct verdict){ROLE_CLIENT, ROLE_BY_STATE, false};
    return of_unconnected(ledger, entry, ROLE_BY_STATE);
}

static struct verdict of_tcp(const struct ledger *ledger, const struct entry *entry,
                             enum opener opener)
{
    struct ledger_place place;

    if (entry->state == STATE_LISTEN || entry->state == STATE_SYN_RECV)
        return (struct verdict){ROLE_SERVER, ROLE_BY_STATE, false};
    if (entry->state == STATE_SYN_SENT)
        return (struct verdict){ROLE_CLIENT, ROLE_BY_STATE, false};
    if (opener != OPENER_UNKNOWN)
        return (struct verdict){opener == OPENER_LOCAL ? ROLE_CLIENT : ROLE_SERVER,
                                ROLE_BY_TCP_INFO, false};
    if (entry->remote_port == 0 &&
        (address_is_any(entry->family, &entry->remote) || !has_listener(ledger, entry)))
        return of_unconnected(ledger, entry, ROLE_BY_PORT_CLASS);
    if (has_listener(ledger, entry))
        return (struct verdict){ROLE_SERVER, ROLE_BY_LISTENER, false};
    place = ledger_place(ledger, entry->netns);
    return (struct verdict){role_by_ports(entry->local_port, entry->remote_port, &place.ephemeral),
                            ROLE_BY_PORT_CLASS, false};
}

static int32_t service_port(const struct verdict *verdict, const struct entry *entry)
{
    if (verdict->role == ROLE_SERVER)
        return entry->local_port;
    return verdict->portless ? 0 : entry->remote_port;
}

/* What is left of a connection belongs to the service of that. */
static const struct entry *origin(const struct ledger *ledger, const struct entry *entry)
{
    uint32_t i;

    if (!ledger_is_left(entry->protocol, entry->state, entry->remote_port))
        return NULL;
    i = lives_find(&ledger->lives, entry->netns, entry->cookie);
    for (; i != LIVES_NONE; i = lives_next(&ledger->lives, i)) {
        const struct entry *other = lives_get(&ledger->lives, i);

        if (other->role_source && other->protocol == PROTOCOL_TCP &&
            other->local_port == entry->local_port && other->remote_port == entry->remote_port &&
            memcmp(&other->remote, &entry->remote, sizeof(other->remote)) == 0)
            return other;
    }
    return NULL;
}

static int count_in(struct ledger *ledger, struct entry *entry, uint32_t service, uint8_t source)
{
    entry->service = service;
    entry->role_source = source;
    ledger->services.slots.items[service].lives++;
    /* one that only an event told of was never seen, and is not counted */
    if (entry->seen == ledger->snapshot)
        ledger->services.slots.items[service].now[entry->state]++;
    ledger->roles_guessed += source == ROLE_BY_PORT_CLASS;
    return rates_opened(ledger, entry);
}

static int decide(struct ledger *ledger, struct entry *entry, enum opener opener)
{
    const struct entry *from = origin(ledger, entry);
    struct verdict verdict =
        entry->protocol == PROTOCOL_UDP ? of_udp(ledger, entry) : of_tcp(ledger, entry, opener);
    struct service_key key = {.netns = entry->netns,
                              .port = service_port(&verdict, entry),
                              .protocol = entry->protocol,
                              .role = (uint8_t)verdict.role};
    uint32_t service;
    int r;

    if (from)
        return count_in(ledger, entry, from->service, from->role_source);
    r = services_get(&ledger->services, &key, &service);
    return r < 0 ? r : count_in(ledger, entry, service, (uint8_t)verdict.source);
}

int roles_decide(struct ledger *ledger)
{
    int r;

    if (ledger->fresh.n == 0)
        return 0;
    r = roles_collect_listeners(ledger);
    if (r == 0)
        r = ledger_learn_asked(ledger);
    for (size_t i = 0; i < ledger->unsure.n && r == 0; i++)
        r = decide(ledger, lives_get(&ledger->lives, ledger->unsure_entries.items[i]),
                   (enum opener)ledger->unsure.items[i].opener);
    for (size_t i = 0; i < ledger->fresh.n && r == 0; i++) {
        struct entry *entry = lives_get(&ledger->lives, ledger->fresh.items[i]);

        ledger_fetch_ahead(ledger, &ledger->fresh, i);
        if (entry->role_source == 0)
            r = decide(ledger, entry,
                       (enum opener)endings_get(&ledger->endings, entry->ending)->closing.opener);
    }
    return r;
}
