/* SPDX-License-Identifier: MIT */
#include "connhist/report/names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connhist/base/vec.h"
#include "connhist/store/db.h"

#define PORTS 65536

static const char file_names_sql[] = "SELECT protocol, port, name FROM service_names";

struct own_name {
    uint8_t protocol; /* enum protocol */
    uint16_t port;    /* the name itself stands in names.tables */
};

/* What is known of a port, asked for once: the system's list is a file that is read anew for each
 * question. */
struct entry {
    char *name; /* owned; NULL: nobody knows one */
    bool own;   /* from the configuration or the file */
    bool asked; /* name is settled */
};

struct names {
    struct entry *tables[2]; /* TCP, UDP: one entry a port, made when first needed; owned */
    struct {
        VEC_FIELDS(struct own_name);
    } own; /* in the order they were added */
};

int names_new(struct names **ret)
{
    struct names *names = calloc(1, sizeof(*names));

    if (!names)
        return -ENOMEM;
    *ret = names;
    return 0;
}

void names_free(struct names *names)
{
    if (!names)
        return;
    for (size_t i = 0; i < 2; i++) {
        for (size_t port = 0; names->tables[i] && port < PORTS; port++)
            free(names->tables[i][port].name);
        free(names->tables[i]);
    }
    vec_finish(&names->own);
    free(names);
}

/* The place of a port; NULL when memory is short. */
static struct entry *entry_of(struct names *names, unsigned protocol, uint16_t port)
{
    struct entry **table = &names->tables[protocol == PROTOCOL_UDP];

    if (!*table)
        *table = calloc(PORTS, sizeof(**table));
    return *table ? &(*table)[port] : NULL;
}

int names_add(struct names *names, enum protocol protocol, uint16_t port, const char *name)
{
    struct own_name own = {.protocol = (uint8_t)protocol, .port = port};
    struct entry *entry = entry_of(names, protocol, port);
    _cleanup_free_ char *copy = strdup(name);

    if (!entry || !copy || vec_push(&names->own, own) < 0)
        return -ENOMEM;
    free(entry->name);
    *entry = (struct entry){.name = TAKE_PTR(copy), .own = true, .asked = true};
    return 0;
}

int names_add_file(struct names *names, struct db *db)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(db, file_names_sql, &stmt, NULL);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, NULL)) > 0) {
        int64_t protocol = stmt_i64(stmt, 0), port = stmt_i64(stmt, 1);

        if ((protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) || port < 0 || port >= PORTS)
            continue;
        r = names_add(names, (enum protocol)protocol, (uint16_t)port, stmt_text(stmt, 2));
        if (r < 0)
            return r;
    }
    return r;
}

/* The system's name, allocated; NULL when it has none. */
static char *system_name(unsigned protocol, uint16_t port)
{
    struct servent servent, *found = NULL;
    char buf[1024];

    if (getservbyport_r(htons(port), protocol_name(protocol), &servent, buf, sizeof(buf), &found) !=
            0 ||
        !found)
        return NULL;
    return strdup(found->s_name);
}

const char *names_of_port(struct names *names, unsigned protocol, uint16_t port)
{
    struct entry *entry = entry_of(names, protocol, port);

    if (!entry)
        return NULL;
    if (!entry->asked) {
        entry->name = port ? system_name(protocol, port) : NULL;
        entry->asked = true;
    }
    return entry->name;
}

static int find_own(const struct names *names, const char *name, unsigned protocol,
                    uint16_t *ret_port)
{
    for (size_t i = names->own.n; i-- > 0;) {
        const struct own_name *own = &names->own.items[i];
        const struct entry *entry = &names->tables[own->protocol == PROTOCOL_UDP][own->port];

        if (own->protocol == protocol && strcasecmp(entry->name, name) == 0) {
            *ret_port = own->port;
            return 0;
        }
    }
    return -ENOENT;
}

static int find_system(const char *name, unsigned protocol, uint16_t *ret_port)
{
    struct servent servent, *found = NULL;
    char buf[1024];

    if (getservbyname_r(name, protocol_name(protocol), &servent, buf, sizeof(buf), &found) != 0 ||
        !found)
        return -ENOENT;
    *ret_port = ntohs((uint16_t)found->s_port);
    return 0;
}

/* The system's list holds its names in small letters, with very few exceptions. */
static int find_system_any_case(const char *name, unsigned protocol, uint16_t *ret_port)
{
    char small[64];
    size_t n = strlen(name);

    if (find_system(name, protocol, ret_port) == 0)
        return 0;
    if (n >= sizeof(small))
        return -ENOENT;
    for (size_t i = 0; i <= n; i++)
        small[i] = (char)tolower((unsigned char)name[i]);
    return find_system(small, protocol, ret_port);
}

int names_find(const struct names *names, const char *name, unsigned protocol, uint16_t *ret_port)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP};

    for (size_t i = 0; names && i < 2; i++)
        if ((!protocol || protocol == protocols[i]) &&
            find_own(names, name, protocols[i], ret_port) == 0)
            return 0;
    for (size_t i = 0; i < 2; i++)
        if ((!protocol || protocol == protocols[i]) &&
            find_system_any_case(name, protocols[i], ret_port) == 0)
            return 0;
    return -ENOENT;
}
