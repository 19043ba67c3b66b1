/* The safetensors format (https://github.com/huggingface/safetensors#format): a header length of 8
   bytes, a JSON header, the tensors' bytes without holes. */
#ifndef AT_SAFETENSORS_H
#define AT_SAFETENSORS_H

#include "formats/weight_file.h"

/* Refuses what the reference crate refuses, duplicate names, more than AT_MAX_DIMS dimensions, and
   by name the types that at_dtype does not have (F4, F6, F8_E8M0, F8_E4M3FNUZ, complex). */
at_weight_file *at_safetensors_open(at_context *cx, const char *path);

/* Writes contiguous tensors byte for byte as the reference crate does (sorted by dtype, then name;
   header padded to 8 bytes), whole or not at all. metadata: key, value, ..., NULL, or NULL. */
bool at_safetensors_write(at_context *cx, const char *path, int64_t count, const char *const *names,
                          at_tensor *const *tensors, const char *const *metadata);

#endif
