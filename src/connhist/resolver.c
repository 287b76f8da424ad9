/* SPDX-License-Identifier: MIT */
/* getnameinfo() can't be called off and knows no time limit, so it is called by threads that nobody joins.
 * They and the resolver share a pool, which goes with the last of them. */
#include "resolver.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "connhist/base/clock.h"
#include "connhist/base/vec.h"

#include "name_lookup.h"

#define WORKERS_FIRST 32                   /* at once, and more each STEP_NS: */
#define WORKERS_MAX   256                  /* others may hang */
#define WORKERS_LEAST 4                    /* however few files may be open */
#define STEP_NS       (100 * NS_PER_MS)    /* how long a question waits before more threads come */
#define STACK_BYTES   ((size_t)256 * 1024) /* of a thread */
#define TRIES         2                    /* at first: a packet may be lost */
#define AGAIN_NS      (5 * NS_PER_SEC)     /* what had no answer is asked again after */

/* One address; where it was asked for, its name. */
struct question {
    struct address address;  /* an IPv4-mapped one as IPv4: the key, with family */
    char *name;              /* owned; NULL: none */
    struct question *behind; /* the next one that waits for a thread */
    int64_t again_ns;        /* not asked before that, of CLOCK_MONOTONIC; 0: waits, or is asked */
    uint64_t number;         /* order of asking */
    uint32_t rows;           /* how often it was wanted before it was asked for */
    uint8_t family;
    uint8_t tries; /* that brought no answer, TRIES at most */
    bool answered; /* name is what it is for good */
    bool awaited;  /* resolver_wait() waits for it */
};

struct question_vec {
    VEC_FIELDS(struct question *);
};

struct pool {
    pthread_mutex_t lock;          /* of all that follows */
    pthread_cond_t answers;        /* one came */
    struct question_vec questions; /* all; each owned */
    struct question *first;        /* that waits for a thread */
    struct question *last;
    size_t open;    /* waiting, or being asked */
    size_t awaited; /* of those */
    size_t workers; /* threads that run */
    size_t allowed; /* of those at once */
    size_t refs;    /* those, and the resolver */
    bool paused;    /* no thread begins a question */
    bool retired;   /* the resolver is gone */
};

struct resolver {
    struct pool *pool;         /* shared */
    void *tree;                /* of tsearch(): the pool's questions by address */
    struct question_vec fresh; /* not asked for yet; the pool's */
    bool prepared;             /* the options of the C library's resolver are set */
};

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static void pool_free(struct pool *pool)
{
    for (size_t i = 0; i < pool->questions.n; i++) {
        free(pool->questions.items[i]->name);
        free(pool->questions.items[i]);
    }
    vec_finish(&pool->questions);
    pthread_cond_destroy(&pool->answers);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* To be called with the lock, which is given up. */
static void pool_unref(struct pool *pool)
{
    bool last = --pool->refs == 0;

    pthread_mutex_unlock(&pool->lock);
    if (last)
        pool_free(pool);
}

/* With the lock, like what follows. */
static void put_last(struct pool *pool, struct question *question)
{
    question->behind = NULL;
    question->again_ns = 0;
    if (pool->first)
        pool->last->behind = question;
    else
        pool->first = question;
    pool->last = question;
}

static void open_question(struct pool *pool, struct question *question)
{
    put_last(pool, question);
    pool->open++;
}

/* The next one to be asked; NULL: none, or not now. */
static struct question *take_question(struct pool *pool)
{
    struct question *question = pool->retired || pool->paused ? NULL : pool->first;

    if (question)
        pool->first = question->behind;
    return question;
}

static void leave_question(struct pool *pool, struct question *question)
{
    pool->open--;
    pool->awaited -= question->awaited;
    question->awaited = false;
    pthread_cond_signal(&pool->answers);
}

/* Behind all others, or, after some times, only when a while has passed. */
static void try_again(struct pool *pool, struct question *question)
{
    if (question->tries < TRIES && ++question->tries < TRIES) {
        put_last(pool, question);
        return;
    }
    question->again_ns = monotonic_ns() + AGAIN_NS;
    leave_question(pool, question);
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    struct question *question;

    pthread_mutex_lock(&pool->lock);
    while ((question = take_question(pool))) {
        char *name;
        bool answered;

        pthread_mutex_unlock(&pool->lock);
        answered = name_lookup(question->family, &question->address, &name);
        pthread_mutex_lock(&pool->lock);
        if (!answered) {
            try_again(pool, question);
            continue;
        }
        question->name = name;
        question->answered = true;
        leave_question(pool, question);
    }
    pool->workers--;
    pool_unref(pool);
    return NULL;
}

/* Each may hold a socket and a file: enough of them stay for the rest of the program. */
static size_t most_workers(void)
{
    struct rlimit files;
    size_t most = WORKERS_MAX;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 4 < most)
        most = (size_t)files.rlim_cur / 4;
    return most < WORKERS_LEAST ? WORKERS_LEAST : most;
}

