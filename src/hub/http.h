/* HTTP as the hub needs it (libcurl): a token for its own host only, redirects, resumed transfers,
   retries. */
#ifndef AT_HTTP_H
#define AT_HTTP_H

#include "base/text.h"

/* Opened with the hub's address, $HF_ENDPOINT or https://huggingface.co, and the token of $HF_TOKEN
   or of huggingface-cli's file. NULL with the error kept, as where atelier was built without
   libcurl. */
typedef struct at_http at_http;
at_http *at_http_open(at_context *cx);
void at_http_close(at_http *http);
const char *at_http_endpoint(const at_http *http); /* without a slash at the end */
bool at_http_has_token(const at_http *http);

/* Takes what comes at that place of the file; 0 may come again, when all begins anew. False with
   the error kept stops the transfer. */
typedef bool (*at_http_sink)(void *user, int64_t offset, const void *data, size_t size);

typedef struct at_http_request {
    char *url;
    bool head;         /* only what is said about it; the hub's word on files that lie elsewhere */
    int64_t offset;    /* what is here already; it moves with what comes */
    at_http_sink sink; /* NULL with head */
    void *user;
} at_http_request;

/* What the last answer said, "" and -1 where nothing. */
typedef struct at_http_answer {
    int status;
    int64_t length;  /* Content-Length */
    int64_t begin;   /* of Content-Range */
    int64_t linked;  /* X-Linked-Size */
    int64_t wait;    /* Retry-After, in seconds */
    char etag[129];  /* X-Linked-Etag, or else ETag, without W/ and quotes */
    bool is_linked;  /* the former */
    char commit[41]; /* X-Repo-Commit */
    char code[41];   /* X-Error-Code: "GatedRepo" */
    char location[8192];
} at_http_answer;

/* Sends it; again after lost connections, silence, 408, 429 and 5xx, five times without progress
   and later each time. True when there is an answer, whatever its status; 2xx, or 3xx with a linked
   file for head, is success. */
bool at_http_send(at_http *http, at_http_request *request, at_http_answer *answer);

/* Appends text to an address: all but letters, digits, "-._~" and what is in `plain` as %XX. */
void at_http_add_escaped(at_context *cx, at_text *url, const char *text, const char *plain);

#endif
