/* SPDX-License-Identifier: MIT */
/* The tree of cgroup v2: ids of cgroups, their paths, their processes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"

#define CGROUP_ROOT_ID 1 /* the root's, on every host: all and nothing is in it */

struct cgroup_known {
    uint64_t id;
    char *path; /* owned; "/system.slice/ssh.service" */
};

struct pids {
    VEC_FIELDS(uint32_t);
};

struct cgroup_tree {
    struct {
        VEC_FIELDS(struct cgroup_known);
    } known; /* paths asked for, or met on a walk; bounded */
    struct {
        VEC_FIELDS(uint64_t);
    } missing;    /* ids that no cgroup has any more; bounded. An id is never used again */
    char *mount;  /* owned; where cgroup2 is mounted */
    int mount_fd; /* opened there; -1: cgroup2 is not mounted, nothing is known */
    int proc_fd;  /* borrowed; the root of procfs */
    bool walked;  /* this look has had its walk */
    bool by_id;   /* the kernel may be asked by id */
};

/* Looks in proc_fd's self/mountinfo for cgroup2: at its usual place, in a hybrid tree, anywhere.
 * Not finding it is no error. -ENOMEM. */
int cgroup_tree_init(struct cgroup_tree *tree, int proc_fd);
void cgroup_tree_finish(struct cgroup_tree *tree);

/* Another look begins, which may walk the tree once. */
void cgroup_tree_begin(struct cgroup_tree *tree);

/* The path of a cgroup, valid until the next call; NULL: not known. With CAP_DAC_READ_SEARCH the kernel is
 * asked by id; otherwise the tree is walked, at most 4,096 directories and once a look. */
const char *cgroup_tree_path(struct cgroup_tree *tree, uint64_t id);

/* The id of a cgroup; 0: not known. */
uint64_t cgroup_tree_id(const struct cgroup_tree *tree, const char *path);

/* Appends the processes of one cgroup, without those of the cgroups in it, at most `most`. 0 or a
 * negative errno. */
int cgroup_tree_processes(const struct cgroup_tree *tree, const char *path, size_t most,
                          struct pids *ret);
