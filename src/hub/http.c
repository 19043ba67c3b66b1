#include "hub/http.h"
#include "base/file.h"
#include "hub/cache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void at_http_add_escaped(at_context *cx, at_text *url, const char *text, const char *plain)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *text; text++)
        at_text_print(cx, url, strchr(letters, *text) || strchr(plain, *text) ? "%c" : "%%%02X",
                      (unsigned char)*text);
}

#ifdef AT_HAVE_CURL
#include <curl/curl.h>
#include <time.h>

enum { TRIES = 5, MOST_HOPS = 10, MOST_WAIT = 120 };

struct at_http {
    at_context *cx;
    CURL *curl;
    CURLU *hub; /* the endpoint in its parts */
    char *endpoint, *token;
    char error[CURL_ERROR_SIZE];
    /* of the transfer that runs */
    at_http_request *request;
    at_http_answer *answer;
};

void at_http_close(at_http *http)
{
    if (!http) return;
    curl_easy_cleanup(http->curl);
    curl_url_cleanup(http->hub);
    at_free(http->endpoint);
    at_free(http->token);
    at_free(http);
}

/* HF_TOKEN, or the file that `hf auth login` writes; NULL: none. */
static char *read_token(at_context *cx)
{
    const char *value = getenv("HF_TOKEN"), *own = getenv("HF_TOKEN_PATH");
    if (!value || !*value) value = getenv("HUGGING_FACE_HUB_TOKEN");
    char *token = value && *value ? at_copy_text(cx, value) : NULL;
    char *path = own && *own ? at_copy_text(cx, own) : at_hub_home(cx, "token");
    if (!token && at_file_exists(path)) token = at_file_read(cx, path, 4096, NULL);
    at_free(path);
    if (!token) return NULL;
    char *begin = token + strspn(token, " \t\r\n");
    memmove(token, begin, strlen(begin) + 1);
    for (size_t n = strlen(token); n && strchr(" \t\r\n", token[n - 1]);) token[--n] = 0;
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            at_fail(cx, AT_ERROR_ARGUMENT,
                    "the hub's token has characters that no token has "
                    "(look at HF_TOKEN, or run hf auth login)");
    if (*token && at_ok(cx)) return token;
    at_free(token);
    return NULL;
}

at_http *at_http_open(at_context *cx)
{
    const char *endpoint = getenv("HF_ENDPOINT");
    at_http *http = at_ok(cx) ? AT_NEW(cx, at_http) : NULL;
    if (!http) return NULL;
    http->cx = cx;
    http->curl = curl_easy_init();
    http->hub = curl_url();
    http->endpoint = at_copy_text(cx, endpoint && *endpoint ? endpoint : "https://huggingface.co");
    http->token = read_token(cx);
    char *end = http->endpoint ? http->endpoint + strlen(http->endpoint) : NULL;
    while (end && end > http->endpoint && end[-1] == '/') *--end = 0;
    if (!http->curl || !http->hub)
        at_fail(cx, AT_ERROR_MEMORY, "out of memory");
    else if (at_ok(cx) && (curl_url_set(http->hub, CURLUPART_URL, http->endpoint, 0) != CURLUE_OK ||
                           strncmp(http->endpoint, "http", 4) != 0))
        at_fail(cx, AT_ERROR_ARGUMENT, "HF_ENDPOINT: %s: not an address (https://...)",
                http->endpoint);
    if (at_ok(cx)) return http;
    at_http_close(http);
    return NULL;
}

const char *at_http_endpoint(const at_http *http)
{
    return http->endpoint;
}

bool at_http_has_token(const at_http *http)
{
    return http->token != NULL;
}

/* ---- what curl calls */

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return !at_ok(((at_http *)user)->cx);
}

static size_t on_data(char *data, size_t one, size_t size, void *user)
{
    at_http *http = user;
    at_http_request *r = http->request;
    const at_http_answer *a = http->answer;
    (void)one;
    if ((a->status != 200 && a->status != 206) || !r->sink) return size; /* an error's page */
    int64_t place = a->begin;
    if (a->status == 206 && place != r->offset)
        at_fail(http->cx, AT_ERROR_FORMAT, "%s: the hub sends another part than was asked for",
                http->endpoint);
    if (!at_ok(http->cx) || !r->sink(r->user, AT_MAX(place, 0), data, size)) return 0;
    http->answer->begin = r->offset = AT_MAX(place, 0) + (int64_t)size;
    return size;
}

