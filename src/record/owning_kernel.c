/* SPDX-License-Identifier: MIT */
/* Sockets of the kernel itself. That no process has a socket proves nothing; that a tunnel device of its
 * namespace listens at its port, and no process has it, does: the kernel lets nobody else have that
 * port on all addresses. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/kernel/tunnels.h"
#include "connhist/record/ledger_owners.h"
#include "ledger_private.h"

static bool is_wildcard(const struct address *address)
{
    static const struct address any;

    return memcmp(address, &any, sizeof(any)) == 0;
}

int owning_kernel_see(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    const struct entry *entry = lives_get(&ledger->lives, index);

    if (sample->protocol != PROTOCOL_UDP || sample->remote_port || !sample->inode || sample->uid ||
        owning_source(entry) != OWNER_BY_NOTHING || owning_lack(entry) != OWNER_ABSENT ||
        entry->pending || !is_wildcard(&sample->local))
        return 0;
    return vec_push(&ledger->perhaps_kernels, index);
}

bool ledger_wants_kernel_ports(const struct ledger *ledger)
{
    return ledger->perhaps_kernels.n > 0;
}

static bool is_at(const struct entry *entry, const struct tunnel_port *tunnel)
{
    return entry->local_port == tunnel->port &&
           (entry->family == AF_INET6 ? tunnel->ipv6 : tunnel->ipv4);
}

static int set_kernel(struct ledger *ledger, uint32_t index)
{
    struct entry *entry = lives_get(&ledger->lives, index);

    ledger->lacks[owning_lack(entry)]--;
    owning_set(entry, OWNER_IS_KERNEL, owning_lack(entry), owning_pause(entry));
    return ledger_touch(ledger, index, ENTRY_DIRTY);
}

int ledger_kernel_ports(struct ledger *ledger, const struct tunnel_port *ports, size_t n)
{
    int r = 0;

    for (size_t i = 0; i < ledger->perhaps_kernels.n && r == 0; i++) {
        uint32_t index = ledger->perhaps_kernels.items[i];
        bool found = false;

        for (size_t j = 0; j < n && !found; j++)
            found = is_at(lives_get(&ledger->lives, index), &ports[j]);
        if (found)
            r = set_kernel(ledger, index);
    }
    vec_clear(&ledger->perhaps_kernels);
    return r;
}
