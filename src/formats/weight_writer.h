/* Files of weights written tensor by tensor: the header first, from what is known before, then the
   bytes of one after the other, so that never more than one is in memory. */
#ifndef AT_WEIGHT_WRITER_H
#define AT_WEIGHT_WRITER_H

#include "base/file.h"
#include <atelier/tensor.h>

typedef struct at_weight_entry {
    const char *name;
    at_dtype dtype;
    int dims;
    int64_t shape[AT_MAX_DIMS];
    const void *source; /* the caller's */
} at_weight_entry;

/* Writes the entry's bytes with at_file_writer_write, exactly as many as type and shape say. */
typedef bool (*at_weight_source)(at_context *cx, const at_weight_entry *entry,
                                 at_file_writer *writer, void *user);

/* Both sort the entries as the format wants them, and write whole files or none. metadata: key,
   value, ..., NULL, or NULL. False and the error where the format has no such type. */
bool at_safetensors_stream(at_context *cx, const char *path, int64_t count,
                           at_weight_entry *entries, const char *const *metadata,
                           at_weight_source write, void *user);
bool at_gguf_stream(at_context *cx, const char *path, int64_t count, at_weight_entry *entries,
                    const char *const *metadata, at_weight_source write, void *user);

bool at_safetensors_has(at_dtype dtype);
bool at_gguf_has(at_dtype dtype);

#endif
