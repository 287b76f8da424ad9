/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"

/* Debian 11 has no such option in its headers. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static const char own_path[] = "/proc/thread-self/ns/net";

struct search {
    const struct netns_places *places;
    struct netns_list *list;
    dev_t dev; /* of nsfs: a plain file may have the inode number of a namespace */
};

static void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static const char *folder_of(const struct netns_places *places, uint8_t sign)
{
    if (sign == NETNS_BY_IP)
        return places && places->ip ? places->ip : "/run/netns";
    if (sign == NETNS_BY_DOCKER)
        return places && places->docker ? places->docker : "/run/docker/netns";
    return places && places->proc ? places->proc : "/proc";
}

/* The path of what shows a namespace. 0 or -ENAMETOOLONG. */
static int path_of(const struct netns_places *places, const struct netns_found *found,
                   char ret[static PATH_MAX])
{
    const char *folder = folder_of(places, found->sign);
    int n = found->sign == NETNS_BY_PROCESS
                ? snprintf(ret, PATH_MAX, "%s/%d/ns/net", folder, (int)found->pid)
                : snprintf(ret, PATH_MAX, "%s/%s", folder, found->file);

    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Where an inode number is in the sorted list, or belongs. */
static size_t position(const struct netns_list *list, uint64_t inode)
{
    size_t low = 0, high = list->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (list->items[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct netns_found *netns_in_list(const struct netns_list *list, uint64_t inode)
{
    size_t i = position(list, inode);

    return i < list->n && list->items[i].inode == inode ? &list->items[i] : NULL;
}

/* Of two signs the one by which it is named: ip's before Docker's, then the first by name. */
static bool is_better(const struct netns_found *a, const struct netns_found *b)
{
    if (a->sign != b->sign)
        return a->sign < b->sign;
    return strcmp(a->file, b->file) < 0;
}

static int add(struct netns_list *list, const struct netns_found *found)
{
    size_t i = position(list, found->inode);

    if (i < list->n && list->items[i].inode == found->inode) {
        if (is_better(found, &list->items[i]))
            list->items[i] = *found;
        return 0;
    }
    if (list->n >= NETNS_FOUND_MAX) {
        list->n_beyond++;
        return 0;
    }
    if (vec_reserve(list, 1) < 0)
        return -ENOMEM;
    memmove(&list->items[i + 1], &list->items[i], (list->n - i) * sizeof(list->items[0]));
    list->items[i] = *found;
    list->n++;
    return 0;
}

static int look_at_mount(const struct search *search, int dir_fd, const char *name, uint8_t sign)
{
    struct netns_found found = {.sign = sign};
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_NO_AUTOMOUNT) < 0) {
        search->list->n_unread += errno != ENOENT;
        return 0;
    }
    if (st.st_dev != search->dev)
        return 0;
    found.inode = st.st_ino;
    found.dev = st.st_dev;
    snprintf(found.file, sizeof(found.file), "%s", name);
    return add(search->list, &found);
}

static int look_at_process(const struct search *search, int dir_fd, const char *name, uint8_t sign)
{
    struct netns_found found = {.sign = sign};
    char path[64];
    uint64_t pid;
    struct stat st;

    if (parse_u64(name, 1, INT32_MAX, &pid) < 0)
        return 0;
    snprintf(path, sizeof(path), "%llu/ns/net", (unsigned long long)pid);
    if (fstatat(dir_fd, path, &st, 0) < 0) {
        /* others are gone, or about to be */
        search->list->n_hidden += errno == EACCES || errno == EPERM;
        search->list->n_unread += errno == ENOMEM || errno == EMFILE || errno == ENFILE;
        return 0;
    }
    if (st.st_dev != search->dev)
        return 0;
    found.inode = st.st_ino;
    found.dev = st.st_dev;
    found.pid = (int32_t)pid;
    return add(search->list, &found);
}

static int search_folder(const struct search *search, uint8_t sign, struct err *err)
{
    const char *path = folder_of(search->places, sign);
    _cleanup_(cleanup_closedir) DIR *dir = opendir(path);
    int r = 0;

    if (!dir && sign != NETNS_BY_PROCESS && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (!dir && sign != NETNS_BY_PROCESS && (errno == EACCES || errno == EPERM)) {
        search->list->closed = path;
        return 0;
    }
    if (!dir)
        return err_errno(err, -errno, "looking for network namespaces in %s", path);
    while (r == 0) {
        const struct dirent *entry;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            break;
        r = sign == NETNS_BY_PROCESS ? look_at_process(search, dirfd(dir), entry->d_name, sign)
                                     : look_at_mount(search, dirfd(dir), entry->d_name, sign);
    }
    if (r == 0)
        r = -errno;
    return r < 0 ? err_errno(err, r, "looking for network namespaces in %s", path) : 0;
}

static bool may_see_processes(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}

int netns_find(const struct netns_places *places, struct netns_list *ret, struct err *err)
{
    struct search search = {.places = places, .list = ret};
    struct stat st;
    int r;

    vec_clear(ret);
    ret->n_hidden = ret->n_beyond = ret->n_unread = 0;
    ret->closed = NULL;
    if (stat(own_path, &st) < 0)
        return err_errno(err, -errno, "%s", own_path);
    search.dev = st.st_dev;
    r = search_folder(&search, NETNS_BY_IP, err);
    if (r == 0)
        r = search_folder(&search, NETNS_BY_DOCKER, err);
    if (r == 0)
        r = search_folder(&search, NETNS_BY_PROCESS, err);
    if (ret->n_hidden && may_see_processes())
        ret->n_hidden = 0;
    return r;
}

bool netns_list_is_whole(const struct netns_list *list)
{
    return !list->n_hidden && !list->n_beyond && !list->n_unread && !list->closed;
}

int netns_shows(const struct netns_places *places, const struct netns_found *found)
{
    char path[PATH_MAX];
    struct stat st;

    return path_of(places, found, path) == 0 && stat(path, &st) == 0 && st.st_ino == found->inode &&
           st.st_dev == found->dev;
}

int netns_open_home(struct err *err)
{
    int fd = open(own_path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? err_errno(err, -errno, "%s", own_path) : fd;
}

int netns_try(int home_fd)
{
    return setns(home_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

uint64_t netns_cookie(void)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint64_t cookie = 0;
    socklen_t n = sizeof(cookie);

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &n) < 0)
        return 0;
    return cookie;
}

int netns_enter(const struct netns_places *places, const struct netns_found *found, struct err *err)
{
    _cleanup_close_ int fd = -1;
    char path[PATH_MAX];
    struct stat st;
    int r = path_of(places, found, path);

    if (r < 0)
        return err_errno(err, r, "going into a network namespace");
    /* what is no namespace must not be waited for: a FIFO could stand there now */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ESRCH || errno == ENOTDIR || errno == ENXIO))
        return err_errno(err, -ENOENT, "%s", path);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, -errno, "%s", path);
    if (st.st_ino != found->inode || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
        return err_set(err, -ENOENT, "%s is another thing now", path);
    if (setns(fd, CLONE_NEWNET) < 0)
        return err_errno(err, -errno, "going into the network namespace %s", path);
    return 0;
}

int netns_return(int home_fd, struct err *err)
{
    if (setns(home_fd, CLONE_NEWNET) < 0)
        return err_errno(err, -errno, "coming back from another network namespace");
    return 0;
}