static void allow_more(struct pool *pool)
{
    size_t most = most_workers();

    pool->allowed = pool->allowed + WORKERS_FIRST < most ? pool->allowed + WORKERS_FIRST : most;
}

static struct pool *pool_new(void)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t attr;

    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->answers, &attr);
    pthread_condattr_destroy(&attr);
    pool->refs = 1;
    allow_more(pool);
    return pool;
}

struct resolver *resolver_new(void)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver)
        return NULL;
    resolver->pool = pool_new();
    if (resolver->pool)
        return resolver;
    free(resolver);
    return NULL;
}

static void leave_node(void *node)
{
    (void)node; /* the pool's */
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    tdestroy(resolver->tree, leave_node);
    vec_finish(&resolver->fresh);
    pthread_mutex_lock(&resolver->pool->lock);
    resolver->pool->retired = true;
    pool_unref(resolver->pool);
    free(resolver);
}

static int compare(const void *a, const void *b)
{
    const struct question *x = a, *y = b;

    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    return memcmp(&x->address, &y->address, sizeof(x->address));
}

static struct question key_of(uint8_t family, const struct address *address)
{
    struct question key = {.address = *address, .family = family};
    uint32_t ipv4;

    if (!address_is_mapped(family, address))
        return key;
    ipv4 = address_ipv4(family, address);
    return (struct question){
        .family = AF_INET,
        .address = {{(uint8_t)(ipv4 >> 24), (uint8_t)(ipv4 >> 16), (uint8_t)(ipv4 >> 8),
                     (uint8_t)ipv4}},
    };
}

static int add_question(struct resolver *resolver, struct question *question)
{
    struct pool *pool = resolver->pool;
    int r;

    if (vec_push(&resolver->fresh, question) < 0)
        return -ENOMEM;
    pthread_mutex_lock(&pool->lock);
    question->number = pool->questions.n;
    r = vec_push(&pool->questions, question);
    pthread_mutex_unlock(&pool->lock);
    if (r < 0)
        resolver->fresh.n--;
    return r < 0 ? -ENOMEM : 0;
}

int resolver_want(struct resolver *resolver, uint8_t family, const struct address *address)
{
    struct question *const *found, *question, key = key_of(family, address);

    if (address_is_any(key.family, &key.address))
        return 0;
    found = tfind(&key, &resolver->tree, compare);
    if (found) {
        (*found)->rows++;
        return 0;
    }
    question = malloc(sizeof(*question));
    if (!question)
        return -ENOMEM;
    *question = key;
    if (!tsearch(question, &resolver->tree, compare)) {
        free(question);
        return -ENOMEM;
    }
    if (add_question(resolver, question) == 0)
        return 0;
    tdelete(question, &resolver->tree, compare);
    free(question);
    return -ENOMEM;
}

/* With the lock. As many as there is work for; it goes with fewer, but not with none. */
static int start_workers(struct pool *pool)
{
    pthread_attr_t attr;
    int r = 0;

    if (pool->open == 0)
        return 0;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    while (r == 0 && pool->workers < pool->allowed && pool->workers < pool->open) {
        pthread_t thread;

        r = pthread_create(&thread, &attr, work, pool);
        if (r == 0) {
            pool->workers++;
            pool->refs++;
        }
    }
    pthread_attr_destroy(&attr);
    return pool->workers > 0 ? 0 : -r;
}

