/* SPDX-License-Identifier: MIT */
/* getnameinfo() can't be called off and knows no time limit, so it is called by threads that nobody joins.
 * They and the resolver share a pool, which goes with the last of them. */
#include "resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "connhist/base/vec.h"

#define WORKERS_MAX 32
#define NAME_MAX_   253 /* RFC 1035 */

/* One address; where it was asked for, its name. */
struct question {
    struct address address; /* an IPv4-mapped one as IPv4: the key, with family */
    char *name;             /* owned; NULL: none */
    uint8_t family;
    bool answered; /* name is what it is for good */
};

struct pool {
    pthread_mutex_t lock;   /* of all that follows */
    pthread_cond_t answers; /* one came */
    struct {
        VEC_FIELDS(struct question *);
    } questions;  /* in the order of asking; each owned */
    size_t next;  /* the next one to be taken */
    size_t open;  /* taken or waiting, but not answered */
    int workers;  /* threads that run */
    int refs;     /* those, and the resolver */
    bool retired; /* the resolver is gone */
};

struct resolver {
    struct pool *pool; /* shared */
    void *tree;        /* of tsearch(): the pool's questions by address */
    bool fresh;        /* some were not waited for yet */
};

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

/* Nor what inet_aton() takes for an address ("1234", "0x7f.1"): so do other programs. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(name);
    struct address address;
    struct in_addr in;
    uint8_t family;

    return n > 0 && n <= NAME_MAX_ && strspn(name, allowed) == n && name[0] != '-' &&
           address_parse(name, &family, &address) < 0 && inet_aton(name, &in) == 0;
}

/* The answer to one question, or NULL; this may take its time. */
static char *ask(uint8_t family, const struct address *address)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool is_in = family == AF_INET;
    const struct sockaddr *to = is_in ? (const void *)&in : (const void *)&in6;
    char name[NI_MAXHOST];

    memcpy(&in.sin_addr, address->bytes, sizeof(in.sin_addr));
    memcpy(&in6.sin6_addr, address->bytes, sizeof(in6.sin6_addr));
    if (getnameinfo(to, is_in ? sizeof(in) : sizeof(in6), name, sizeof(name), NULL, 0,
                    NI_NAMEREQD) != 0)
        return NULL;
    return is_name(name) ? strdup(name) : NULL;
}

static void *work(void *arg)
{
    struct pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    while (!pool->retired && pool->next < pool->questions.n) {
        struct question *question = pool->questions.items[pool->next++];
        char *name;

        pthread_mutex_unlock(&pool->lock);
        name = ask(question->family, &question->address);
        pthread_mutex_lock(&pool->lock);
        question->name = name;
        question->answered = true;
        pool->open--;
        pthread_cond_signal(&pool->answers);
    }
    pool->workers--;
    pool_unref(pool);
    return NULL;
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

static int add_question(struct pool *pool, struct question *question)
{
    int r;

    pthread_mutex_lock(&pool->lock);
    r = vec_push(&pool->questions, question);
    if (r >= 0)
        pool->open++;
    pthread_mutex_unlock(&pool->lock);
    return r < 0 ? -ENOMEM : 0;
}

int resolver_want(struct resolver *resolver, uint8_t family, const struct address *address)
{
    struct question *question, key = key_of(family, address);

    if (address_is_any(key.family, &key.address) || tfind(&key, &resolver->tree, compare))
        return 0;
    question = malloc(sizeof(*question));
    if (!question)
        return -ENOMEM;
    *question = key;
    if (!tsearch(question, &resolver->tree, compare)) {
        free(question);
        return -ENOMEM;
    }
    if (add_question(resolver->pool, question) == 0) {
        resolver->fresh = true;
        return 0;
    }
    tdelete(question, &resolver->tree, compare);
    free(question);
    return -ENOMEM;
}

/* With the lock. As many as there is work for; it goes with fewer, but not with none. */
static int start_workers(struct pool *pool)
{
    pthread_attr_t attr;
    int r = 0;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    while (r == 0 && pool->workers < WORKERS_MAX && (size_t)pool->workers < pool->open) {
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

int resolver_wait(struct resolver *resolver, int64_t patience_ms)
{
    struct pool *pool = resolver->pool;
    struct timespec until;
    int r;

    if (!resolver->fresh) /* what had its time is shown when it comes */
        return 0;
    resolver->fresh = false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience_ms / 1000;
    until.tv_nsec += patience_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&pool->lock);
    r = start_workers(pool);
    while (r == 0 && pool->open > 0)
        if (pthread_cond_timedwait(&pool->answers, &pool->lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&pool->lock);
    return r;
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
