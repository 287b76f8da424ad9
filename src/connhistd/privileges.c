/* SPDX-License-Identifier: MIT */
#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "build_config.h"
#include "connhist/store/file.h"

#if HAVE_CAPNG
#include <cap-ng.h>
#endif

#define BIT(capability) (UINT64_C(1) << (capability))

/* connhistd(8) has this table for people; config/connhistd.service gives these four. */
static const struct needed {
    const char *name;
    const char *without; /* what is so where it lacks */
    unsigned capability;
} needed[] = {
    {"CAP_NET_ADMIN", "bursts of closed connections may be lost", CAP_NET_ADMIN},
    {"CAP_SYS_ADMIN", "only the own network namespace is recorded", CAP_SYS_ADMIN},
    {"CAP_SYS_PTRACE", "processes of other users are not named", CAP_SYS_PTRACE},
    {"CAP_DAC_READ_SEARCH", "processes of other users are not named", CAP_DAC_READ_SEARCH},
};

#define N_NEEDED (sizeof(needed) / sizeof(needed[0]))

/* For files that belong to other users or groups, which root could always write. */
static const uint64_t over_files =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID);

struct sets {
    uint64_t effective, permitted;
};

/* glibc has no wrapper. */
static int read_sets(struct sets *ret)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    ret->effective = data[0].effective | (uint64_t)data[1].effective << 32;
    ret->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

static bool needs_others(const struct settings *settings)
{
    /* a group that was named is not one that the user need be in */
    return settings->config.group || !file_is_own(settings->path);
}

static uint64_t wanted(bool for_others)
{
    uint64_t set = for_others ? over_files : 0;

    for (size_t i = 0; i < N_NEEDED; i++)
        set |= BIT(needed[i].capability);
    return set;
}

#if HAVE_CAPNG
static int reduce_to(uint64_t keep, const struct sets *had)
{
    capng_select_t sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

    capng_clear(CAPNG_SELECT_ALL);
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        if (!(keep & had->permitted & BIT(i)))
            continue;
        capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_BOUNDING_SET, i);
        if (had->effective & BIT(i))
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, i);
    }
    if (had->effective & BIT(CAP_SETPCAP)) /* others can't lower the bound */
        sets |= CAPNG_SELECT_BOUNDS;
    return capng_apply(sets) < 0 ? -EPERM : 0;
}
#else
static int reduce_to(uint64_t keep, const struct sets *had)
{
    (void)keep;
    (void)had;
    return -EOPNOTSUPP;
}
#endif

void privileges_drop(const struct settings *settings, struct privileges *ret)
{
    struct privileges privileges = {.for_others = needs_others(settings)};
    uint64_t keep = wanted(privileges.for_others);
    struct sets had = {0};
    int r = read_sets(&had);

    if (r == 0 && had.permitted & ~keep) {
        r = reduce_to(keep, &had);
        privileges.dropped = r == 0;
    }
    /* it runs no other program, so that this takes nothing away */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 && r == 0)
        r = -errno;
    privileges.error = r;
    privileges.effective = had.effective;
    privileges.over_files = had.permitted & over_files & keep;
    *ret = privileges;
}

void privileges_tell(const struct privileges *privileges, const struct log *log)
{
    if (privileges->error == -EOPNOTSUPP)
        log_line(log, LOG_NOTICE,
                 "built without libcap-ng: all privileges that it was started with are kept");
    else if (privileges->error < 0)
        log_line(log, LOG_WARNING, "the privileges that are not needed can't be given up: %s",
                 strerrordesc_np(-privileges->error));
    else if (privileges->over_files)
        log_line(log, LOG_INFO,
                 "the privileges over files of others are kept: the file, its folder or its group "
                 "is not of user %u alone",
                 (unsigned)geteuid());
    for (size_t i = 0; i < N_NEEDED; i++)
        if (!(privileges->effective & BIT(needed[i].capability)))
            log_line(log, LOG_NOTICE, "without %s: %s", needed[i].name, needed[i].without);
}

int privileges_suffice(const struct privileges *privileges, const struct settings *settings,
                       struct err *err)
{
    if (!privileges->dropped || privileges->for_others || !needs_others(settings))
        return 0;
    return err_set(err, -EPERM,
                   "%s, its folder or its group is not of user %u alone, and the privileges over "
                   "files of others were given up at the start: restart it",
                   settings->path, (unsigned)geteuid());
}
