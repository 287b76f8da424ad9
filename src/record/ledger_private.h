/* SPDX-License-Identifier: MIT */
/* What the parts of the ledger share: taking samples in (ledger.c), deciding roles (roles.c),
 * telling the file (ledger_tell.c). */
#pragma once

#include "connhist/record/ledger.h"
#include "endings.h"
#include "lives.h"
#include "owner_table.h"
#include "owning.h"
#include "services.h"

/* TIME_WAIT lasts 2 MSL: TCP_TIMEWAIT_LEN of the kernel, 60 s in ms. */
#define TIME_WAIT_MS 60000

/* An event is read so much later than it came about, at most, unless the recorder is kept from
 * running. */
#define READ_LATE_MS 1000

#define LEDGER_AHEAD 8 /* entries; about as long as memory takes */

struct entry_vec {
    VEC_FIELDS(uint32_t);
};

/* What is known of one network namespace (ledger_netns.c). */
struct ledger_place {
    int64_t fin_timeout_ms;      /* how long a FIN_WAIT2 may wait */
    int64_t complete_ms;         /* if apart: as the ledger's, of this one alone */
    int64_t complete_before_ms;  /* if apart: likewise */
    uint32_t netns;              /* id */
    uint32_t n_interrupted;      /* snapshots in a row that were not complete here alone */
    struct port_range ephemeral; /* its range */
    bool strange;                /* not dumped before: new here does not mean opened since */
    bool time_wait_lost; /* TIME_WAITs vanished since the complete snapshot before: absence tells
                            nothing */
    bool failed;         /* this snapshot is not complete here, while it is elsewhere */
    bool apart;          /* other snapshots were complete here than elsewhere */
    bool left;           /* it is recorded no longer, though it may be there */
};

