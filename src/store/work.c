/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/store/file.h"

void work_vtell(const struct maintenance *work, const char *format, va_list args)
{
    char line[ERR_TEXT_MAX];

    vsnprintf(line, sizeof(line), format, args);
    progress_clear(work->progress);
    work->tell(work->arg, line);
}

int work_refuse_recorder(const char *path, struct err *err)
{
    int pid = file_recorder_pid(path);

    if (pid > 0)
        return err_set(err, -EBUSY,
                       "%s is being written by a recorder, process %d: end it first, or work on a "
                       "copy (connhist export --to-sqlite FILE)",
                       path, pid);
    if (pid == -EAGAIN)
        return err_set(err, -EBUSY, "%s is being written by a recorder that just starts", path);
    return 0;
}
