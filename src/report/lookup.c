/* SPDX-License-Identifier: MIT */
#include "lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connhist/store/db.h"
#include "netns_names.h"

static const char services_sql[] =
    "SELECT id, protocol, role, port, netns FROM services ORDER BY id";
static const char netns_sql[] = "SELECT inode, name FROM netns";
static const char address_sql[] = "SELECT bytes FROM addresses WHERE id = ?1";

int filter_check_netns(const struct filter *filter, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    bool any = false;
    int r;

    if (!filter->netns)
        return 0;
    r = db_prepare(db, netns_sql, &stmt, err);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0) {
        any = true;
        if (filter_netns(filter, stmt_text(stmt, 1), (uint64_t)stmt_i64(stmt, 0)))
            return 0;
    }
    return r == 0 && any
               ? err_set(err, -ENOENT, "network namespace %s was never recorded", filter->netns)
               : r;
}

int filter_count_netns(const struct filter *filter, struct db *db, size_t *ret, struct err *err)
{
    struct netns_names names = {0};
    int r = netns_names_load(&names, db, filter, err);

    if (r == 0)
        *ret = netns_names_count(&names);
    vec_finish(&names);
    return r;
}

static int load_services(struct lookup *lookup, struct db *db, const struct filter *filter,
                         const struct netns_names *names, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(db, services_sql, &stmt, err);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0) {
        struct known_service service = {
            .id = stmt_i64(stmt, 0),
            .key = {.protocol = (uint8_t)stmt_i64(stmt, 1),
                    .role = (uint8_t)stmt_i64(stmt, 2),
                    .port = (int32_t)stmt_i64(stmt, 3),
                    .netns = (uint32_t)stmt_i64(stmt, 4)},
        };

        const char *name = netns_names_text(names, stmt_i64(stmt, 4));

        snprintf(service.netns, sizeof(service.netns), "%s", name ? name : "");
        service.in_netns = name != NULL;
        service.chosen = service.in_netns && filter_service(filter, &service.key);
        if (vec_push(&lookup->services, service) < 0)
            return err_errno(err, -ENOMEM, "reading the services");
    }
    return r;
}

int lookup_load(struct lookup *lookup, struct db *db, const struct filter *filter, struct err *err)
{
    struct netns_names names = {0};
    int r;

    lookup->addresses = calloc(KNOWN_ADDRESSES, sizeof(*lookup->addresses));
    if (!lookup->addresses)
        return err_errno(err, -ENOMEM, "reading the file");
    owner_spans_init(&lookup->spans, db);
    r = netns_names_load(&names, db, filter, err);
    if (r == 0)
        r = load_services(lookup, db, filter, &names, err);
    vec_finish(&names);
    if (r == 0)
        r = owner_lookup_init(&lookup->owners, db, err);
    if (r == 0)
        r = db_prepare(db, address_sql, &lookup->address_stmt, err);
    return r;
}

void lookup_finish(struct lookup *lookup)
{
    vec_finish(&lookup->services);
    owner_lookup_finish(&lookup->owners);
    owner_spans_finish(&lookup->spans);
    stmt_free(lookup->address_stmt);
    lookup->address_stmt = NULL;
    free(lookup->addresses);
    lookup->addresses = NULL;
}

static int compare_service(const void *key, const void *item)
{
    int64_t id = *(const int64_t *)key, other = ((const struct known_service *)item)->id;

    return (id > other) - (id < other);
}

const struct known_service *lookup_service(const struct lookup *lookup, int64_t id)
{
    size_t n = lookup->services.n;

    /* numbers are dense as long as nothing was removed */
    if (id >= 1 && (uint64_t)id <= n && lookup->services.items[id - 1].id == id)
        return &lookup->services.items[id - 1];
    return n ? bsearch(&id, lookup->services.items, n, sizeof(struct known_service),
                       compare_service)
             : NULL;
}

bool lookup_may_hide(const struct filter *filter, const struct known_service *service)
{
    return service->in_netns && service->key.port == SERVICE_PORT_OTHER &&
           (!filter->protocol || filter->protocol == service->key.protocol) &&
           (!filter->role || filter->role == service->key.role);
}

static int read_address(struct lookup *lookup, int64_t id, struct known_address *ret,
                        struct err *err)
{
    struct known_address known = {.id = id};
    const void *bytes;
    size_t n = 0;
    int r;

    stmt_bind_i64(lookup->address_stmt, 1, id);
    r = stmt_step(lookup->address_stmt, err);
    if (r > 0) {
        bytes = stmt_blob(lookup->address_stmt, 0, &n);
        if (n == 4 || n == 16)
            memcpy(known.address.bytes, bytes, n);
        known.family = n == 4 ? AF_INET : AF_INET6;
    }
    stmt_reset(lookup->address_stmt);
    if (r < 0)
        return r;
    if (n != 4 && n != 16)
        return err_set(err, -EBADMSG, "the file is damaged: a socket's address (%" PRId64 ") lacks",
                       id);
    *ret = known;
    return 0;
}

int lookup_address(struct lookup *lookup, int64_t id, uint8_t *ret_family, struct address *ret,
                   struct err *err)
{
    struct known_address *place = &lookup->addresses[(uint64_t)id % KNOWN_ADDRESSES];
    int r;

    if (place->id != id || id == 0) {
        r = read_address(lookup, id, place, err);
        if (r < 0)
            return r;
    }
    *ret_family = place->family;
    *ret = place->address;
    return 0;
}
