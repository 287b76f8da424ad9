/* SPDX-License-Identifier: MIT */
#include "connhist/model/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define USER_MANAGER "/user.slice/user-1000.slice/user@1000.service"
#define POD          "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0f_1.slice/"

struct row {
    const char *path, *unit, *container;
};

static void check(const struct row *rows, size_t n)
{
    struct cgroup_names names;

    for (size_t i = 0; i < n; i++) {
        cgroup_names(rows[i].path, &names);
        if (strcmp(names.unit, rows[i].unit) != 0 ||
            strcmp(names.container, rows[i].container) != 0)
            fail_msg("%s: unit \"%s\", container \"%s\"", rows[i].path, names.unit,
                     names.container);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

static void units_are_those_of_systemd(void **state)
{
    static const struct row rows[] = {
        {"/system.slice/nginx.service", "nginx.service", ""},
        {"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", ""},
        {"/system.slice/nginx.service/worker/deep", "nginx.service", ""},
        {"/system.slice/dev-disk\\x2duuid.swap", "dev-disk\\x2duuid.swap", ""},
        {"/system.slice/a\\x2db.service", "a\\x2db.service", ""},
        {"/init.scope", "init.scope", ""},
        {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", ""},
        {USER_MANAGER "/app.slice/foo.service", "foo.service", ""},
        {USER_MANAGER "/app.slice/app-a\\x2db.slice/app-a\\x2db@1.service", "app-a\\x2db@1.service",
         ""},
        {USER_MANAGER "/foo.scope", "foo.scope", ""},
        {USER_MANAGER "/init.scope", "user@1000.service", ""},
        {USER_MANAGER, "user@1000.service", ""},
        {USER_MANAGER "/app.slice", "user@1000.service", ""},
        {"/system.slice/_cpu.service", "cpu.service", ""},
        {"/../../system.slice/ssh.service", "ssh.service", ""},
        {"//system.slice///ssh.service/", "ssh.service", ""},
    };

    (void)state;
    CHECK(rows);
}

static void what_is_no_unit_has_no_name(void **state)
{
    static const struct row rows[] = {
        {"", "", ""},
        {"/", "", ""},
        {"/system.slice", "", ""},
        {"/plain/dir", "", ""},
        {"/plain/nginx.service", "", ""},
        {"/.service", "", ""},
        {"/@x.service", "", ""},
        {"/nginx.timer", "", ""},
        {"/nginx.service.d", "", ""},
        {"/system.slice/evil\n.service", "", ""},
        {"/system.slice/evil\x1b[31m.service", "", ""},
        {"/system.slice/\xff\xfe.service", "", ""},
        {"/system.slice/a b.service", "", ""},
    };

    (void)state;
    CHECK(rows);
}

static void containers_are_told_by_their_id(void **state)
{
    static const struct row rows[] = {
        {"/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "docker:" ID},
        {"/system.slice/docker-" ID ".scope/system.slice/a.service", "docker-" ID ".scope",
         "docker:" ID},
        {"/docker/" ID, "", "docker:" ID},
        {"/docker/" ID "/init.scope", "", "docker:" ID},
        {"/actions_job/docker/" ID, "", "docker:" ID},
        {POD "cri-containerd-" ID ".scope", "cri-containerd-" ID ".scope", "containerd:" ID},
        {"/system.slice/nerdctl-" ID ".scope", "nerdctl-" ID ".scope", "containerd:" ID},
        {"/kubepods/besteffort/pod0f-1/" ID, "", "cri:" ID},
        {"/kubepods/pod0f-1/" ID "/sub", "", "cri:" ID},
        {"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ID,
         "containerd.service", "containerd:" ID},
        {POD "crio-" ID ".scope", "crio-" ID ".scope", "crio:" ID},
        {POD "crio-" ID ".scope/container", "crio-" ID ".scope", "crio:" ID},
        {"/kubepods/pod0f-1/crio-" ID, "", "crio:" ID},
        {POD "crio-conmon-" ID ".scope", "crio-conmon-" ID ".scope", ""},
        {"/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", "podman:" ID},
        {"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", ""},
        {"/machine.slice/machine-libpod_pod_" ID ".slice/libpod-" ID ".scope",
         "libpod-" ID ".scope", "podman:" ID},
        {"/libpod_parent/libpod-" ID, "", "podman:" ID},
        {"/libpod_parent/conmon", "", ""},
        {USER_MANAGER "/app.slice/web.service/libpod-payload-" ID, "web.service", "podman:" ID},
        {USER_MANAGER "/app.slice/web.service/runtime", "web.service", ""},
    };

    (void)state;
    CHECK(rows);
}

static void containers_are_told_by_their_name(void **state)
{
    static const struct row rows[] = {
        {"/lxc.payload.web", "", "lxc:web"},
        {"/lxc.payload.web/system.slice/nginx.service", "", "lxc:web"},
        {"/lxc.payload/web", "", "lxc:web"},
        {"/lxc/101/ns/init.scope", "", "lxc:101"},
        {"/lxc/web\n\xff", "", "lxc:web\n\xff"},
        {"/lxc.monitor.web", "", ""},
        {"/lxc", "", ""},
        {"/lxc.payload.", "", ""},
        {"/machine.slice/machine-web.scope/payload", "machine-web.scope", "machine:web"},
        {"/machine.slice/machine-my\\x2dweb.scope", "machine-my\\x2dweb.scope", "machine:my-web"},
        {"/machine.slice/machine-a\\x0.scope", "machine-a\\x0.scope", "machine:a\\x0"},
        {"/machine.slice/machine-a\\x00b.scope", "machine-a\\x00b.scope", "machine:a\\x00b"},
        {"/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn@web.service",
         "machine:web"},
        {"/machine.slice/machine-.scope", "machine-.scope", ""},
    };

    (void)state;
    CHECK(rows);
}

static void the_outermost_container_counts(void **state)
{
    static const struct row rows[] = {
        {"/lxc/101/docker/" ID, "", "lxc:101"},
        {"/docker/" ID "/kubelet/kubepods/pod1/" ID, "", "docker:" ID},
    };

    (void)state;
    CHECK(rows);
}

static void an_id_has_64_hexadecimal_digits(void **state)
{
    static const struct row rows[] = {
        {"/docker/" ID "0", "", ""},
        {"/docker/0123", "", ""},
        {"/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "", ""},
        {"/docker/g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "", ""},
        {"/other/" ID, "", ""},
        {"/system.slice/docker-abc.scope", "docker-abc.scope", ""},
        {"/system.slice/docker-" ID "a.scope", "docker-" ID "a.scope", ""},
        {"/x:cri-containerd:0" ID, "", ""},
        {":cri-containerd:" ID, "", ""},
    };

    (void)state;
    CHECK(rows);
}

static void names_of_any_length_are_taken_or_left(void **state)
{
    static const char kind[] = ".service";
    char path[5000];
    struct cgroup_names names;

    (void)state;
    for (size_t n = 1; n < sizeof(path) - 32; n += n < 300 ? 1 : 511) {
        memset(path, 'a', n);
        memcpy(path + n, kind, sizeof(kind));
        cgroup_names(path, &names);
        assert_int_equal(strlen(names.unit),
                         n + sizeof(kind) - 1 <= 255 ? n + sizeof(kind) - 1 : 0);
        memcpy(path, "/lxc/", 5);
        memset(path + 5, 'b', n);
        path[5 + n] = '\0';
        cgroup_names(path, &names);
        assert_int_equal(strlen(names.container), n <= 255 ? n + 4 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_those_of_systemd),
        cmocka_unit_test(what_is_no_unit_has_no_name),
        cmocka_unit_test(containers_are_told_by_their_id),
        cmocka_unit_test(containers_are_told_by_their_name),
        cmocka_unit_test(the_outermost_container_counts),
        cmocka_unit_test(an_id_has_64_hexadecimal_digits),
        cmocka_unit_test(names_of_any_length_are_taken_or_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
