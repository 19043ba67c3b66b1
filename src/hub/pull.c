#include "hub/pull.h"
#include "base/file.h"
#include "base/hash.h"
#include "hub/cache.h"
#include "hub/http.h"
#include "hub/models.h"
#include "hub/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_JSON = 64 << 20, MOST_UNTOLD = 256 << 20, PIECE = 1 << 20 };

typedef struct pull {
    at_context *cx;
    at_http *http;
    at_hub_name name;
    at_hub_listing *listing;
    char *folder;          /* of the repository in the cache */
    int64_t before, total; /* bytes: of the files that are done, of all that are to come */
    int64_t told;          /* megabytes, as last shown */
} pull;

/* ---- what the hub says when it does not give */

static bool no_answer(pull *p, const at_http_answer *a, const char *file)
{
    at_context *cx = p->cx;
    const char *repo = p->name.repo, *hub = at_http_endpoint(p->http);
    bool token = at_http_has_token(p->http);
    if (strcmp(a->code, "GatedRepo") == 0)
        at_fail(cx, AT_ERROR_FILE, "%s: gated (accept its conditions at %s/%s%s)", repo, hub, repo,
                token ? " with the account of this token"
                      : ", then set HF_TOKEN or run hf auth login");
    else if (a->status == 401 && token)
        at_fail(cx, AT_ERROR_FILE,
                "%s: the hub does not take this token (make another at %s/settings/tokens)", repo,
                hub);
    else if (a->status == 401)
        at_fail(cx, AT_ERROR_FILE,
                "%s: no such repository, or a private one (look at the name, or set HF_TOKEN or "
                "run hf auth login)",
                repo);
    else if (a->status == 403)
        at_fail(cx, AT_ERROR_FILE, "%s: the hub refuses it (the token's rights do not reach it)",
                repo);
    else if (a->status == 404 && strcmp(a->code, "RevisionNotFound") == 0)
        at_fail(cx, AT_ERROR_FILE, "%s: has no revision %s", repo, p->name.revision);
    else if (a->status == 404 && file)
        at_fail(cx, AT_ERROR_FILE, "%s: has no file %s", repo, file);
    else if (a->status == 404)
        at_fail(cx, AT_ERROR_FILE, "%s: no such repository at %s", repo, hub);
    else if (a->status == 429)
        at_fail(cx, AT_ERROR_FILE, "%s: too many requests for this hub (wait, or set HF_TOKEN)",
                repo);
    else
        at_fail(cx, AT_ERROR_FILE, "%s: %s answers with status %d (try again later)", repo, hub,
                a->status);
    return false;
}

/* ---- the list of files */

typedef struct answer_text {
    at_context *cx;
    at_text text;
} answer_text;

static bool add_text(void *user, int64_t offset, const void *data, size_t size)
{
    answer_text *to = user;
    if (!offset) to->text.size = 0;
    if (to->text.size + size > MOST_JSON)
        return at_fail_false(to->cx, AT_ERROR_FORMAT, "the hub's list of files is too long");
    at_text_add(to->cx, &to->text, data, size);
    return at_ok(to->cx);
}

static bool read_listing(pull *p)
{
    at_context *cx = p->cx;
    answer_text answer = {.cx = cx};
    at_text url = {0};
    at_http_answer a;
    at_text_print(cx, &url, "%s/api/models/%s/revision/", at_http_endpoint(p->http), p->name.repo);
    at_http_add_escaped(cx, &url, p->name.revision, "");
    at_http_request request = {.url = url.data, .sink = add_text, .user = &answer};
    if (at_http_send(p->http, &request, &a)) {
        if (a.status == 200)
            p->listing = at_hub_listing_read(cx, answer.text.data ? answer.text.data : "",
                                             answer.text.size, p->name.repo);
        else
            no_answer(p, &a, NULL);
    }
    at_text_free(&url);
    at_text_free(&answer.text);
    return p->listing != NULL;
}

/* ---- where a file lies */

static char *path_of(pull *p, const char *room, const char *name)
{
    return at_format(p->cx, "%s/%s/%s", p->folder, room, name);
}

static char *snapshot_path(pull *p, const at_hub_file *f)
{
    return at_format(p->cx, "%s/snapshots/%s/%s", p->folder, p->listing->commit, f->name);
}