struct ledger {
    struct ledger_options options;
    struct lives lives;
    struct services services;
    struct endings endings;
    struct recent *recent;      /* lives that closed without an event; owned */
    int64_t start_ms;           /* this snapshot */
    int64_t first_ms;           /* the first snapshot of this run */
    int64_t complete_ms;        /* the last one before it that was complete in all namespaces but
                                   those that are apart; TIME_UNKNOWN: none */
    int64_t complete_before_ms; /* the one before that; TIME_UNKNOWN: none */
    uint64_t next_life;
    uint64_t roles_guessed;
    uint32_t snapshot;      /* its number in this run, from 1 */
    uint32_t n_interrupted; /* snapshots in a row that were complete nowhere */
    uint32_t n_failed;      /* places where this one is not complete */
    uint32_t n_apart;       /* places that are apart */
    uint32_t n_seen;        /* lives seen in it */
    uint32_t last_seen;     /* entry of the sample before; LIVES_NONE */
    uint32_t n_syn_recv;    /* SYN_RECV kept as lives in this snapshot */
    uint32_t facts_round;   /* grows when the file may lack what was told: digests are of a round */
    struct snapshot counts; /* sockets, doubles, unkept of this snapshot */
    struct entry_vec fresh; /* entries born in this snapshot; role not decided yet */
    struct entry_vec fresh_before; /* those of the snapshot before, when events are heard */
    struct {
        VEC_FIELDS(struct sample);
    } unsure; /* samples of fresh ones whose tcp_info may tell */
    struct {
        VEC_FIELDS(uint32_t);
    } unsure_entries;    /* the entry of each */
    size_t unsure_given; /* how many of them ledger_unsure() gave out */
    struct {
        VEC_FIELDS(uint32_t);
    } listeners; /* entries in LISTEN, made by roles_decide() */
    struct {
        VEC_FIELDS(uint32_t);
    } touched;           /* entries that became dirty since they were told */
    struct batch *batch; /* what this snapshot changed; the caller's */
    struct {
        VEC_FIELDS(uint32_t);
    } rate_chain; /* for each of the batch's rates the one before of its service + 1; 0: none */
    struct {
        VEC_FIELDS(uint32_t);
    } sampled_entries; /* the entry of each of the batch's sampled facts */
    struct owner_table owners;
    struct {
        VEC_FIELDS(struct owner_past);
    } pasts;             /* earlier owners of lives that changed hands; of a number: number - 1 */
    uint32_t pasts_free; /* first free number; 0: none */
    struct {
        VEC_FIELDS(struct sharer);
    } sharers; /* who holds which life beside its owner */
    struct {
        VEC_FIELDS(struct ask);
    } asks; /* lives of this snapshot whose owner is looked for */
    struct {
        VEC_FIELDS(uint32_t);
    } perhaps_kernels; /* entries of the namespace that is being dumped, see owning_kernel.c */
    struct {
        VEC_FIELDS(uint32_t);
    } gone;                  /* inodes of sockets that closed, not taken yet or taken last */
    uint32_t lacks[4];       /* those seen in it without a known owner, by enum owner_answer */
    uint32_t n_later;        /* listeners that the last look did not come to */
    uint32_t n_retold;       /* lives whose further holders are looked for anew in this snapshot */
    uint32_t recheck;        /* owner whose sockets are held against what is now; 0: none */
    uint32_t next_check;     /* where the processes that are looked at go on */
    uint32_t next_listening; /* likewise for those that listen */
    uint32_t next_recheck;   /* likewise for recheck */
    uint32_t recheck_pass;   /* how often that went through all owners */
    uint32_t listeners_at;   /* the snapshot that listeners are of */
    struct {
        VEC_FIELDS(struct claim);
    } claims;                          /* what may yet be the listener's, of the snapshot before */
    uint64_t unseen_ports[65536 / 64]; /* bits: TCP ports at which a socket that no snapshot saw
                                          may have listened since the last complete one */
    uint64_t unseen_late[65536 / 64];  /* likewise, told while this one was taken: what came to it
                                          the next one may show first */
    bool any_unseen;                   /* one of these is set */
    bool taking;                       /* between ledger_begin() and ledger_end() */
    bool looked;                       /* there were wants at the look before */
    bool gone_taken;                   /* gone was taken */
    bool last;                         /* no snapshot comes after this one */
    bool decided;                      /* roles of this snapshot are */
    bool interrupted;                  /* it is complete nowhere; set when it is decided */
    bool offload_told;                 /* the kernel told what holds a connection, once */
    struct late_vec late;              /* facts of lives that closed before; not in a batch yet */
    int64_t previous_ms; /* start of the snapshot before, complete or not; TIME_UNKNOWN: none */
    struct {
        VEC_FIELDS(struct ledger_place);
    } places;             /* sorted by namespace */
    uint64_t closings;    /* events of sockets that were connected */
    uint64_t unconnected; /* events of sockets that never were */
    uint64_t unresolved;  /* events of aborted sockets that no snapshot saw */
    int error;            /* -ENOMEM that made the snapshot unusable */
};

/* Fetches what an event told of the lives that are looked at next, in a loop over many. */
static inline void ledger_fetch_ahead(const struct ledger *ledger, const struct entry_vec *entries,
                                      size_t i)
{
    if (i + LEDGER_AHEAD < entries->n)
        endings_fetch(&ledger->endings,
                      lives_get(&ledger->lives, entries->items[i + LEDGER_AHEAD])->ending);
}

/* What is known of a namespace; defaults where nothing was told. */
struct ledger_place ledger_place(const struct ledger *ledger, uint32_t netns);

/* A snapshot begins: it failed nowhere yet. */
void ledger_places_begin(struct ledger *ledger);

/* A snapshot ends that was complete somewhere: there no namespace is strange any more, and nothing
 * before it matters. */
void ledger_places_end(struct ledger *ledger);

/* Whether this snapshot, once it is decided, shows all that is there: what it lacks is gone. */
bool ledger_is_whole(const struct ledger *ledger, uint32_t netns);

/* The last snapshot before this one that was complete in a namespace, and the one before that;
 * TIME_UNKNOWN: none. */