/* What most rows are about goes first. */
static int compare_rows(const void *a, const void *b)
{
    const struct question *x = *(struct question *const *)a, *y = *(struct question *const *)b;

    if (x->rows != y->rows)
        return x->rows > y->rows ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* With the lock. */
static void open_fresh(struct pool *pool, const struct question_vec *fresh)
{
    if (fresh->n > 1)
        qsort(fresh->items, fresh->n, sizeof(fresh->items[0]), compare_rows);
    for (size_t i = 0; i < fresh->n; i++) {
        fresh->items[i]->awaited = true;
        open_question(pool, fresh->items[i]);
    }
    pool->awaited += fresh->n;
}

/* With the lock. */
static void reopen_due(struct pool *pool, int64_t now_ns)
{
    for (size_t i = 0; i < pool->questions.n; i++)
        if (pool->questions.items[i]->again_ns && pool->questions.items[i]->again_ns <= now_ns)
            open_question(pool, pool->questions.items[i]);
}

/* With the lock. Where threads hang, more take on what still waits. */
static int wait_until(struct pool *pool, int64_t until_ns)
{
    int64_t now_ns = monotonic_ns(), step_ns = now_ns + STEP_NS;
    int r = start_workers(pool);

    while (r == 0 && pool->awaited > 0 && now_ns < until_ns) {
        int64_t at_ns = step_ns < until_ns ? step_ns : until_ns;
        const struct timespec at = {.tv_sec = at_ns / NS_PER_SEC, .tv_nsec = at_ns % NS_PER_SEC};

        pthread_cond_timedwait(&pool->answers, &pool->lock, &at);
        now_ns = monotonic_ns();
        for (; step_ns <= now_ns; step_ns += STEP_NS)
            if (pool->first)
                allow_more(pool);
        r = start_workers(pool);
    }
    return r;
}

/* With the lock: what was waited for has its time behind it. */
static size_t end_fresh(struct pool *pool, struct question_vec *fresh)
{
    size_t unanswered = 0;

    for (size_t i = 0; i < fresh->n; i++) {
        unanswered += !fresh->items[i]->answered;
        fresh->items[i]->awaited = false;
    }
    pool->awaited = 0;
    fresh->n = 0;
    return unanswered;
}

int resolver_wait(struct resolver *resolver, int64_t patience_ms, size_t *ret_unanswered)
{
    struct pool *pool = resolver->pool;
    int64_t now_ns = monotonic_ns();
    int r;

    if (!resolver->prepared)
        name_lookup_prepare();
    resolver->prepared = true;
    pthread_mutex_lock(&pool->lock);
    pool->paused = false;
    open_fresh(pool, &resolver->fresh);
    reopen_due(pool, now_ns);
    r = wait_until(pool, now_ns + patience_ms * NS_PER_MS);
    *ret_unanswered = end_fresh(pool, &resolver->fresh);
    pthread_mutex_unlock(&pool->lock);
    return r;
}

void resolver_pause(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->pool->lock);
    resolver->pool->paused = true;
    pthread_mutex_unlock(&resolver->pool->lock);
}

void resolver_go_on(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->pool->lock);
    resolver->pool->paused = false;
    (void)start_workers(resolver->pool); /* resolver_wait() tells when it can't */
    pthread_mutex_unlock(&resolver->pool->lock);
}

const char *resolver_name(struct resolver *resolver, uint8_t family, const struct address *address)
{
    struct question *const *found, key = key_of(family, address);
    const char *name;

    found = tfind(&key, &resolver->tree, compare);
    if (!found)
        return NULL;
    pthread_mutex_lock(&resolver->pool->lock);
    name = (*found)->answered ? (*found)->name : NULL;
    pthread_mutex_unlock(&resolver->pool->lock);
    return name;
}
