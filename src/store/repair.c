/* SPDX-License-Identifier: MIT */
#include "repair.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "connhist/store/file.h"
#include "new_file.h"
#include "work.h"

void repair_tell(struct repair *repair, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    work_vtell(repair->work, format, args);
    va_end(args);
    repair->lost++;
}

static void finish(struct repair *repair)
{
    progress_clear(repair->work->progress);
    record_finish(&repair->record);
    vec_finish(&repair->numbers);
    pages_finish(&repair->pages);
    image_close(&repair->image);
    free(repair->buf);
}

/* Whether a table of ours is named in it. What its edition was is not known without the first page. */
static int find_edition(struct repair *repair, const char *path, struct err *err)
{
    repair->edition = repair->image.edition;
    if (repair->edition > 0)
        return 0;
    if (pages_find(&repair->pages, "closed") < 0 && pages_find(&repair->pages, "tallies") < 0 &&
        repair->pages.n_trees > 1)
        return err_set(err, -EMEDIUMTYPE, "%s is a database of another program, not of connhistd",
                       path);
    repair->edition = file_edition(); /* it has all tables that there ever were */
    repair_tell(repair, "the first page, with the header of the file");
    return 0;
}

/* What is looked for in vain says more than an empty new file. */
static int check_found(struct repair *repair, const char *path, struct err *err)
{
    if (repair->image.newer)
        return err_set(err, -EMEDIUMTYPE,
                       "%s was written by a newer connhist: it is of edition %d, this program "
                       "knows editions up to %d",
                       path, repair->image.newer, file_edition());
    if (repair->image.n_missing) {
        repair_tell(repair, "the last %u of %u pages: the file was cut off",
                    repair->image.n_missing, repair->image.n_pages);
        repair->counts_lost = true;
    }
    if (repair->image.n_pages < 3)
        return err_set(err, -EMEDIUMTYPE, "%s is too short: nothing of a record is in it", path);
    return find_edition(repair, path, err);
}

int maintain_repair(const char *path, const char *to, const struct maintenance *work,
                    int64_t *ret_lost, struct err *err)
{
    _cleanup_(finish) struct repair repair = {.work = work, .image = {.fd = -1, .wal_fd = -1}};
    _cleanup_(cleanup_new_file_free) struct new_file *file = NULL;
    int r = work_refuse_recorder(path, err);

    if (r >= 0)
        r = image_open(path, &repair.image, err);
    if (r < 0)
        return r;
    repair.buf = malloc(IMAGE_PAGE_MAX);
    if (!repair.buf || pages_init(&repair.pages, &repair.image) < 0)
        return err_errno(err, -ENOMEM, "%s", path);
    r = check_found(&repair, path, err);
    if (r >= 0)
        r = new_file_open(to, &file, err);
    if (r < 0)
        return r;
    repair.db = file->db;
    r = new_file_format(file, repair.edition, err);
    if (r >= 0)
        r = repair_rows(&repair, err);
    if (r >= 0 && repair.image.edition == 0 && repair.saved == 0)
        r = err_set(err, -EMEDIUMTYPE, "%s: nothing of a record of connhistd is in it", path);
    if (r >= 0)
        r = repair_mend(&repair, err);
    if (r >= 0)
        r = new_file_finish(file, err);
    if (r < 0)
        return r;
    *ret_lost = repair.lost;
    return 0;
}
