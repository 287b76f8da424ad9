#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs systemd as the first process of a container made for the test, with the units in DIR/units and no
# others; what its services write to /out is in DIR/out. The host's files are below it, but it changes
# none: what it writes is in memory.
# usage: own_systemd.sh DIR TARGET       Exit status 77: no such container can be made here.
# DIR/files is laid over the host's files.
set -eEu

# Makes a cgroup for the container and goes into it, so that systemd finds nothing but its own.
in_cgroup() {
    local dir=$1 target=$2 home own status=0
    mkdir "$dir/cgroup"
    mount -t cgroup2 cgroup2 "$dir/cgroup"
    home=$dir/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    own=$dir/cgroup/connhist-test-$$
    mkdir "$own"
    echo $$ >"$own/cgroup.procs"
    unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --net --cgroup \
        "$0" container "$dir" "$target" || status=$?
    echo $$ >"$home/cgroup.procs"
    find "$own" -depth -type d -exec rmdir {} + || true
    exit "$status"
}

make_devices() {
    local name
    mount -t tmpfs -o mode=755 dev dev
    for name in null zero full random urandom tty; do
        touch "dev/$name"
        mount --bind "/dev/$name" "dev/$name"
    done
    ln -s /proc/self/fd dev/fd
    mkdir dev/shm dev/pts
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
}

# Becomes the first process of the container.
container() {
    local dir=$1 target=$2
    ip link set lo up
    mkdir "$dir/memory"
    mount -t tmpfs memory "$dir/memory"
    mkdir "$dir/memory/upper" "$dir/memory/work" "$dir/memory/root"
    mount -t overlay -o "lowerdir=/,upperdir=$dir/memory/upper,workdir=$dir/memory/work" overlay "$dir/memory/root"
    cd "$dir/memory/root"
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    make_devices
    mount -t tmpfs -o mode=755 run run
    mount -t tmpfs -o mode=1777 tmp tmp
    mkdir -p host out units
    mount --bind "$dir/out" out
    mount --bind -o ro "$dir/units" units
    cp -r "$dir/files/." .
    pivot_root . host
    umount -l /host
    mount --make-rshared / # as systemd does on a host
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/units \
        SYSTEMD_GENERATOR_PATH=/nowhere SYSTEMD_LOG_TARGET=console \
        setpriv --bounding-set -sys_module,-sys_time,-sys_rawio \
        /lib/systemd/systemd --system --unit="$target" --show-status=0
}

case $1 in
cgroup)
    trap 'exit 77' ERR
    in_cgroup "$2" "$3"
    ;;
container)
    trap 'exit 77' ERR
    container "$2" "$3"
    ;;
*) exec unshare --mount --propagation private "$0" cgroup "$1" "$2" ;;
esac
