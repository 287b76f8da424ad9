/* SPDX-License-Identifier: MIT */
#include "route_names.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

#define LINE_BYTES 512 /* ip(8) reads lines of that */

/* Which iproute2 looks where depends on its version; /etc goes before all. */
static const char *const folders[] = {"/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"};

void route_names_finish(struct route_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->items[i].name);
    vec_finish(names);
}

/* "100 vpn", "0x64 vpn # …"; a line of another kind has nothing. */
static int read_line(struct route_names *names, char *line)
{
    char *end, *rest = NULL, *name;
    struct route_table_name one = {0};
    unsigned long long table;

    line += strspn(line, " \t");
    if (*line < '0' || *line > '9')
        return 0;
    errno = 0;
    table = strtoull(line, &end, strncmp(line, "0x", 2) == 0 ? 16 : 10);
    name = *end == ' ' || *end == '\t' ? strtok_r(end, " \t\n", &rest) : NULL;
    if (errno || !table || table > UINT32_MAX || !name || *name == '#')
        return 0;
    one.table = (uint32_t)table;
    one.name = strdup(name);
    if (one.name && vec_push(names, one) >= 0)
        return 0;
    free(one.name);
    return -ENOMEM;
}

static int read_file(struct route_names *names, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[LINE_BYTES];
    int r = 0;

    if (!file)
        return 0;
    while (r == 0 && fgets(line, sizeof(line), file))
        r = read_line(names, line);
    fclose(file);
    return r;
}

static int is_conf(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return entry->d_name[0] != '.' && length > 5 &&
           strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* Files of one name in a folder that goes before this one stand for those here. */
static bool is_overruled(size_t folder, const char *file)
{
    char path[PATH_MAX];

    for (size_t i = folder + 1; i < SUM(folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", folders[i], file);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static int read_unless_overruled(struct route_names *names, size_t folder, const char *file)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folders[folder], file);
    return is_overruled(folder, file) ? 0 : read_file(names, path);
}

static int read_folder(struct route_names *names, size_t folder)
{
    char path[PATH_MAX];
    struct dirent **entries;
    int n, r = 0;

    snprintf(path, sizeof(path), "%s/rt_tables.d", folders[folder]);
    n = scandir(path, &entries, is_conf, alphasort);
    if (n < 0)
        return errno == ENOMEM ? -ENOMEM : 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "rt_tables.d/%s", entries[i]->d_name);
        if (r == 0)
            r = read_unless_overruled(names, folder, path);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int route_names_read(struct route_names *names)
{
    int r = 0;

    for (size_t i = 0; i < SUM(folders) && r == 0; i++)
        r = read_unless_overruled(names, i, "rt_tables");
    for (size_t i = 0; i < SUM(folders) && r == 0; i++)
        r = read_folder(names, i);
    return r;
}

const char *route_names_of(const struct route_names *names, uint32_t table)
{
    for (size_t i = names->n; i > 0; i--)
        if (names->items[i - 1].table == table)
            return names->items[i - 1].name;
    return NULL;
}

uint32_t route_names_find(const struct route_names *names, const char *name)
{
    for (size_t i = names->n; i > 0; i--)
        if (strcmp(names->items[i - 1].name, name) == 0)
            return names->items[i - 1].table;
    return 0;
}
