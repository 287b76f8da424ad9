/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "connhist/store/file.h"
#include "modes.h"

#define TRIES 10

char *lock_path(const char *path)
{
    _cleanup_free_ char *real = realpath(path, NULL);
    char *lock;

    /* another name of the same file must lead to the same lock */
    return asprintf(&lock, "%s-recorder", real ? real : path) < 0 ? NULL : lock;
}

/* The pid that the holder wrote; 0 when there is none (yet). */
static int read_pid(int fd)
{
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    uint64_t pid;

    if (n <= 0)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return parse_u64(text, 1, INT_MAX, &pid) < 0 ? 0 : (int)pid;
}

static int write_pid(int fd)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (ftruncate(fd, 0) < 0)
        return -errno;
    return pwrite(fd, text, (size_t)n, 0) == n ? 0 : errno ? -errno : -EIO;
}

static int set_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* Whether the path still names the file that fd has open. */
static bool same_file(int fd, const char *path)
{
    struct stat open, named;

    return fstat(fd, &open) == 0 && stat(path, &named) == 0 && open.st_ino == named.st_ino &&
           open.st_dev == named.st_dev;
}

static int open_lock(const char *lock, bool *ret_made)
{
    int fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE_FILE);

    *ret_made = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, MODE_FILE);
    return fd < 0 ? -errno : fd;
}

/* -EAGAIN: the lock file was removed meanwhile. */
static int try_lock(const char *path, const char *lock, int *ret_fd, bool *ret_made,
                    struct err *err)
{
    bool made;
    _cleanup_close_ int fd = open_lock(lock, &made);
    int r;

    if (fd == -EACCES || fd == -EROFS)
        return err_errno(err, fd,
                         "%s can't be recorded into: user %u must be able to write to it "
                         "and to its folder",
                         path, (unsigned)geteuid());
    if (fd < 0)
        return err_errno(err, fd, "%s", lock);
    r = set_lock(fd);
    if (r == -EAGAIN || r == -EACCES)
        return err_set(err, -EBUSY, "%s is being written by another recorder, process %d", path,
                       read_pid(fd));
    if (r < 0)
        return err_errno(err, r, "locking %s", lock);
    if (!same_file(fd, lock))
        return err_errno(err, -EAGAIN, "locking %s", lock);
    r = write_pid(fd);
    if (r < 0) {
        if (made) /* a full disk takes a name, but nothing in it */
            unlink(lock);
        return err_errno(err, r, "%s", lock);
    }
    *ret_made = made;
    *ret_fd = take_fd(&fd);
    return 0;
}

int lock_take(const char *path, int *ret_fd, bool *ret_made, struct err *err)
{
    _cleanup_free_ char *lock = lock_path(path);
    int r = -EAGAIN;

    if (!lock)
        return err_errno(err, -ENOMEM, "%s", path);
    for (int i = 0; i < TRIES && r == -EAGAIN; i++)
        r = try_lock(path, lock, ret_fd, ret_made, err);
    return r;
}

bool lock_is_in_place(const char *path, int fd)
{
    _cleanup_free_ char *lock = lock_path(path);

    return lock && fd >= 0 && same_file(fd, lock);
}

void lock_release(int fd)
{
    if (fd < 0)
        return;
    if (ftruncate(fd, 0) < 0) { /* a stale pid does no harm: it counts only while locked */
    }
    close(fd);
}

void lock_remove(const char *path, int fd)
{
    _cleanup_free_ char *lock = lock_path(path);

    if (lock)
        unlink(lock);
    lock_release(fd);
}

int file_recorder_pid(const char *path)
{
    _cleanup_free_ char *lock = lock_path(path);
    struct flock held = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    _cleanup_close_ int fd = -1;
    int pid;

    if (!lock)
        return -ENOMEM;
    fd = open(lock, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fcntl(fd, F_OFD_GETLK, &held) < 0)
        return -errno;
    if (held.l_type == F_UNLCK)
        return 0;
    pid = read_pid(fd);
    return pid > 0 ? pid : -EAGAIN; /* it holds the lock and is about to write its pid */
}
