/* SPDX-License-Identifier: MIT */
#include "cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"

#define KNOWN_MAX        4096
#define MISSING_MAX      256
#define HANDLE_OF_KERNFS 0xfe /* FILEID_KERNFS: the handle is the 64-bit id alone */

static void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* mountinfo writes blanks and backslashes as three octal digits: "\040". */
static void unescape(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
            *to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* "36 35 0:41 ROOT POINT rw,relatime … - TYPE …" (proc(5)). The point where all of cgroup2 is
 * mounted, or NULL. */
static char *cgroup2_of_line(char *line)
{
    char *type = strstr(line, " - "), *rest, *root, *point;

    if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
        return NULL;
    if (!strtok_r(line, " ", &rest) || !strtok_r(NULL, " ", &rest) || !strtok_r(NULL, " ", &rest))
        return NULL;
    root = strtok_r(NULL, " ", &rest);
    point = strtok_r(NULL, " ", &rest);
    if (!root || !point || strcmp(root, "/") != 0)
        return NULL;
    unescape(point);
    return point;
}

static int find_mount(struct cgroup_tree *tree)
{
    int fd = openat(tree->proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
    _cleanup_fclose_ FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    struct statfs fs;
    char *point = NULL;

    if (fd >= 0 && !file)
        close(fd);
    while (file && !point && getline(&line, &size, file) > 0)
        point = cgroup2_of_line(line);
    if (!point)
        return 0;
    tree->mount = strdup(point);
    if (!tree->mount)
        return -ENOMEM;
    tree->mount_fd = open(tree->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Another file system would take the handle for one of its own. */
    tree->by_id = tree->mount_fd >= 0 && fstatfs(tree->mount_fd, &fs) == 0 &&
                  fs.f_type == CGROUP2_SUPER_MAGIC;
    return 0;
}

int cgroup_tree_init(struct cgroup_tree *tree, int proc_fd)
{
    *tree = (struct cgroup_tree){.mount_fd = -1, .proc_fd = proc_fd};
    return find_mount(tree);
}

static void forget_known(struct cgroup_tree *tree)
{
    for (size_t i = 0; i < tree->known.n; i++)
        free(tree->known.items[i].path);
    vec_clear(&tree->known);
}

void cgroup_tree_finish(struct cgroup_tree *tree)
{
    forget_known(tree);
    vec_finish(&tree->known);
    vec_finish(&tree->missing);
    free(tree->mount);
    cleanup_close(&tree->mount_fd);
    *tree = (struct cgroup_tree){.mount_fd = -1};
}

void cgroup_tree_begin(struct cgroup_tree *tree)
{
    tree->walked = false;
}

/* Opens "/a/b", or a file of it; "" is the mount itself. Paths below a descriptor must not begin with '/'. */
static int open_below(const struct cgroup_tree *tree, const char *path, const char *file, int flags)
{
    char name[PATH_MAX + 32];

    snprintf(name, sizeof(name), ".%s%s%s", path, file ? "/" : "", file ? file : "");
    return openat(tree->mount_fd, name, flags | O_RDONLY | O_CLOEXEC);
}

static const char *find_known(const struct cgroup_tree *tree, uint64_t id)
{
    for (size_t i = 0; i < tree->known.n; i++)
        if (tree->known.items[i].id == id)
            return tree->known.items[i].path;
    return NULL;
}

static bool is_missing(const struct cgroup_tree *tree, uint64_t id)
{
    for (size_t i = 0; i < tree->missing.n; i++)
        if (tree->missing.items[i] == id)
            return true;
    return false;
}

/* Takes the path's copy. NULL: no memory. */
static const char *learn(struct cgroup_tree *tree, uint64_t id, char *path)
{
    if (!path)
        return NULL;
    if (vec_push(&tree->known, ((struct cgroup_known){.id = id, .path = path})) < 0) {
        free(path);
        return NULL;
    }
    return path;
}

/* A directory's subdirectories, appended to those known. */
static void list_below(struct cgroup_tree *tree, const char *path)
{
    int fd = open_below(tree, path, NULL, O_DIRECTORY);
    _cleanup_(cleanup_closedir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    char *below;

    if (fd >= 0 && !dir)
        close(fd);
    while (dir && tree->known.n < KNOWN_MAX && (entry = readdir(dir))) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
            strcmp(entry->d_name, "..") == 0 || strlen(path) + strlen(entry->d_name) + 2 > PATH_MAX)
            continue;
        if (asprintf(&below, "%s/%s", path, entry->d_name) < 0)
            return;
        learn(tree, entry->d_ino, below);
    }
}

/* Those known are the walk's queue, too. */
static void walk(struct cgroup_tree *tree)
{
    tree->walked = true;
    forget_known(tree);
    list_below(tree, "");
    for (size_t i = 0; i < tree->known.n; i++)
        list_below(tree, tree->known.items[i].path);
}

/* Asks the kernel. 0 and *ret (owned), -ESTALE: there is none; else it can't be asked. */
static int path_by_handle(const struct cgroup_tree *tree, uint64_t id, char **ret)
{
    union {
        struct file_handle head;
        char room[sizeof(struct file_handle) + sizeof(id)];
    } handle = {.head = {.handle_bytes = sizeof(id), .handle_type = HANDLE_OF_KERNFS}};
    _cleanup_close_ int fd = -1;
    char link[32], path[PATH_MAX];
    size_t mount_n = strlen(tree->mount);
    ssize_t n;

    memcpy(handle.room + sizeof(struct file_handle), &id, sizeof(id));
    fd = open_by_handle_at(tree->mount_fd, &handle.head, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    snprintf(link, sizeof(link), "self/fd/%d", fd);
    n = readlinkat(tree->proc_fd, link, path, sizeof(path) - 1);
    if (n < 0)
        return -errno;
    path[n] = '\0';
    if (strncmp(path, tree->mount, mount_n) != 0 || (path[mount_n] && path[mount_n] != '/'))
        return -ENOENT;
    *ret = strdup(path[mount_n] ? path + mount_n : "/");
    return *ret ? 0 : -ENOMEM;
}

static void note_missing(struct cgroup_tree *tree, uint64_t id)
{
    if (tree->missing.n >= MISSING_MAX)
        vec_clear(&tree->missing);
    (void)vec_push(&tree->missing, id); /* without memory it is looked for again */
}

const char *cgroup_tree_path(struct cgroup_tree *tree, uint64_t id)
{
    const char *path = find_known(tree, id);
    char *asked = NULL;
    int r = -EOPNOTSUPP;

    if (path || !id || tree->mount_fd < 0 || is_missing(tree, id))
        return path;
    if (id == CGROUP_ROOT_ID)
        return "/";
    if (tree->by_id)
        r = path_by_handle(tree, id, &asked);
    if (r == 0) {
        if (tree->known.n >= KNOWN_MAX)
            forget_known(tree);
        return learn(tree, id, asked);
    }
    if (r != -ESTALE && !tree->walked) {
        walk(tree);
        path = find_known(tree, id);
    }
    if (!path)
        note_missing(tree, id);
    return path;
}

/* Where our own root is not the host's, paths outside it begin with "/..": not below the mount. */
static bool is_below(const struct cgroup_tree *tree, const char *path)
{
    return tree->mount_fd >= 0 && *path == '/' && strncmp(path, "/..", 3) != 0;
}

uint64_t cgroup_tree_id(const struct cgroup_tree *tree, const char *path)
{
    _cleanup_close_ int fd = is_below(tree, path) ? open_below(tree, path, NULL, O_PATH) : -1;
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

int cgroup_tree_processes(const struct cgroup_tree *tree, const char *path, size_t most,
                          struct pids *ret)
{
    int fd = is_below(tree, path) ? open_below(tree, path, "cgroup.procs", 0) : -1;
    _cleanup_fclose_ FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    char line[32];
    uint64_t pid;

    if (!file) {
        if (fd >= 0)
            close(fd);
        return fd < 0 ? -ENOENT : -ENOMEM;
    }
    for (size_t i = 0; i < most && fgets(line, sizeof(line), file); i++) {
        line[strcspn(line, "\n")] = '\0';
        /* 0: of another pid namespace */
        if (parse_u64(line, 1, INT32_MAX, &pid) == 0 && vec_push(ret, (uint32_t)pid) < 0)
            return -ENOMEM;
    }
    return 0;
}
