#include "hub/cache.h"
#include "base/file.h"
#include "base/text.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_FILES = 1000, MOST_DEPTH = 8 };

/* ---- names */

static bool is_hex(const char *text, size_t count)
{
    return strlen(text) == count && strspn(text, "0123456789abcdef") == count;
}

bool at_hub_is_commit(const char *revision)
{
    return is_hex(revision, 40);
}

bool at_hub_path_is_safe(const char *path)
{
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\') return false;
    for (const char *part = path;; part++) {
        size_t size = strcspn(part, "/");
        bool dots = strspn(part, ".") == size && size <= 2;
        if (!size || size > 255 || dots) return false;
        part += size;
        if (!*part) return part - path < 1024;
    }
}

/* As validate_repo_id of huggingface_hub. */
static bool is_repo(const char *repo)
{
    size_t size = strlen(repo);
    if (!size || size > 96 || strstr(repo, "--") || strstr(repo, "..")) return false;
    if (at_ends_with(repo, ".git")) return false;
    for (size_t i = 0; i < size; i++) {
        bool edge = i == 0 || i + 1 == size || repo[i - 1] == '/' || repo[i + 1] == '/';
        bool mark = repo[i] == '-' || repo[i] == '.';
        bool plain = strchr("_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                            repo[i]) != NULL;
        bool slash = repo[i] == '/' && !edge;
        if (!plain && !slash && !(mark && !edge)) return false;
    }
    return true;
}

/* Copies size bytes, if they fit. */
static bool copy(char *to, size_t room, const char *from, size_t size)
{
    if (size >= room) return false;
    memcpy(to, from, size);
    to[size] = 0;
    return true;
}

bool at_hub_name_read(at_hub_name *name, const char *text)
{
    const char *at = strchr(text, '@'), *end = at ? at : text + strlen(text);
    size_t org = strcspn(text, "/@"), all = org;
    if (text + org < end) all += 1 + strcspn(text + org + 1, "/@");
    const char *file = text + all < end ? text + all + 1 : end;
    *name = (at_hub_name){.revision = "main"};
    if (text + all < end && file == end) return false; /* a slash with nothing behind it */
    return copy(name->repo, sizeof name->repo, text, all) && is_repo(name->repo) &&
           copy(name->file, sizeof name->file, file, (size_t)(end - file)) &&
           (!name->file[0] || at_hub_path_is_safe(name->file)) &&
           (!at || (at_hub_path_is_safe(at + 1) &&
                    copy(name->revision, sizeof name->revision, at + 1, strlen(at + 1))));
}

/* ---- folders */

bool at_hub_flag(const char *variable)
{
    static const char *const yes[] = {"1", "on", "yes", "true"};
    const char *value = getenv(variable);
    for (size_t i = 0; value && i < AT_COUNT(yes); i++)
        if (strcasecmp(value, yes[i]) == 0) return true;
    return false;
}

/* The value with ~ for the home folder; NULL where it is not set. */
static char *path_of(at_context *cx, const char *variable)
{
    const char *value = getenv(variable), *home = getenv("HOME");
    if (!value || !*value) return NULL;
    if (home && value[0] == '~' && (!value[1] || value[1] == '/'))
        return at_format(cx, "%s%s", home, value + 1);
    return at_copy_text(cx, value);
}

/* folder/name; frees folder. */
static char *inside(at_context *cx, char *folder, const char *name)
{
    char *path = folder ? at_path_join(cx, folder, name) : NULL;
    at_free(folder);
    return path;
}

char *at_hub_home(at_context *cx, const char *file)
{
    char *home = path_of(cx, "HF_HOME");
    if (!home) home = inside(cx, path_of(cx, "XDG_CACHE_HOME"), "huggingface");
    if (!home) home = inside(cx, path_of(cx, "HOME"), ".cache/huggingface");
    return inside(cx, home, file);
}

char *at_hub_cache(at_context *cx)
{
    char *cache = path_of(cx, "HF_HUB_CACHE");
    if (!cache) cache = path_of(cx, "HUGGINGFACE_HUB_CACHE");
    return cache ? cache : at_hub_home(cx, "hub");
}

char *at_hub_repo_folder(at_context *cx, const char *repo)
{
    const char *slash = strchr(repo, '/');
    char name[128];
    snprintf(name, sizeof name, "models--%.*s%s%s", (int)(slash ? slash - repo : 96), repo,
             slash ? "--" : "", slash ? slash + 1 : "");
    return inside(cx, at_hub_cache(cx), name);
}

char *at_hub_snapshot(at_context *cx, const at_hub_name *name)
{
    char *folder = at_hub_repo_folder(cx, name->repo), *commit = NULL;
    char *ref = folder ? at_format(cx, "%s/refs/%s", folder, name->revision) : NULL;
    if (ref && at_file_exists(ref)) commit = at_file_read(cx, ref, 64, NULL);
    if (commit) commit[strcspn(commit, "\r\n")] = 0;
    if (!commit && at_ok(cx)) commit = at_copy_text(cx, name->revision);
    char *path = folder && commit && at_hub_is_commit(commit)
                     ? at_format(cx, "%s/snapshots/%s", folder, commit)
                     : NULL;
    at_free(folder);
    at_free(ref);
    at_free(commit);
    if (at_folder_exists(path)) return path;
    at_free(path);
    return NULL;
}

/* ---- files of weights in a snapshot */

bool at_hub_is_weights(const char *path)
{
    static const char *const suffixes[] = {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt"};
    for (size_t i = 0; i < AT_COUNT(suffixes); i++)
        if (at_has_suffix(path, suffixes[i])) return true;
    return false;
}

typedef struct names {
    char **names; /* relative to the folder */
    int count;
} names;

static void add_weights(at_context *cx, names *n, const char *folder, const char *before, int depth)
{
    DIR *directory = opendir(folder);
    for (struct dirent *d; directory && at_ok(cx) && (d = readdir(directory));) {
        if (d->d_name[0] == '.') continue;
        char *path = at_path_join(cx, folder, d->d_name);
        char *name = at_format(cx, "%s%s%s", before, *before ? "/" : "", d->d_name);
        char **more = NULL;
        if (path && name && depth < MOST_DEPTH && at_folder_exists(path))
            add_weights(cx, n, path, name, depth + 1);
        else if (at_file_exists(path) && at_hub_is_weights(path) && n->count < MOST_FILES)
            more = at_resize(cx, n->names, (size_t)n->count + 1, sizeof *more);
        if (more) {
            n->names = more;
            n->names[n->count++] = name;
            name = NULL;
        }
        at_free(path);
        at_free(name);
    }
    if (directory) closedir(directory);
}

static names weights_of(at_context *cx, const char *folder)
{
    names n = {0};
    add_weights(cx, &n, folder, "", 0);
    if (n.count) qsort(n.names, (size_t)n.count, sizeof *n.names, at_text_order);
    return n;
}

static void free_names(names *n)
{
    for (int i = 0; i < n->count; i++) at_free(n->names[i]);
    at_free(n->names);
}

/* A folder to open whole: a Diffusers one, or one with a config.json for more than GGUF's files. */
static bool is_described(at_context *cx, const char *folder, const names *n)
{
    bool config = at_file_exists_in(cx, folder, "config.json");
    bool whole = config && !n->count;
    for (int i = 0; i < n->count; i++) whole |= config && !at_has_suffix(n->names[i], ".gguf");
    return whole || at_file_exists_in(cx, folder, "model_index.json");
}

static void several(at_context *cx, const at_hub_name *name, const names *n)
{
    at_text list = {0};
    for (int i = 0; i < n->count; i++)
        at_text_print(cx, &list, "%s%s/%s", i ? ", " : "", name->repo, n->names[i]);
    at_fail(cx, AT_ERROR_FILE, "%s: holds several files of weights (give one of %s)", name->repo,
            list.data ? list.data : "");
    at_text_free(&list);
}

char *at_hub_find(at_context *cx, const at_hub_name *name)
{
    char *folder = at_hub_snapshot(cx, name);
    if (folder && name->file[0]) {
        char *path = inside(cx, folder, name->file);
        if (at_file_exists(path) || at_folder_exists(path)) return path;
        at_free(path);
        return NULL;
    }
    names n = folder ? weights_of(cx, folder) : (names){0};
    char *path = NULL;
    if (folder && is_described(cx, folder, &n))
        path = at_copy_text(cx, folder);
    else if (n.count == 1)
        path = at_path_join(cx, folder, n.names[0]);
    else if (n.count)
        several(cx, name, &n);
    free_names(&n);
    at_free(folder);
    return path;
}

/* ---- all of it */

/* The names of one repository at one revision, which is what its folder in refs calls it. */
static void list_revision(at_context *cx, const char *repo, const char *revision,
                          at_hub_visit visit, void *user)
{
    at_hub_name name;
    bool main = strcmp(revision, "main") == 0;
    char *text = at_format(cx, "%s%s%s", repo, main ? "" : "@", main ? "" : revision);
    char *folder = text && at_hub_name_read(&name, text) ? at_hub_snapshot(cx, &name) : NULL;
    names n = folder ? weights_of(cx, folder) : (names){0};
    if (folder && (n.count == 1 || is_described(cx, folder, &n))) {
        char *path = at_hub_find(cx, &name);
        if (path) visit(cx, user, text, path);
        at_free(path);
    } else {
        for (int i = 0; i < n.count && strchr(repo, '/') && at_ok(cx); i++) {
            char *path = at_path_join(cx, folder, n.names[i]);
            char *full = at_format(cx, "%s/%s%s", repo, n.names[i], text + strlen(repo));
            if (path && full) visit(cx, user, full, path);
            at_free(path);
            at_free(full);
        }
    }
    free_names(&n);
    at_free(folder);
    at_free(text);
}

/* "models--openai--whisper-tiny" as "openai/whisper-tiny"; false where it is another folder. */
static bool repo_of(char repo[97], const char *folder)
{
    if (strncmp(folder, "models--", 8) != 0 || strlen(folder) > 8 + 97) return false;
    const char *name = folder + 8, *dashes = strstr(name, "--");
    snprintf(repo, 97, "%.*s%s%s", (int)(dashes ? dashes - name : 96), name, dashes ? "/" : "",
             dashes ? dashes + 2 : "");
    return is_repo(repo);
}

void at_hub_list(at_context *cx, at_hub_visit visit, void *user)
{
    char *cache = at_hub_cache(cx), repo[97];
    DIR *directory = cache ? opendir(cache) : NULL;
    for (struct dirent *d; directory && at_ok(cx) && (d = readdir(directory));) {
        if (!repo_of(repo, d->d_name)) continue;
        char *refs = at_format(cx, "%s/%s/refs", cache, d->d_name);
        DIR *inner = refs ? opendir(refs) : NULL;
        for (struct dirent *r; inner && at_ok(cx) && (r = readdir(inner));)
            if (r->d_name[0] != '.') list_revision(cx, repo, r->d_name, visit, user);
        if (inner) closedir(inner);
        at_free(refs);
    }
    if (directory) closedir(directory);
    at_free(cache);
}
