/* SPDX-License-Identifier: MIT */
/* Any bytes as the path of a cgroup: names are terminated, of one directory, and come from the path. */
#include "connhist/model/cgroup.h"

#include <assert.h>
#include <string.h>

#include "fuzz.h"

#define PATH_BYTES 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_BYTES];
    size_t n = size < sizeof(path) - 1 ? size : sizeof(path) - 1;
    struct cgroup_names names;

    if (n)
        memcpy(path, data, n);
    path[n] = '\0';
    cgroup_names(path, &names);
    assert(memchr(names.unit, '\0', sizeof(names.unit)));
    assert(memchr(names.container, '\0', sizeof(names.container)));
    assert(strstr(path, names.unit));
    assert(!strchr(names.unit, '/'));
    assert(!*names.container || strchr(names.container, ':'));
    return 0;
}