int64_t ledger_complete_ms(const struct ledger *ledger, uint32_t netns);
int64_t ledger_complete_before_ms(const struct ledger *ledger, uint32_t netns);

/* Puts the namespaces in which this snapshot is not complete into the batch. 0 or -ENOMEM. */
int ledger_tell_failed(struct ledger *ledger);

/* Whether what a snapshot shows first in a namespace has opened since the one before. */
bool ledger_opening_known(const struct ledger *ledger, uint32_t netns);

/* Cuts a peer's address, if that is asked for. Returns a digest of the whole address, by which those
 * of one prefix are told apart as long as they matter; 0: nothing was cut. */
uint32_t ledger_cut_peer(const struct ledger *ledger, uint8_t family, struct address *remote);

/* Room to remember lives that closed without an event. 0 or -ENOMEM. */
int ledger_recent_init(struct ledger *ledger);

/* A life closed without an event: that may still come. */
void ledger_remember_closed(struct ledger *ledger, const struct entry *entry);

/* Notes what a sample tells of a connection that is open, if this snapshot asks for it and it
 * changed. 0 or -ENOMEM. */
int ledger_learn_facts(struct ledger *ledger, uint32_t index, const struct sample *sample);

/* Notes what holds a connection, as tcp_info told it. Where the host's TCP does nothing is told.
 * OFFLOAD_UNKNOWN changes nothing. 0 or -ENOMEM. */
int ledger_learn_offload(struct ledger *ledger, uint32_t index, uint8_t offload);

/* Likewise of those that were asked about one by one. 0 or -ENOMEM. */
int ledger_learn_asked(struct ledger *ledger);

/* What a life is told with, and what it had when it was taken up again. */
void ledger_tell_offload(const struct entry *entry, struct life *life);
void ledger_resume_offload(struct entry *entry, const struct life *life);

/* Notes what an event told of a life that goes on as a mini-socket, so that the file has it should
 * this run end before that is gone. again: the file may lack it though it was told. 0 or -ENOMEM. */
int ledger_tell_last_facts(struct ledger *ledger, uint32_t index, bool again);

/* Takes what was sampled of lives that ended meanwhile out of the batch. */
void ledger_tell_facts(struct ledger *ledger);

/* Whether a new life's socket is one that closed without an event, by its cookie and endpoints: the
 * kernel's walk had missed it, or it was disconnected and connected to the same peer again. Which,
 * nobody knows; so the file has two lives, and no opening is claimed for the second. */
bool ledger_was_closed(const struct ledger *ledger, const struct entry *entry);

/* Whether an event is of a life that was closed without it: then it adds what it knows. *ret: 0 or
 * -ENOMEM. */
bool ledger_join_late(struct ledger *ledger, uint32_t netns, const struct closing *closing,
                      int64_t at_ms, int *ret);

/* The endpoints of a life, to look for what events told of them. */
struct closing ledger_endpoints(const struct entry *entry);

/* What an event tells in numbers. */
struct life_facts ledger_facts(const struct closing *closing);

/* Which end opened it, where that is known and not guessed by ports. */
enum opener ledger_opener(const struct ledger *ledger, const struct entry *entry);

/* The opener may tell what the event left open: whether there was a FIN of ours. */
void ledger_learn_opener(struct closing *closing, enum opener opener);

/* Whether there was no FIN of ours. Without an answer to our FIN or data it is either: the counters
 * look alike; and a SYN that nobody answered was given up. */
bool ledger_is_reset(const struct closing *closing);

/* Who closed a life that is over, as far as it can be told. */
enum closed_by ledger_closed_by(const struct ledger *ledger, const struct entry *entry);

/* Finishes the numbers of a life's event, now that it is known what followed. */
void ledger_settle(struct ledger *ledger, const struct entry *entry);

/* Counts a life that began in this snapshot, if it is a connection and surely began since the one
 * before. 0 or -ENOMEM. */
int rates_opened(struct ledger *ledger, const struct entry *entry);

