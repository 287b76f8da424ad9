/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "connhist/model/cgroup.h"
#include "owners_private.h"

/* Copies text to *at and moves that behind it. */
static const char *keep(char **at, const char *text)
{
    size_t n = strlen(text) + 1;
    char *kept = *at;

    memcpy(kept, text, n);
    *at += n;
    return kept;
}

static int make(struct owner_finder *finder, const struct process_facts *from, uint64_t cgroup,
                struct facts **ret)
{
    struct cgroup_names names;
    struct facts *facts;
    char *at;

    cgroup_names(from->cgroup, &names);
    if (vec_reserve(&finder->answers, 1) < 0)
        return -ENOMEM;
    facts = malloc(sizeof(*facts) + strlen(from->comm) + strlen(from->exe) + strlen(names.unit) +
                   strlen(names.container) + strlen(from->cgroup) + 5);
    if (!facts)
        return -ENOMEM;
    finder->answers.items[finder->answers.n++] = facts;
    at = facts->strings;
    facts->cgroup = cgroup;
    facts->ppid = from->ppid;
    facts->owner = (struct owner){.start_ms = from->start_ms,
                                  .pid = from->pid,
                                  .uid = from->uid,
                                  .comm = keep(&at, from->comm),
                                  .exe = keep(&at, from->exe),
                                  .unit = keep(&at, names.unit),
                                  .container = keep(&at, names.container),
                                  .cgroup = keep(&at, from->cgroup)};
    *ret = facts;
    return 0;
}

int facts_of(struct owner_finder *finder, uint32_t pid, const struct facts **ret)
{
    struct process *process = process_get(finder, pid);
    int r;

    if (!process)
        return -ENOMEM;
    if (process->facts_look != finder->look) {
        process->facts = NULL;
        r = process_read(finder->proc_fd, pid, finder->scratch);
        if (r == 0)
            r = make(finder, finder->scratch,
                     cgroup_tree_id(&finder->tree, finder->scratch->cgroup), &process->facts);
        if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
            return r;
        process->facts_look = finder->look;
    }
    *ret = process->facts;
    return 0;
}

int facts_of_cgroup(struct owner_finder *finder, uint64_t cgroup, uint32_t uid,
                    const struct owner **ret)
{
    struct facts *facts = NULL;
    const char *path;
    int r;

    *ret = NULL;
    if (cgroup <= CGROUP_ROOT_ID)
        return 0;
    for (size_t i = 0; i < finder->cgroups.n; i++)
        if (finder->cgroups.items[i]->cgroup == cgroup &&
            finder->cgroups.items[i]->owner.uid == uid) {
            *ret = &finder->cgroups.items[i]->owner;
            return 0;
        }
    path = cgroup_tree_path(&finder->tree, cgroup);
    if (!path || strlen(path) >= sizeof(finder->scratch->cgroup))
        return 0;
    finder->scratch->start_ms = 0;
    finder->scratch->pid = finder->scratch->ppid = 0;
    finder->scratch->uid = uid;
    finder->scratch->comm[0] = finder->scratch->exe[0] = '\0';
    memcpy(finder->scratch->cgroup, path, strlen(path) + 1);
    r = make(finder, finder->scratch, cgroup, &facts);
    if (r < 0 || vec_push(&finder->cgroups, facts) < 0)
        return -ENOMEM;
    *ret = &facts->owner;
    return 0;
}

void facts_clear(struct owner_finder *finder)
{
    for (size_t i = 0; i < finder->answers.n; i++)
        free(finder->answers.items[i]);
    vec_clear(&finder->answers);
    vec_clear(&finder->cgroups);
}
