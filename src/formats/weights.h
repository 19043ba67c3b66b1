/* Weights: a set of named tensors, from one file or several, mapped and never copied. What models
   are bound to, whatever format the files have. */
#ifndef AT_WEIGHTS_H
#define AT_WEIGHTS_H

#include "base/file.h"
#include <atelier/tensor.h>

/* One tensor as its file describes it; everything was checked against the file's size. */
typedef struct at_weight {
    const char *name;
    at_dtype dtype; /* of the tensor that at_weights_get gives */
    int dims;
    int64_t shape[AT_MAX_DIMS];
    at_mapping *file; /* ->path says which */
    size_t offset;    /* of the first byte in the file */
    size_t bytes;
    const struct at_coding *coding; /* NULL: the bytes are the tensor; else coding.h says how */
} at_weight;

typedef struct at_weights at_weights;

/* path: a file of weights (safetensors, GGUF), the index.json of a sharded checkpoint, or a folder
   that has one of them under the names that Diffusers and Transformers give:
   diffusion_pytorch_model or model, with no variant, or else with one of fp16, bf16, fp32, ema,
   non_ema ("model.fp16.safetensors"), or else CTranslate2's model.bin. The context owns the set. */
at_weights *at_weights_open(at_context *cx, const char *path);
void at_weights_free(at_weights *weights); /* tensors got from it stay valid; NULL is fine */

/* Any file's bytes as a set of one tensor, u8 [size]. */
at_weights *at_weights_of_bytes(at_context *cx, const char *path, const char *name);

int64_t at_weights_count(const at_weights *weights);
const at_weight *at_weights_at(const at_weights *weights, int64_t i); /* NULL outside */
const at_weight *at_weights_find(const at_weights *weights, const char *name);

/* ---- sets made of tensors of another: other names, parts of them. No bytes move. */

/* One more holder besides the context, for as long as it needs: at_weights_drop. */
at_weights *at_weights_keep(at_weights *weights);
void at_weights_drop(at_weights *weights); /* NULL is fine */

/* An empty set for tensors of `source`, which it keeps. The context owns it. */
at_weights *at_weights_derive(at_context *cx, at_weights *source);

/* How a tensor of the source becomes one of the set. */
typedef struct at_weight_view {
    int64_t begin, count; /* of the rows (the first dimension); count 0: all */
    bool transposed;      /* the two dimensions of a matrix */
    bool halves_swapped;  /* of the rows: the second half comes first */
    bool is_matrix;       /* without the 1x1 of a convolution */
    bool less_one;        /* of each number, as f32 */
} at_weight_view;

/* False with the error kept: no such rows, a name twice. view may be NULL. */
bool at_weights_add(at_context *cx, at_weights *set, const char *name, const at_weight *from,
                    const at_weight_view *view);

/* A tensor of the current scope over the file's bytes (a copy where they are not aligned for their
   dtype). NULL without an error when there is no such name. */
at_tensor *at_weights_get(at_context *cx, const at_weights *weights, const char *name);

/* The files' pages leave this process's memory; they are read again where they are needed. */
void at_weights_rest(const at_weights *weights);

/* The value of a key in the files' own metadata ("format", "modelspec.title", ...), or NULL. */
const char *at_weights_metadata(const at_weights *weights, const char *key);
/* All of the first file's: an object of strings, or NULL. */
const struct cJSON *at_weights_all_metadata(const at_weights *weights);

#endif
