/* Files: mapped for reading, written whole or not at all. */
#ifndef AT_FILE_H
#define AT_FILE_H

#include "base/base.h"

/* A read-only mapping, shared by reference count: tensors keep the file of their weights alive. */
typedef struct at_mapping {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
    char *path;
    bool is_file; /* not at_mapping_new's */
    atomic_int references;
} at_mapping;

at_mapping *at_mapping_open(at_context *cx, const char *path);
/* Memory in place of a file, to be filled through *data; path: what it was made from. */
at_mapping *at_mapping_new(at_context *cx, const char *path, size_t size, uint8_t **data);
at_mapping *at_mapping_keep(at_mapping *mapping);
void at_mapping_release(at_mapping *mapping);
/* Whole pages of a file's bytes leave this process's memory, not the system's cache: they come back
   when they are read again. */
void at_mapping_forget(const at_mapping *mapping, size_t offset, size_t size);

/* The whole file with a zero byte behind it; at_free frees it. Refused above `limit` bytes. */
char *at_file_read(at_context *cx, const char *path, size_t limit, size_t *size);

/* Writes to a temporary name in the same folder, then renames: the file is there whole or not at
 * all. */
bool at_file_write(at_context *cx, const char *path, const void *data, size_t size);

bool at_file_copy(at_context *cx, const char *from, const char *to);

/* The same for writers that stream: open, write to ->stream, then commit (rename) or abandon
 * (delete). */
typedef struct at_file_writer at_file_writer;
at_file_writer *at_file_writer_open(at_context *cx, const char *path);
bool at_file_writer_write(at_context *cx, at_file_writer *writer, const void *data, size_t size);
/* For libraries that write themselves: the file that the bytes go to. */
int at_file_writer_descriptor(const at_file_writer *writer);
bool at_file_writer_commit(at_context *cx, at_file_writer *writer); /* frees writer either way */
void at_file_writer_abandon(at_file_writer *writer);                /* NULL is fine */

bool at_file_exists(const char *path);
bool at_folder_exists(const char *path);
bool at_file_exists_in(at_context *cx, const char *folder, const char *name);
char *at_path_join(at_context *cx, const char *folder, const char *name);

#endif
