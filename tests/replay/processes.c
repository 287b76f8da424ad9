/* SPDX-License-Identifier: MIT */
#include "processes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/model/life.h"

#define WORD "%4095s"

static void die(const char *why)
{
    fprintf(stderr, "replay: %s", why);
    exit(1);
}

static const char *copy(const char *word)
{
    char *text = strdup(strcmp(word, "-") == 0 ? "" : word);

    if (!text)
        die("out of memory");
    return text;
}

static void free_owner(struct owner *owner)
{
    free((void *)owner->comm);
    free((void *)owner->exe);
    free((void *)owner->unit);
    free((void *)owner->container);
    free((void *)owner->cgroup);
}

static struct made_process *find(const struct processes *processes, uint32_t pid)
{
    for (size_t i = 0; i < processes->items.n; i++)
        if (processes->items.items[i].owner.pid == pid)
            return &processes->items.items[i];
    return NULL;
}

static void end(struct processes *processes, uint32_t pid)
{
    struct made_process *process = find(processes, pid);
    size_t kept = 0;

    if (!process)
        return;
    free_owner(&process->owner);
    *process = processes->items.items[--processes->items.n];
    for (size_t i = 0; i < processes->holds.n; i++)
        if (processes->holds.items[i].pid != pid)
            processes->holds.items[kept++] = processes->holds.items[i];
    processes->holds.n = kept;
}

static void put(struct processes *processes, const struct owner *owner)
{
    struct made_process *process = find(processes, owner->pid);

    if (process && process->owner.start_ms == owner->start_ms) {
        free_owner(&process->owner);
        process->owner = *owner;
        return;
    }
    end(processes, owner->pid);
    if (vec_push(&processes->items, (struct made_process){.owner = *owner}) < 0)
        die("out of memory");
}

static bool obey_names(struct processes *processes, const char *line)
{
    static char words[5][4096];
    struct owner owner = {.uid = UID_UNKNOWN, .comm = "", .exe = ""};
    uint64_t id;

    if (sscanf(line,
               "process %" SCNu32 " %" SCNd64 " %" SCNu32 " " WORD " " WORD " " WORD " " WORD
               " " WORD,
               &owner.pid, &owner.start_ms, &owner.uid, words[0], words[1], words[2], words[3],
               words[4]) == 8) {
        owner.comm = copy(words[0]);
        owner.exe = copy(words[1]);
        owner.unit = copy(words[2]);
        owner.container = copy(words[3]);
        owner.cgroup = copy(words[4]);
        put(processes, &owner);
        return true;
    }
    if (sscanf(line, "cgroup %" SCNu64 " " WORD " " WORD " " WORD, &id, words[0], words[1],
               words[2]) == 4) {
        owner.comm = copy("-");
        owner.exe = copy("-");
        owner.cgroup = copy(words[0]);
        owner.unit = copy(words[1]);
        owner.container = copy(words[2]);
        if (vec_push(&processes->cgroups, ((struct made_cgroup){id, owner})) < 0)
            die("out of memory");
        return true;
    }
    return false;
}

bool processes_obey(struct processes *processes, const char *line)
{
    struct made_hold hold;
    uint32_t pid;

    if (sscanf(line, "ended %" SCNu32, &pid) == 1) {
        end(processes, pid);
    } else if (sscanf(line, "holds %" SCNu32 " %" SCNu32, &hold.pid, &hold.inode) == 2) {
        if (!find(processes, hold.pid) || vec_push(&processes->holds, hold) < 0)
            die(line);
    } else if (sscanf(line, "lets %" SCNu32 " %" SCNu32, &hold.pid, &hold.inode) == 2) {
        for (size_t i = 0; i < processes->holds.n; i++)
            if (processes->holds.items[i].pid == hold.pid &&
                processes->holds.items[i].inode == hold.inode)
                processes->holds.items[i].inode = 0;
    } else if (sscanf(line, "hidden %" SCNu32, &pid) == 1 ||
               sscanf(line, "seen %" SCNu32, &pid) == 1) {
        struct made_process *process = find(processes, pid);

        if (!process)
            die(line);
        process->hidden = *line == 'h';
    } else {
        bool late = strcmp(line, "late\n") == 0;

        processes->late |= late;
        return late || obey_names(processes, line);
    }
    return true;
}

static void answer_cgroup(const struct processes *processes, struct owner_want *want)
{
    want->answer = OWNER_ABSENT;
    for (size_t i = 0; i < processes->cgroups.n; i++)
        if (processes->cgroups.items[i].id == want->cgroup) {
            want->owner = &processes->cgroups.items[i].owner;
            want->answer = OWNER_FOUND;
        }
}

/* Others are put down from index `from` on, since the memory moves while it grows. */
static void answer(struct processes *processes, struct owner_want *want)
{
    want->answer = OWNER_ABSENT;
    for (size_t i = 0; i < processes->holds.n; i++) {
        const struct made_hold *hold = &processes->holds.items[i];
        const struct made_process *process = find(processes, hold->pid);

        if (hold->inode != want->inode || !process)
            continue;
        if (process->hidden) {
            want->answer = want->answer == OWNER_FOUND ? OWNER_FOUND : OWNER_DENIED;
        } else if (want->answer != OWNER_FOUND) {
            want->answer = OWNER_FOUND;
            want->owner = &process->owner;
        } else {
            if (vec_push(&processes->others, process->owner) < 0)
                die("out of memory");
            want->n_others++;
        }
    }
}

void processes_look(struct processes *processes, struct owner_want *wants, size_t n)
{
    size_t others = 0;

    processes->asked += n;
    vec_clear(&processes->others);
    for (size_t i = 0; i < n; i++) {
        if (!wants[i].inode)
            answer_cgroup(processes, &wants[i]);
        else if (!processes->late)
            answer(processes, &wants[i]);
    }
    for (size_t i = 0; i < n; i++) {
        wants[i].others = wants[i].n_others ? &processes->others.items[others] : NULL;
        others += wants[i].n_others;
    }
}

int processes_check(const struct processes *processes, const struct owner *owner)
{
    const struct made_process *process = find(processes, owner->pid);

    if (!process || process->owner.start_ms != owner->start_ms)
        return -ESRCH;
    return strcmp(process->owner.comm, owner->comm) != 0;
}

void processes_finish(struct processes *processes)
{
    for (size_t i = 0; i < processes->items.n; i++)
        free_owner(&processes->items.items[i].owner);
    for (size_t i = 0; i < processes->cgroups.n; i++)
        free_owner(&processes->cgroups.items[i].owner);
    vec_finish(&processes->items);
    vec_finish(&processes->cgroups);
    vec_finish(&processes->holds);
    vec_finish(&processes->others);
}