/* The value of a header of that name (small letters), else NULL. */
static const char *header_value(const char *line, const char *name)
{
    for (; *name; name++, line++)
        if (*name != (*line >= 'A' && *line <= 'Z' ? *line + 32 : *line)) return NULL;
    return *line == ':' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

static int64_t number_of(const char *text)
{
    return *text >= '0' && *text <= '9' ? strtoll(text, NULL, 10) : -1;
}

/* W/"abc" as abc. */
static void read_etag(char etag[129], const char *text)
{
    if (strncmp(text, "W/", 2) == 0) text += 2;
    if (*text == '"') text++;
    size_t size = strcspn(text, "\"");
    snprintf(etag, 129, "%.*s", (int)AT_MIN(size, 200), size <= 128 ? text : "");
}

static size_t on_header(char *data, size_t one, size_t size, void *user)
{
    at_http_answer *a = ((at_http *)user)->answer;
    char line[sizeof a->location + 64];
    const char *v;
    (void)one;
    if (size >= sizeof line) return size;
    memcpy(line, data, size);
    line[size] = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (strncmp(line, "HTTP/", 5) == 0) {
        a->status =
            (int)AT_MAX(number_of(line + strcspn(line, " ") + (strchr(line, ' ') != NULL)), 0);
        a->length = a->begin = a->wait = -1;
        a->location[0] = a->code[0] = 0;
    }
    if ((v = header_value(line, "content-length"))) a->length = number_of(v);
    if ((v = header_value(line, "content-range")) && strncmp(v, "bytes ", 6) == 0)
        a->begin = number_of(v + 6);
    if ((v = header_value(line, "retry-after"))) a->wait = number_of(v);
    if ((v = header_value(line, "location"))) snprintf(a->location, sizeof a->location, "%s", v);
    if ((v = header_value(line, "etag")) && !a->is_linked) read_etag(a->etag, v);
    if ((v = header_value(line, "x-linked-etag"))) a->is_linked = true, read_etag(a->etag, v);
    if ((v = header_value(line, "x-linked-size"))) a->linked = number_of(v);
    if ((v = header_value(line, "x-repo-commit"))) snprintf(a->commit, sizeof a->commit, "%s", v);
    if ((v = header_value(line, "x-error-code"))) snprintf(a->code, sizeof a->code, "%s", v);
    return size;
}

/* ---- one attempt, over all redirects */

/* Scheme, host and port are the same. */
static bool same_place(CURLU *a, CURLU *b)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    bool same = true;
    for (size_t i = 0; i < AT_COUNT(parts); i++) {
        char *x = NULL, *y = NULL;
        curl_url_get(a, parts[i], &x, CURLU_DEFAULT_PORT);
        curl_url_get(b, parts[i], &y, CURLU_DEFAULT_PORT);
        same = same && x && y && strcmp(x, y) == 0;
        curl_free(x);
        curl_free(y);
    }
    return same;
}

static bool has_scheme(CURLU *url, const char *scheme)
{
    char *text = NULL;
    curl_url_get(url, CURLUPART_SCHEME, &text, 0);
    bool same = text && strcmp(text, scheme) == 0;
    curl_free(text);
    return same;
}

static CURLcode perform(at_http *http, CURLU *url)
{
    const at_http_request *r = http->request;
    CURL *curl = http->curl;
    const char *silence = getenv("HF_HUB_DOWNLOAD_TIMEOUT");
    long seconds = silence ? strtol(silence, NULL, 10) : 0;
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)r->offset);
    if (seconds < 1) seconds = 10; /* as huggingface_hub */
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_CURLU, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "atelier/" AT_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, seconds);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, seconds);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
    if (r->head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (r->offset) curl_easy_setopt(curl, CURLOPT_RANGE, range);
    if (http->token && same_place(url, http->hub)) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, http->token);
    }
    http->error[0] = 0;
    return curl_easy_perform(curl);
}

