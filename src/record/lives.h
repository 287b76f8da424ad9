/* SPDX-License-Identifier: MIT */
/* The table of lives that are alive: a pool in chunks that never moves, and a hash by namespace and
 * cookie. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/address.h"

#define LIVES_NONE UINT32_MAX /* no entry */

#define ENTRY_INLINE_HISTORY 8 /* longer histories are on the heap */

enum entry_flags {
    ENTRY_OPENED_KNOWN = 1, /* it opened between the snapshot before since_ms and since_ms */
    ENTRY_LISTENED = 2,     /* it was in LISTEN at some time */
    ENTRY_V6ONLY = 4,       /* IPv6 listener that does not take IPv4 */
    ENTRY_TOLD = 8,         /* the file has it in `open` */
    ENTRY_DIRTY = 16,       /* it changed since it was told */
    ENTRY_QUEUE_DIRTY = 32, /* its accept queue changed since it was told */
    ENTRY_COUNTED = 128,    /* its closing is in the rates */
    ENTRY_PLANNED = 64,     /* the file has it in `closed`, with the planned end of its TIME_WAIT */
};

/* One life; small, because there is one for every socket of the host. What chains and scans over all
 * look at comes first, to touch one cache line of those that they pass over. */
struct entry {
    uint64_t number;       /* the life's; 0: this place is free */
    uint64_t cookie;       /* the kernel's */
    uint32_t next;         /* hash chain, or list of free places */
    uint32_t netns;        /* id */
    uint32_t seen;         /* number of the snapshot that saw it last */
    uint32_t follower;     /* guess: what the kernel's walk shows after this one */
    int64_t since_ms;      /* first known instant */
    int64_t changed_ms;    /* when `state` began */
    struct address local;  /* network byte order */
    struct address remote; /* network byte order; cut under anonymous detail */
    union {
        uint8_t bytes[ENTRY_INLINE_HISTORY]; /* history_bytes <= ENTRY_INLINE_HISTORY */
        uint8_t *heap;                       /* else; owned */
    } history;
    uint32_t service;       /* index into services */
    uint32_t inode;         /* 0: never seen */
    uint32_t uid;           /* UID_UNKNOWN */
    uint32_t scope_ifindex; /* device, or 0 */
    union {
        uint32_t waiting;      /* of one that ever listened: accept queue */
        uint32_t facts_digest; /* of others: what it carried, as told last; 0: nothing was told */
    };
    uint32_t limit;       /* LISTEN: its limit */
    uint32_t owner;       /* number in the owner table; 0: none */
    uint32_t peer_digest; /* of the whole address where `remote` is cut: it tells connections of one
                              prefix apart, in memory alone; 0: not cut, or not known */
    uint32_t owner_seen;  /* when its owner was last seen to hold it, see owning_past.c; 0: not in
                              this run */
    uint32_t past;        /* its earlier owners, see owning_past.c; 0: none */
    uint32_t ending;      /* what an event told of it, or an orphan's place; ENDINGS_NONE */
    uint16_t local_port;  /* host byte order */
    uint16_t remote_port; /* host byte order */
    uint8_t family : 4;   /* AF_INET or AF_INET6 */
    uint8_t role_source : 4; /* enum role_source; 0: not decided yet */
    uint8_t offload;         /* enum offload as known last, see ledger_offload.c; 0: not known */
    uint8_t protocol;        /* enum protocol */
    uint8_t state;           /* enum sock_state */
    uint8_t flags;           /* enum entry_flags */
    uint8_t history_bytes;   /* in use */
    uint8_t owning;          /* see owning.h */
    bool pending : 1;        /* the last look did not come to an end */
    bool shared : 1;         /* further holders were told */
    bool suspect : 1;        /* its owner was not seen to hold it any more */
    bool mixed : 1;          /* a listener that several programs hold, or may */
    bool asked : 1;          /* a listener that is looked at in this snapshot for what came to it */
    bool retell : 1;         /* the file may lack its further holders: they are looked for anew */
};

struct lives {
    struct {
        VEC_FIELDS(struct entry *);
    } chunks;          /* owned, each of LIVES_CHUNK entries */
    uint32_t *buckets; /* first entry of each chain; owned */
    uint32_t mask;     /* number of buckets - 1 */
    uint32_t free;     /* first free place */
    uint32_t end;      /* places handed out so far */
    uint32_t n;        /* lives */
    size_t heap_bytes; /* in long histories */
};

#define LIVES_CHUNK_BITS 9
#define LIVES_CHUNK      (1u << LIVES_CHUNK_BITS)

int lives_init(struct lives *lives);
void lives_finish(struct lives *lives);

static inline struct entry *lives_get(const struct lives *lives, uint32_t index)
{
    return &lives->chunks.items[index >> LIVES_CHUNK_BITS][index & (LIVES_CHUNK - 1)];
}

/* It will be looked at soon. */
static inline void lives_fetch(const struct lives *lives, uint32_t index)
{
    const char *entry;

    if (index == LIVES_NONE)
        return;
    entry = (const char *)lives_get(lives, index);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
    __builtin_prefetch(entry + 128);
}

/* A life with this cookie; LIVES_NONE. */
uint32_t lives_find(const struct lives *lives, uint32_t netns, uint64_t cookie);

/* This cookie will be looked for soon. */
void lives_expect(const struct lives *lives, uint32_t netns, uint64_t cookie);

/* Another life with the cookie of this one; LIVES_NONE after the last. */
uint32_t lives_next(const struct lives *lives, uint32_t index);

/* Adds a life with cookie, netns and number set and all else zero. 0 or -ENOMEM. */
int lives_add(struct lives *lives, uint32_t netns, uint64_t cookie, uint64_t number, uint32_t *ret);

/* Gives a life the cookie that the kernel shows for it now. */
void lives_set_cookie(struct lives *lives, uint32_t index, uint64_t cookie);

/* Removes a life with its history. */
void lives_remove(struct lives *lives, uint32_t index);

/* The entry's history bytes; valid until it changes. */
static inline const uint8_t *entry_history(const struct entry *entry)
{
    return entry->history_bytes > ENTRY_INLINE_HISTORY ? entry->history.heap : entry->history.bytes;
}

/* Sets the whole history. 0 or -ENOMEM. n <= HISTORY_MAX_BYTES. */
int lives_set_history(struct lives *lives, struct entry *entry, const uint8_t *bytes, size_t n);

/* The state changes at at_ms (not before entry->changed_ms): appended to the history. 0 or -ENOMEM.
 */
int lives_append_state(struct lives *lives, struct entry *entry, uint8_t state, int64_t at_ms);

/* Memory held, bytes. */
size_t lives_bytes(const struct lives *lives);
