/* SPDX-License-Identifier: MIT */
#include "connhist/model/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ID_LENGTH \
    64 /* what every runtime of OCI containers uses: SHA-256 or as long a random one */

/* One directory of the path: not terminated. */
struct part {
    const char *text;
    size_t n; /* bytes; 0: there is none */
};

/* Takes the next directory off *path. */
static struct part next_part(const char **path)
{
    struct part part;

    *path += strspn(*path, "/");
    part = (struct part){.text = *path, .n = strcspn(*path, "/")};
    *path += part.n;
    return part;
}

static bool is(struct part part, const char *word)
{
    return part.n == strlen(word) && memcmp(part.text, word, part.n) == 0;
}

/* Takes what must come first off the part. */
static bool skip(struct part *part, const char *prefix)
{
    size_t n = strlen(prefix);

    if (part->n <= n || memcmp(part->text, prefix, n) != 0)
        return false;
    *part = (struct part){.text = part->text + n, .n = part->n - n};
    return true;
}

static bool cut(struct part *part, const char *suffix)
{
    size_t n = strlen(suffix);

    if (part->n <= n || memcmp(part->text + part->n - n, suffix, n) != 0)
        return false;
    part->n -= n;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_id(struct part part)
{
    for (size_t i = 0; i < part.n; i++)
        if (!is_hex(part.text[i]))
            return false;
    return part.n == ID_LENGTH;
}

/* Units. */

static bool is_unit_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr(":-_.\\@", c));
}

/* systemd puts '_' before a name that the kernel could take for a file of its own. */
static struct part without_escape(struct part part)
{
    skip(&part, "_");
    return part;
}

/* Those of a kind that processes can be in. */
static bool is_unit(struct part part)
{
    static const char *const kinds[] = {".service", ".scope", ".socket", ".mount", ".swap"};
    struct part stem = part;

    if (part.n >= CGROUP_UNIT_MAX)
        return false;
    for (size_t i = 0; i < part.n; i++)
        if (!is_unit_char(part.text[i]))
            return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (cut(&stem, kinds[i]))
            return stem.text[0] != '@';
    return false;
}

/* The first directory that is no slice; where cgroup namespaces nest, "..", too, is none. */
static struct part after_slices(const char **path)
{
    struct part part, stem;

    do {
        part = stem = next_part(path);
    } while (is(part, "..") || cut(&stem, ".slice"));
    return without_escape(part);
}

static bool is_user_manager(struct part part)
{
    return skip(&part, "user@") && cut(&part, ".service");
}

static struct part find_unit(const char *path)
{
    struct part unit = after_slices(&path), inner;

    if (!is_unit(unit))
        return (struct part){0};
    if (!is_user_manager(unit))
        return unit;
    inner = after_slices(&path);
    return is_unit(inner) && !is(inner, "init.scope") ? inner : unit;
}

/* Containers. */

struct container {
    const char *runtime;
    struct part name; /* n == 0: none */
    bool escaped;     /* as the name of a unit: "\x2d" for '-' */
};

/* "docker-ID.scope", "libpod-payload-ID": systemd's scopes and plain directories. */
static bool by_prefix(struct part part, struct container *ret)
{
    static const struct {
        const char *prefix, *runtime;
    } prefixes[] = {
        {"docker-", "docker"},      {"cri-containerd-", "containerd"},
        {"nerdctl-", "containerd"}, {"crio-", "crio"},
        {"libpod-", "podman"},      {"libpod-payload-", "podman"},
    };
    struct part id;

    cut(&part, ".scope");
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        id = part;
        if (skip(&id, prefixes[i].prefix) && is_id(id)) {
            *ret = (struct container){.runtime = prefixes[i].runtime, .name = id};
            return true;
        }
    }
    return false;
}

/* "SLICE:cri-containerd:ID": a kubelet that speaks of systemd to a containerd that does not. */
static bool by_colons(struct part part, struct container *ret)
{
    static const char word[] = ":cri-containerd:";
    const size_t tail = sizeof(word) - 1 + ID_LENGTH;
    struct part end;

    if (part.n <= tail)
        return false;
    end = (struct part){.text = part.text + part.n - tail, .n = tail};
    if (!skip(&end, word) || !is_id(end))
        return false;
    *ret = (struct container){.runtime = "containerd", .name = end};
    return true;
}

static bool by_lxc(struct part parent, struct part part, struct container *ret)
{
    *ret = (struct container){.runtime = "lxc", .name = part};
    return skip(&ret->name, "lxc.payload.") || is(parent, "lxc") || is(parent, "lxc.payload");
}

static bool by_machine(struct part part, struct container *ret)
{
    *ret = (struct container){.runtime = "machine", .name = part, .escaped = true};
    if (skip(&ret->name, "machine-"))
        return cut(&ret->name, ".scope");
    return skip(&ret->name, "systemd-nspawn@") && cut(&ret->name, ".service");
}

/* parent: the directory above; in_pods: somewhere above is Kubernetes's. */
static bool is_container(struct part parent, struct part part, bool in_pods, struct container *ret)
{
    if (by_prefix(part, ret) || by_colons(part, ret) || by_lxc(parent, part, ret) ||
        by_machine(part, ret))
        return true;
    if (!is_id(part) || (!is(parent, "docker") && !in_pods))
        return false;
    *ret = (struct container){.runtime = is(parent, "docker") ? "docker" : "cri", .name = part};
    return true;
}

static struct container find_container(const char *path)
{
    struct container found = {0};
    struct part parent = {0}, part;
    bool in_pods = false;

    for (part = next_part(&path); part.n; part = next_part(&path)) {
        if (is_container(parent, part, in_pods, &found))
            return found;
        in_pods = in_pods || is(part, "kubepods") || is(part, "kubepods.slice");
        parent = part;
    }
    return (struct container){0};
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* The byte that "\x2d" stands for; 0: it is no such escape. */
static unsigned char escape_at(struct part part, size_t i)
{
    if (part.n - i < 4 || part.text[i] != '\\' || part.text[i + 1] != 'x' ||
        !is_hex(part.text[i + 2]) || !is_hex(part.text[i + 3]))
        return 0;
    return (unsigned char)(hex_value(part.text[i + 2]) << 4 | hex_value(part.text[i + 3]));
}

static void tell_container(const struct container *container, char ret[static CGROUP_CONTAINER_MAX])
{
    struct part name = container->name;
    size_t n;

    if (!name.n || name.n > NAME_MAX)
        return;
    n = (size_t)snprintf(ret, CGROUP_CONTAINER_MAX, "%s:", container->runtime);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char byte = container->escaped ? escape_at(name, i) : 0;

        ret[n++] = byte ? (char)byte : name.text[i];
        i += byte ? 3 : 0;
    }
    ret[n] = '\0';
}

void cgroup_names(const char *path, struct cgroup_names *ret)
{
    struct part unit = find_unit(path);
    struct container container = find_container(path);

    *ret = (struct cgroup_names){0};
    if (unit.n)
        memcpy(ret->unit, unit.text, unit.n);
    tell_container(&container, ret->container);
}