/* Counts the closing of a connection, once for each life. 0 or -ENOMEM. */
int rates_closed(struct ledger *ledger, struct entry *entry, const struct life *life);

/* Joins events to what this snapshot showed for the first time, when those that came while it was
 * taken are in: mini-sockets of unknown origin take the event that came with them, or wait for one.
 * 0 or -ENOMEM. */
int ledger_join_fresh(struct ledger *ledger);

/* The life of an earlier run, closed in the file with an end to come, that a sample of an unknown
 * cookie goes on with; it has that cookie from now on. LIVES_NONE. */
uint32_t ledger_adopt(struct ledger *ledger, uint32_t netns, const struct sample *key,
                      uint32_t peer_digest);

/* Makes lives of the events that nothing followed, where this snapshot would show what did; all that
 * came before it if it is the last. They are not seen, so that ledger_end() ends them. 0 or -ENOMEM. */
int ledger_resolve_pending(struct ledger *ledger);

/* A new life that is not marked as seen; its role is decided when the snapshot ends. 0 or -ENOMEM.
 */
int ledger_be_born(struct ledger *ledger, uint32_t netns, const struct sample *key, uint32_t *ret);

/* Whether a socket is what is left of a TCP connection: the connection is over, the program still
 * holds it. */
static inline bool ledger_is_left(unsigned protocol, unsigned state, uint16_t remote_port)
{
    return protocol == PROTOCOL_TCP && state == STATE_CLOSE && remote_port != 0;
}

/* Roles of what began in this snapshot, once: pending events become lives before if it is complete.
 * 0 or -ENOMEM. */
int ledger_decide(struct ledger *ledger, enum snapshot_status status);

/* Marks the entry as changed. 0 or -ENOMEM. */
int ledger_touch(struct ledger *ledger, uint32_t index, uint8_t flag);

/* Puts an owner into the batch if it is not there yet. 0 or -ENOMEM. */
int ledger_tell_owner(struct ledger *ledger, uint32_t owner);

/* A socket has closed, as far as is known. inode: 0: it is not known, and nothing is done. */
void ledger_note_gone(struct ledger *ledger, uint32_t inode);

/* Frees an entry with what it refers to in the owner table. */
void ledger_remove(struct ledger *ledger, uint32_t index);

/* Listeners of this snapshot and the one before, for the next function. 0 or -ENOMEM. */
int roles_collect_listeners(struct ledger *ledger);

/* The next listener that a connection may have come from; NULL after the last. *at: SIZE_MAX for
 * the first. */
const struct entry *roles_next_listener(const struct ledger *ledger, const struct entry *entry,
                                        size_t *at);

/* Whether it is a mini-socket: FIN_WAIT2 after close(), or TIME_WAIT. */
static inline bool ledger_is_mini(const struct entry *entry)
{
    return entry->protocol == PROTOCOL_TCP &&
           (entry->state == STATE_TIME_WAIT ||
            (entry->state == STATE_FIN_WAIT2 && !entry->inode && entry->uid == UID_UNKNOWN));
}

/* Decides the role and service of all fresh lives. 0 or -ENOMEM. */
int roles_decide(struct ledger *ledger);

/* The service that a SYN_RECV beyond the bound counts for. */
struct service_key roles_server_key(uint32_t netns, const struct sample *sample);

/* Whether a life is told: without detail only what has no peer is, listeners and UDP sockets that
 * serve.
 */
bool ledger_is_for_file(const struct ledger *ledger, const struct entry *entry);

/* A life is over: it goes into the batch, and its entry is free. 0 or -ENOMEM. */
int ledger_end_life(struct ledger *ledger, uint32_t index, int64_t ended_ms);

/* A life that is recorded no longer: ended_ms is the last instant known of it, and nobody closed it.
 * 0 or -ENOMEM. */
int ledger_lose_life(struct ledger *ledger, uint32_t index, int64_t ended_ms);

/* Fills the batch with lives that began or changed; all that are alive if `full`. 0 or -ENOMEM. */
int ledger_tell(struct ledger *ledger, bool full);
