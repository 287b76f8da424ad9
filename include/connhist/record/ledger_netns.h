/* SPDX-License-Identifier: MIT */
/* What the ledger is told of single namespaces. */
#pragma once

#include <stdint.h>

#include "connhist/model/service.h"

struct ledger;

/* A namespace's settings now, at best between its samples and ledger_end(). ephemeral: its range,
 * options.ephemeral until told. fin_timeout_ms: how long a mini-socket in FIN_WAIT2 may wait, 60 s
 * until told; one that no snapshot saw may have come and gone when that is shorter than their
 * distance. 0 or -ENOMEM. */
int ledger_netns_facts(struct ledger *ledger, uint32_t netns, const struct port_range *ephemeral,
                       int64_t fin_timeout_ms);

/* A namespace that was not dumped before though it may have been there: its sockets are of any age,
 * until a snapshot is complete. To be called before its first sample. 0 or -ENOMEM. */
int ledger_netns_strange(struct ledger *ledger, uint32_t netns);

/* This snapshot's dump of a namespace failed or was inconsistent: what it does not show there proves
 * nothing, while elsewhere it does. ledger_end() is then told SNAPSHOT_INTERRUPTED. 0 or -ENOMEM. */
int ledger_netns_failed(struct ledger *ledger, uint32_t netns);

/* A namespace is recorded no longer, though it may be there: its lives end with the next snapshot
 * when they were last known, closed by nobody, and count as closed nowhere, unless an event told it.
 * 0 or -ENOMEM. */
int ledger_netns_left(struct ledger *ledger, uint32_t netns);

/* The namespace is gone, its lives have ended, and nothing more will be told of it. */
void ledger_netns_forget(struct ledger *ledger, uint32_t netns);

/* As ledger_resume_at(), for a namespace in which another snapshot was the last complete one. 0 or
 * -ENOMEM. */
int ledger_netns_resume_at(struct ledger *ledger, uint32_t netns, int64_t last_complete_ms);
