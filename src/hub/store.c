#include "hub/store.h"
#include "base/file.h"
#include "hub/cache.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

bool at_store_make_room(at_context *cx, const char *path)
{
    char *folder = at_copy_text(cx, path);
    for (char *slash = folder ? strchr(folder + 1, '/') : NULL; slash && at_ok(cx);
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0777) != 0 && errno != EEXIST && !at_folder_exists(folder))
            at_fail(cx, AT_ERROR_FILE, "%s: cannot be made: %s", folder, strerror(errno));
        *slash = '/';
    }
    at_free(folder);
    return at_ok(cx);
}

/* ---- locks: flock on .locks/models--ORG--NAME/ETAG.lock */

static char *lock_path(at_context *cx, const char *repo, const char *etag)
{
    char *folder = at_hub_repo_folder(cx, repo);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    char *path =
        slash ? at_format(cx, "%.*s/.locks%s/%s.lock", (int)(slash - folder), folder, slash, etag)
              : NULL;
    at_free(folder);
    return path;
}

/* True when the file that `fd` has locked is still the one of that name. */
static bool is_still(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

int at_store_lock(at_context *cx, const char *repo, const char *etag, const char *what)
{
    char *path = lock_path(cx, repo, etag);
    int fd = -1;
    bool told = false, held = false;
    if (path) at_store_make_room(cx, path);
    while (path && at_ok(cx) && !held) {
        if (fd < 0) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
        bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
        bool busy = fd >= 0 && !locked && errno == EWOULDBLOCK;
        if (fd < 0) {
            at_fail(cx, AT_ERROR_FILE, "%s: cannot be written: %s", path, strerror(errno));
        } else if (locked && !is_still(fd, path)) {
            close(fd);
            fd = -1;
        } else if (busy) {
            if (!told) at_log(cx, AT_LOG_WARNING, "%s: waiting, another program fetches it", what);
            told = true;
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        } else {
            held = true; /* or the disk has no locks: then the hash must do */
        }
    }
    at_free(path);
    if (held) return fd;
    at_store_unlock(fd);
    return -1;
}

void at_store_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

/* ---- snapshots */

/* From snapshots/COMMIT/a/b to blobs/ETAG: one "../" for each folder in between. */
static char *relative(at_context *cx, const char *blob, const char *file)
{
    size_t same = 0;
    char up[3 * 64 + 1] = "";
    for (size_t i = 0; blob[i] && blob[i] == file[i]; i++)
        if (blob[i] == '/') same = i + 1;
    int depth = 0;
    for (const char *c = file + same; *c; c++) depth += *c == '/';
    for (int i = 0; i < depth && i < 64; i++) strcat(up, "../");
    return depth <= 64 ? at_format(cx, "%s%s", up, blob + same)
                       : at_fail(cx, AT_ERROR_FILE, "%s: too many folders", file);
}

bool at_store_link(at_context *cx, const char *blob, const char *file, bool is_new)
{
    char *target = at_store_make_room(cx, file) ? relative(cx, blob, file) : NULL;
    if (!at_file_exists(file)) unlink(file); /* a link to nowhere */
    bool links = !at_hub_flag("HF_HUB_DISABLE_SYMLINKS");
    bool fine = target && ((links && symlink(target, file) == 0) || at_file_exists(file) ||
                           (is_new && rename(blob, file) == 0) || at_file_copy(cx, blob, file));
    at_free(target);
    return fine;
}

uint64_t at_store_free_bytes(const char *folder)
{
    struct statvfs disk;
    return statvfs(folder, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
}