static char *file_url(pull *p, const at_hub_file *f)
{
    at_text url = {0};
    at_text_print(p->cx, &url, "%s/%s/resolve/%s/", at_http_endpoint(p->http), p->name.repo,
                  p->listing->commit);
    at_http_add_escaped(p->cx, &url, f->name, "/");
    return url.data;
}

/* An etag names a file of the cache. */
static bool is_plain(const char *etag)
{
    return *etag && *etag != '.' &&
           !etag[strspn(etag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

/* Size and etag, of what is not in the snapshot. */
static bool ask(pull *p, at_hub_file *f)
{
    at_context *cx = p->cx;
    char *path = snapshot_path(p, f);
    struct stat st;
    f->here = path && stat(path, &st) == 0;
    if (f->here) f->size = st.st_size;
    at_free(path);
    if (f->here || !at_ok(cx)) return f->here;
    at_http_answer a;
    at_http_request request = {.url = file_url(p, f), .head = true};
    bool said = request.url && at_http_send(p->http, &request, &a);
    at_free(request.url);
    if (!said) return false;
    if (a.status != 200 && !(a.is_linked && a.status / 100 == 3)) return no_answer(p, &a, f->name);
    if (!is_plain(a.etag) || (a.commit[0] && strcmp(a.commit, p->listing->commit) != 0))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: the hub does not say what %s is (no ETag)",
                             p->name.repo, f->name);
    f->size = a.linked >= 0 ? a.linked : a.status == 200 ? a.length : -1;
    memcpy(f->etag, a.etag, sizeof f->etag);
    return true;
}

/* ---- one file */

typedef struct part {
    pull *p;
    const at_hub_file *file;
    int fd;
    int64_t at; /* bytes that are here and in the hash */
    at_hash hash;
} part;

/* Files kept by LFS are named by their SHA-256, others as git does, by SHA-1 with a head. */
static void begin_hash(part *t)
{
    bool git = at_hub_is_commit(t->file->etag);
    char head[32];
    int size = snprintf(head, sizeof head, "blob %lld", (long long)t->file->size) + 1;
    at_hash_begin(&t->hash, git ? AT_SHA1 : AT_SHA256);
    if (git) at_hash_add(&t->hash, head, (size_t)size);
    t->at = 0;
}

static void show(part *t)
{
    int64_t done = t->p->before + t->at, mega = 1000000, total = (t->p->total + mega - 1) / mega;
    int64_t megabytes = done == t->p->total ? total : done / mega;
    if (!total || megabytes == t->p->told) return;
    t->p->told = megabytes;
    at_progress(t->p->cx, "pull MB", (int)megabytes, (int)total);
}

static bool write_part(void *user, int64_t offset, const void *data, size_t size)
{
    part *t = user;
    at_context *cx = t->p->cx;
    const at_hub_file *f = t->file;
    if (offset != t->at) { /* from the beginning again */
        begin_hash(t);
        if (ftruncate(t->fd, 0) != 0)
            return at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", f->name,
                                 strerror(errno));
    }
    if (offset + (int64_t)size > (f->size >= 0 ? f->size : MOST_UNTOLD))
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: longer than the hub says", f->name);
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(t->fd, (const char *)data + done, size - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", f->name,
                                 strerror(errno));
        done += (size_t)n;
    }
    at_hash_add(&t->hash, data, size);
    t->at += (int64_t)size;
    show(t);
    return at_ok(cx);
}

/* Takes what an earlier attempt left into the hash. */
static bool take_rest(part *t)
{
    char *data = at_alloc(t->p->cx, PIECE, 1);
    begin_hash(t);
    for (ssize_t n = 1; data && n > 0 && at_ok(t->p->cx);) {
        n = pread(t->fd, data, PIECE, t->at);
        if (n > 0) at_hash_add(&t->hash, data, (size_t)n), t->at += n;
    }
    at_free(data);
    if (t->file->size >= 0 && t->at > t->file->size && ftruncate(t->fd, 0) == 0) begin_hash(t);
    return at_ok(t->p->cx);
}

