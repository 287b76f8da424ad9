/* SPDX-License-Identifier: MIT */
/* What the path of a cgroup tells: systemd's unit and the container. Paths are hostile input: whoever
 * may make a cgroup names it. */
#pragma once

/* A unit is one directory, so no longer than NAME_MAX. */
#define CGROUP_UNIT_MAX      256
#define CGROUP_CONTAINER_MAX (256 + 16) /* "containerd:" and the name of a directory */

struct cgroup_names {
    char unit[CGROUP_UNIT_MAX];           /* "foo.service", "session-3.scope"; "" where none */
    char container[CGROUP_CONTAINER_MAX]; /* "docker:ID"; "" where none */
};

/* Reads a path as /proc/PID/cgroup has it, of v2 or of any hierarchy of v1.
 *
 * Both are what this host's own manager calls it: of units and containers within one another the
 * outermost counts. A unit of a user's manager counts in place of "user@1000.service", except
 * "init.scope", which is that manager itself. Slices are no units. A unit's name stays as systemd shows
 * it, "\x2d" included; what systemd would not take for a name is none.
 *
 * Containers: "docker:", "containerd:", "crio:" and "podman:" with the 64 hexadecimal digits of
 * their id; "cri:" where Kubernetes tells the id and not the runtime; "lxc:" with the name; "machine:"
 * with the name of one that systemd-machined knows (systemd-nspawn, virtual machines). The
 * supervisors beside a container (conmon, lxc.monitor) are outside. A name from LXC or machined may hold any
 * byte but NUL and '/'. */
void cgroup_names(const char *path, struct cgroup_names *ret);
