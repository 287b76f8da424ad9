/* SPDX-License-Identifier: MIT */
/* Sockets that closed, for whoever looks for owners: new ones may be in their place. */
#include <errno.h>

#include "connhist/record/ledger_owners.h"
#include "ledger_private.h"

#define GONE_MAX 4096 /* told at once; 16 KiB */

void ledger_note_gone(struct ledger *ledger, uint32_t inode)
{
    if (!ledger->options.owners || !inode)
        return;
    if (ledger->gone_taken)
        vec_clear(&ledger->gone);
    ledger->gone_taken = false;
    if (ledger->gone.n < GONE_MAX)
        (void)vec_push(&ledger->gone, inode); /* a look is dearer without */
}

size_t ledger_gone(struct ledger *ledger, const uint32_t **ret)
{
    *ret = ledger->gone.items;
    if (ledger->gone_taken)
        return 0;
    ledger->gone_taken = true;
    return ledger->gone.n;
}
