#include "base/share.h"
#include "base/file.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDERS = AT_SHARE_FOLDERS - 3 };

/* The folder of a file: "/usr/bin" of "/usr/bin/atelier". */
static char *folder_of(at_context *cx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? at_format(cx, "%.*s", (int)(slash - path), path) : at_copy_text(cx, ".");
}

/* Adds the places relative to one binary: installed (bin, lib, lib/TRIPLET), then in a build. */
static int add_near(at_context *cx, const char *binary, char **folders, int count)
{
    static const char *const places[] = {"../share/atelier/models", "../../share/atelier/models",
                                         "../models", "../../models"};
    char *folder = folder_of(cx, binary);
    for (size_t i = 0; folder && i < AT_COUNT(places) && count < FOLDERS; i++)
        folders[count++] = at_path_join(cx, folder, places[i]);
    at_free(folder);
    return count;
}

int at_share_folders(at_context *cx, char **folders)
{
    int count = 0;
    char *self = realpath("/proc/self/exe", NULL);
    if (self) count = add_near(cx, self, folders, count);
    Dl_info library;
    char *real = dladdr((void *)(uintptr_t)at_version, &library) && library.dli_fname
                     ? realpath(library.dli_fname, NULL)
                     : NULL;
    if (real && (!self || strcmp(self, real) != 0)) count = add_near(cx, real, folders, count);
    free(self);
    free(real);
    folders[count++] = at_copy_text(cx, AT_DATA_FOLDER "/models");
    const char *own = getenv("ATELIER_HOME"), *home = getenv("HOME");
    char *own_home = own && *own     ? at_copy_text(cx, own)
                     : home && *home ? at_path_join(cx, home, ".cache/atelier")
                                     : NULL;
    if (own_home) {
        folders[count++] = at_path_join(cx, own_home, "models");
        folders[count++] = own_home;
    }
    return count;
}

char *at_share_find(at_context *cx, const char *name)
{
    char *found = NULL, *folders[AT_SHARE_FOLDERS];
    int count = at_share_folders(cx, folders);
    for (int i = 0; i < count; i++) {
        char *path = folders[i] && !found ? at_path_join(cx, folders[i], name) : NULL;
        if (path && at_folder_exists(path))
            found = path;
        else
            at_free(path);
        at_free(folders[i]);
    }
    if (found || !at_ok(cx)) return found;
    return at_fail(cx, AT_ERROR_FILE, "%s: not where it was installed", name);
}