/* False without an error where the bytes are not those that the etag names. */
static bool is_right(part *t)
{
    const at_hub_file *f = t->file;
    size_t digits = strlen(f->etag);
    char found[65];
    if (f->size >= 0 && t->at != f->size) return false;
    bool named = (digits == 64 || (digits == 40 && f->size >= 0)) &&
                 strspn(f->etag, "0123456789abcdef") == digits;
    if (!named) return true;
    at_hash_end(&t->hash, found);
    return strcmp(found, f->etag) == 0;
}

/* Fills the part from the hub; what an earlier attempt left counts once. */
static bool transfer(pull *p, part *t)
{
    at_context *cx = p->cx;
    bool resumed = take_rest(t) && t->at, right = false;
    at_http_request request = {.url = file_url(p, t->file), .sink = write_part, .user = t};
    for (int turn = 0; turn <= resumed && !right && at_ok(cx); turn++) {
        at_http_answer a = {.status = 200};
        request.offset = turn ? 0 : t->at;
        if (turn)
            at_log(cx, AT_LOG_WARNING, "%s: what was here is damaged, all anew", t->file->name);
        if (turn && ftruncate(t->fd, 0) == 0) begin_hash(t);
        if (t->at != t->file->size && at_http_send(p->http, &request, &a) && a.status != 200 &&
            a.status != 206)
            no_answer(p, &a, t->file->name);
        right = at_ok(cx) && is_right(t);
    }
    at_free(request.url);
    if (right || !at_ok(cx)) return right;
    return at_fail_false(cx, AT_ERROR_FORMAT,
                         "%s: what came is not what the hub's checksum says (pull it again)",
                         t->file->name);
}

/* Into blobs, by way of ETAG.incomplete, which stays when it is broken off. */
static bool fetch_blob(pull *p, const at_hub_file *f, const char *blob)
{
    at_context *cx = p->cx;
    char *path = at_format(cx, "%s.incomplete", blob);
    part t = {.p = p, .file = f, .fd = -1};
    if (path) t.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool fine = t.fd >= 0 && transfer(p, &t);
    if (path && t.fd < 0)
        at_fail(cx, AT_ERROR_FILE, "%s: cannot be written: %s", path, strerror(errno));
    if (t.fd >= 0 && close(t.fd) != 0 && fine)
        fine = at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", path, strerror(errno));
    if (fine && rename(path, blob) != 0)
        fine = at_fail_false(cx, AT_ERROR_FILE, "%s: cannot be written: %s", blob, strerror(errno));
    if (at_error_status(cx) == AT_ERROR_FORMAT) unlink(path);
    at_free(path);
    return fine;
}

static bool fetch(pull *p, at_hub_file *f, size_t *fetched)
{
    at_context *cx = p->cx;
    if (f->here) return true;
    char *blob = path_of(p, "blobs", f->etag), *file = snapshot_path(p, f);
    int lock = blob && file && at_store_make_room(cx, blob)
                   ? at_store_lock(cx, p->name.repo, f->etag, f->name)
                   : -1;
    /* Another program may have been faster. */
    if (at_ok(cx) && !at_file_exists(file)) {
        bool is_new = !at_file_exists(blob);
        if (is_new) at_log(cx, AT_LOG_INFO, "%s", f->name);
        if (!is_new || fetch_blob(p, f, blob)) at_store_link(cx, blob, file, is_new);
        if (is_new && at_ok(cx)) *fetched += (size_t)AT_MAX(f->size, 0);
    }
    at_store_unlock(lock);
    at_free(blob);
    at_free(file);
    p->before += AT_MAX(f->size, 0);
    return f->here = at_ok(cx);
}

/* ---- all of it */

/* A Diffusers repository says in a file which of its folders count. */
static cJSON *read_index(pull *p, const at_hub_choice *choice, size_t *fetched)
{
    at_hub_file *f = at_hub_listing_find(p->listing, "model_index.json");
    if (!f || choice->file[0] || choice->include_count || !ask(p, f) || !fetch(p, f, fetched))
        return NULL;
    p->before = 0;
    char *path = snapshot_path(p, f);
    cJSON *json = path ? at_json_read(p->cx, path) : NULL;
    at_free(path);
    return json;
}

