/* Writing into the hub's cache, beside other programs that do so at the same time. */
#ifndef AT_STORE_H
#define AT_STORE_H

#include "base/base.h"

/* Makes the folders above a file. */
bool at_store_make_room(at_context *cx, const char *path);

/* Holds the lock that huggingface_hub takes for this file too, waiting for others; -1 with the
   error kept. what: the file in a message. Released by at_store_unlock. */
int at_store_lock(at_context *cx, const char *repo, const char *etag, const char *what);
void at_store_unlock(int lock);

/* Lets `file` in a snapshot mean `blob`: a relative link, or the file itself where links are not
   possible (then a new blob is moved, an older one copied). */
bool at_store_link(at_context *cx, const char *blob, const char *file, bool is_new);

/* Bytes that may still be written in a folder. */
uint64_t at_store_free_bytes(const char *folder);

#endif