/* False with the error kept where the redirect leads to what is not to be asked. */
static bool follow(at_http *http, CURLU *url, const char *location)
{
    if (curl_url_set(url, CURLUPART_URL, location, 0) == CURLUE_OK &&
        (has_scheme(url, "https") || (has_scheme(url, "http") && has_scheme(http->hub, "http"))))
        return true;
    return at_fail_false(http->cx, AT_ERROR_FORMAT,
                         "%s: sends on to an address that is not followed", http->endpoint);
}

static CURLcode attempt(at_http *http)
{
    at_http_answer *a = http->answer;
    *a = (at_http_answer){.length = -1, .linked = -1, .begin = -1, .wait = -1};
    CURLU *url = curl_url();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (url && curl_url_set(url, CURLUPART_URL, http->request->url, 0) == CURLUE_OK)
        code = perform(http, url);
    for (int hop = 0; code == CURLE_OK && a->status / 100 == 3 && a->location[0]; hop++) {
        if (hop == MOST_HOPS)
            at_fail(http->cx, AT_ERROR_FORMAT, "%s: sends on more than %d times", http->endpoint,
                    MOST_HOPS);
        if (!at_ok(http->cx) || !follow(http, url, a->location)) break;
        if (http->request->head && a->is_linked && !same_place(url, http->hub)) break;
        code = perform(http, url);
    }
    curl_url_cleanup(url);
    return code;
}

/* ---- again and again */

static bool is_passing(CURLcode code, int status)
{
    static const CURLcode codes[] = {
        CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT, CURLE_RECV_ERROR,
        CURLE_SEND_ERROR,      CURLE_PARTIAL_FILE,       CURLE_GOT_NOTHING,
        CURLE_HTTP2,           CURLE_HTTP2_STREAM,       CURLE_SSL_CONNECT_ERROR};
    static const int statuses[] = {408, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < AT_COUNT(codes); i++)
        if (code == codes[i]) return true;
    for (size_t i = 0; i < AT_COUNT(statuses); i++)
        if (code == CURLE_OK && status == statuses[i]) return true;
    return false;
}

static void wait_for(at_context *cx, double seconds)
{
    for (; seconds > 0 && at_ok(cx); seconds -= 0.1)
        nanosleep(&(struct timespec){.tv_nsec = (long)(AT_MIN(seconds, 0.1) * 1e9)}, NULL);
}

bool at_http_send(at_http *http, at_http_request *request, at_http_answer *answer)
{
    at_context *cx = http->cx;
    http->request = request;
    http->answer = answer;
    for (int tries = 1; at_ok(cx); tries++) {
        int64_t before = request->offset;
        CURLcode code = attempt(http);
        if (!at_ok(cx)) break;
        if (request->offset > before) tries = 1;
        bool again = tries < TRIES && answer->wait <= MOST_WAIT && is_passing(code, answer->status);
        bool beyond = code == CURLE_OK && answer->status == 416 && request->offset;
        if (beyond) {
            request->offset = 0; /* more is here than there: all anew */
        } else if (again) {
            double wait = answer->wait >= 0 ? (double)answer->wait : 0.25 * (1 << tries);
            at_log(cx, AT_LOG_INFO, "%s: %s, again in %.1f s", http->endpoint,
                   code == CURLE_OK ? "busy" : curl_easy_strerror(code), wait);
            wait_for(cx, wait);
        } else if (code == CURLE_OK) {
            return true;
        } else {
            at_fail(cx, AT_ERROR_FILE, "%s: %s (look at the connection and try again)",
                    http->endpoint, http->error[0] ? http->error : curl_easy_strerror(code));
        }
    }
    return false;
}

#else

at_http *at_http_open(at_context *cx)
{
    return at_fail(cx, AT_ERROR_UNSUPPORTED,
                   "atelier was built without libcurl, which fetching "
                   "models needs (install it and build again)");
}

void at_http_close(at_http *http)
{
    (void)http;
}

const char *at_http_endpoint(const at_http *http)
{
    (void)http;
    return "";
}

bool at_http_has_token(const at_http *http)
{
    (void)http;
    return false;
}

bool at_http_send(at_http *http, at_http_request *request, at_http_answer *answer)
{
    (void)http, (void)request, (void)answer;
    return false;
}

#endif