/* Asks for the size of everything before anything comes. */
static bool ask_all(pull *p)
{
    at_context *cx = p->cx;
    uint64_t needed = 0;
    for (int i = 0; i < p->listing->count && at_ok(cx); i++) {
        at_hub_file *f = &p->listing->files[i];
        if (!f->chosen || f->here || !ask(p, f) || f->here) continue;
        char *blob = path_of(p, "blobs", f->etag), *begun = at_format(cx, "%s.incomplete", blob);
        struct stat st;
        if (!at_file_exists(blob)) needed += (uint64_t)AT_MAX(f->size, 0);
        if (begun && stat(begun, &st) == 0) needed -= AT_MIN(needed, (uint64_t)st.st_size);
        p->total += AT_MAX(f->size, 0);
        at_free(blob);
        at_free(begun);
    }
    uint64_t room = at_ok(cx) ? at_store_free_bytes(p->folder) : UINT64_MAX;
    if (needed <= room) return at_ok(cx);
    return at_fail_false(cx, AT_ERROR_FILE,
                         "%s: needs %.0f MB more, %s has %.0f left (make room, or set HF_HUB_CACHE "
                         "to another disk)",
                         p->name.repo, (double)needed / 1e6, p->folder, (double)room / 1e6);
}

static bool write_ref(pull *p)
{
    if (strcmp(p->name.revision, p->listing->commit) == 0) return true;
    char *path = path_of(p, "refs", p->name.revision);
    bool fine = path && at_store_make_room(p->cx, path) &&
                at_file_write(p->cx, path, p->listing->commit, 40);
    at_free(path);
    return fine;
}

static bool run(pull *p, const at_hub_choice *choice, at_pulled *out)
{
    at_context *cx = p->cx;
    if (!read_listing(p)) return false;
    char *here = path_of(p, "blobs", "x");
    bool room = here && at_store_make_room(cx, here);
    at_free(here);
    cJSON *index = room ? read_index(p, choice, &out->fetched) : NULL;
    if (at_ok(cx)) at_hub_choose(cx, p->listing, choice, index, p->name.repo);
    cJSON_Delete(index);
    if (!at_ok(cx) || !ask_all(p)) return false;
    memcpy(out->commit, p->listing->commit, sizeof out->commit);
    out->files = AT_NEW_ARRAY(cx, char *, p->listing->count);
    for (int i = 0; i < p->listing->count && at_ok(cx); i++) {
        at_hub_file *f = &p->listing->files[i];
        if (!f->chosen || !fetch(p, f, &out->fetched)) continue;
        out->bytes += (size_t)AT_MAX(f->size, 0);
        out->files[out->file_count++] = at_copy_text(cx, f->name);
    }
    return at_ok(cx) && write_ref(p);
}

bool at_hub_pull(at_context *cx, const char *name, const at_hub_choice *choice, at_pulled *pulled)
{
    pull p = {.cx = cx, .told = -1};
    *pulled = (at_pulled){0};
    if (!at_ok(cx)) return false;
    if (!at_hub_name_read(&p.name, name))
        return at_fail_false(cx, AT_ERROR_ARGUMENT,
                             "%s: not the name of a repository (ORG/NAME, ORG/NAME/FILE, "
                             "ORG/NAME@REVISION)",
                             name);
    at_hub_choice with_file = *choice;
    with_file.file = p.name.file;
    bool offline = at_hub_flag("HF_HUB_OFFLINE");
    if (!offline) p.http = at_http_open(cx);
    if (p.http) p.folder = at_hub_repo_folder(cx, p.name.repo);
    bool fine = offline || (p.folder && run(&p, &with_file, pulled));
    if (fine) pulled->path = at_hub_find(cx, &p.name);
    if (fine && at_error_status(cx) == AT_ERROR_FILE) at_error_clear(cx); /* several: each a name */
    if (offline && pulled->path) pulled->bytes = at_model_bytes(pulled->path);
    if (offline && at_ok(cx) && !pulled->path)
        at_fail(cx, AT_ERROR_FILE, "%s: not here, and HF_HUB_OFFLINE forbids to fetch it", name);
    at_hub_listing_free(p.listing);
    at_http_close(p.http);
    at_free(p.folder);
    return at_ok(cx);
}

void at_pulled_free(at_pulled *pulled)
{
    for (int i = 0; i < pulled->file_count; i++) at_free(pulled->files[i]);
    at_free(pulled->files);
    at_free(pulled->path);
}
