/* SPDX-License-Identifier: MIT */
/* What destroy events told, while it is not known yet what became of the socket: found by the
 * endpoints (netns + 4-tuple), because a TIME_WAIT of a socket that was never dumped has another
 * cookie than its event. The same endpoints can come several times, one connection after the other:
 * a new one takes the place of the TIME_WAIT before, and nobody sees that any more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/closing.h"
#include "lives.h"

#define ENDINGS_NONE 0 /* index 0 is never used */

enum ending_kind {
    ENDING_FREE,     /* this place is free */
    ENDING_PENDING,  /* an event of a socket that no snapshot saw */
    ENDING_ORPHAN,   /* no event yet: a mini-socket whose origin no snapshot saw */
    ENDING_ATTACHED, /* belongs to an entry (entry->ending) */
};

/* What a search looks at comes first, to touch one cache line of those that it passes over. */
struct ending {
    uint64_t serial;        /* grows with each that is added; endings_add() sets it */
    int64_t at_ms;          /* record time at which the event was read */
    int64_t planned_ms;     /* end of TIME_WAIT as foreseen now; of entries with ENTRY_PLANNED */
    int64_t told_ms;        /* the same as the file has it */
    uint32_t hash;          /* of namespace and endpoints; endings_add() sets it */
    uint32_t netns;         /* id */
    uint32_t next;          /* chain of its endpoints' hash, or list of free places */
    uint32_t arrived;       /* number of the snapshot begun last before it came */
    uint32_t entry;         /* of an orphan: its index; of others LIVES_NONE */
    bool settled;           /* closing_settle() was done */
    bool blind;             /* that no mini-socket shows proves nothing: the endpoints were used
                               again, or it was too long ago */
    uint8_t kind;           /* enum ending_kind */
    struct closing closing; /* as told; of an orphan only the endpoints. Peer cut as the entry's */
};

struct endings {
    struct {
        VEC_FIELDS(struct ending);
    } pool;
    uint32_t *buckets; /* chains of all in use; owned */
    uint64_t serial;   /* of the one added last */
    uint32_t mask;     /* number of buckets - 1 */
    uint32_t free;     /* first free place */
    uint32_t n;        /* all in use */
    uint32_t n_pending;
};

int endings_init(struct endings *endings);
void endings_finish(struct endings *endings);

static inline struct ending *endings_get(const struct endings *endings, uint32_t index)
{
    return &endings->pool.items[index];
}

/* It will be looked at soon. */
static inline void endings_fetch(const struct endings *endings, uint32_t index)
{
    const char *ending = (const char *)endings_get(endings, index);

    __builtin_prefetch(ending);
    __builtin_prefetch(ending + 64);
    __builtin_prefetch(ending + 128);
}

/* These endpoints will be looked for soon. */
void endings_expect(const struct endings *endings, uint32_t netns, const struct address *local,
                    uint16_t local_port, const struct address *remote, uint16_t remote_port);

/* Adds one, which is found by its endpoints from now on. Pointers move. 0 or -ENOMEM. */
int endings_add(struct endings *endings, const struct ending *ending, uint32_t *ret);

/* The latest of a kind with these endpoints; ENDINGS_NONE. */
uint32_t endings_find(const struct endings *endings, enum ending_kind kind, uint32_t netns,
                      const struct closing *endpoints);

/* The pending one with these endpoints that was read first at that instant or later, of several
 * read together the latest; or else the latest. Where a socket ended on another CPU right before
 * the kernel may tell of the two in the wrong order, and nothing tells them apart. ENDINGS_NONE. */
uint32_t endings_find_after(const struct endings *endings, uint32_t netns,
                            const struct closing *endpoints, int64_t not_before_ms);

/* Notes in all others with these endpoints that they were used again. cookie: 0, or the socket's,
 * which is not its own successor. */
void endings_use_again(struct endings *endings, uint32_t netns, const struct closing *endpoints,
                       uint64_t cookie, uint32_t but);

/* It belongs to an entry from now on. */
void endings_attach(struct endings *endings, uint32_t index);

void endings_remove(struct endings *endings, uint32_t index);

/* Of the endpoints, for tables of others; without the peer's digest. */
uint64_t endings_hash(uint32_t netns, const struct closing *endpoints);

/* Memory held, bytes. */
size_t endings_bytes(const struct endings *endings);
