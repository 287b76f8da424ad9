/* SPDX-License-Identifier: MIT */
#include "children.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

struct child child_start(void (*func)(int wire, void *arg), void *arg)
{
    struct child child;
    int wires[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wires), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(wires[0]);
        func(wires[1], arg);
        wire_stay(wires[1]);
    }
    close(wires[1]);
    child.wire = wires[0];
    return child;
}

void child_end(struct child *child)
{
    close(child->wire);
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* In a child there is no test to fail. */
static void check(int good)
{
    if (!good)
        _exit(EXIT_FAILURE);
}

void wire_tell(int wire)
{
    check(send(wire, "", 1, MSG_NOSIGNAL) == 1);
}

void wire_await(int wire)
{
    char byte;

    check(recv(wire, &byte, 1, 0) == 1);
}

_Noreturn void wire_stay(int wire)
{
    char byte;

    while (recv(wire, &byte, 1, 0) > 0)
        ;
    _exit(EXIT_SUCCESS);
}

void wire_give(int wire, int fd)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};

    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
    check(sendmsg(wire, &message, MSG_NOSIGNAL) == 1);
}

int wire_take(int wire)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    char byte;
    struct iovec room = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    int fd = -1;

    check(recvmsg(wire, &message, 0) == 1 && message.msg_controllen > 0);
    memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
    return fd;
}

int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    check(fd >= 0);
    return fd;
}

uint32_t inode_of_fd(int fd)
{
    struct stat st;

    check(fstat(fd, &st) == 0);
    return (uint32_t)st.st_ino;
}
