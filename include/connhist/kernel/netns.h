/* SPDX-License-Identifier: MIT */
/* The network namespaces of this host: finding them, and going into one.
 *
 * One shows by a process that is in it (/proc/PID/ns/net) or by a bind mount in one of the two
 * folders that `ip netns` and Docker use. The names of the files there are whatever their maker
 * liked. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

/* Beyond so many namespaces further ones are only counted. */
#define NETNS_FOUND_MAX 4096

/* How a namespace showed, in the order of preference for its name. */
enum netns_sign {
    NETNS_BY_IP,      /* bind mount in /run/netns */
    NETNS_BY_DOCKER,  /* bind mount in /run/docker/netns */
    NETNS_BY_PROCESS, /* a process is in it */
};

struct netns_found {
    uint64_t inode; /* st_ino of its file */
    uint64_t dev;   /* st_dev: that of all namespaces */
    int32_t pid;    /* of the process; 0 for a bind mount */
    uint8_t sign;   /* enum netns_sign: what shows it; a bind mount goes before a process */
    char file[NAME_MAX + 1]; /* name of the bind mount, as it is; "" for a process */
};

struct netns_list {
    VEC_FIELDS(struct netns_found); /* sorted by inode, each once */
    size_t n_hidden; /* processes that did not let us see theirs, CAP_SYS_PTRACE being missing (with
                        it, those of an outer user namespace still don't: they are none of ours) */
    size_t n_beyond; /* signs of namespaces beyond NETNS_FOUND_MAX */
    size_t n_unread; /* signs that could not be read though they are there */
    const char *closed; /* a folder of bind mounts that may not be read, CAP_DAC_READ_SEARCH being
                           missing; NULL; not owned */
};

/* Where to look; NULL stands for the usual place. */
struct netns_places {
    const char *proc;   /* "/proc" */
    const char *ip;     /* "/run/netns" */
    const char *docker; /* "/run/docker/netns" */
};

/* All namespaces that show now, the calling thread's too. Files in the folders that are no
 * namespaces are passed over, folders that are not there hold none. What *ret held is replaced;
 * free it with vec_finish(). 0, or a negative errno when something could not be read: the list is
 * then not whole, and nothing may be concluded from absence. */
int netns_find(const struct netns_places *places, struct netns_list *ret, struct err *err);

/* Whether a list has all that there is: what it lacks is gone. */
bool netns_list_is_whole(const struct netns_list *list);

/* The namespace with this inode number in a list; NULL. */
const struct netns_found *netns_in_list(const struct netns_list *list, uint64_t inode);

/* Whether the sign by which a namespace was found still stands: 1; 0: that process or mount is gone
 * or in another namespace now, while others may still show it. */
int netns_shows(const struct netns_places *places, const struct netns_found *found);

/* A descriptor of the calling thread's own namespace, to come back by. Or negative errno. */
int netns_open_home(struct err *err);

/* Whether this process may go into other namespaces, tried on its own: 0; -EPERM: CAP_SYS_ADMIN is
 * missing; or others as setns(2). */
int netns_try(int home_fd);

/* The calling thread's namespace as the kernel numbers it: never given twice within a boot, unlike
 * inode numbers (SO_NETNS_COOKIE, Linux 5.14). 0: this kernel does not tell. */
uint64_t netns_cookie(void);

/* The calling thread is in that namespace from now on, until netns_return(). -ENOENT: its sign is
 * gone, or is one of another namespace; -EPERM: CAP_SYS_ADMIN is missing; -EACCES: CAP_SYS_PTRACE
 * is; others as open(2), setns(2). */
int netns_enter(const struct netns_places *places, const struct netns_found *found,
                struct err *err);

/* Back home. Should that fail, the thread is in a foreign namespace still and must do nothing else
 * before it has succeeded. */
int netns_return(int home_fd, struct err *err);
