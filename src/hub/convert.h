/* Weights from one form into another: file formats, types, Diffusers folders and single files. */
#ifndef AT_CONVERT_H
#define AT_CONVERT_H

#include <atelier/tensor.h>

/* Tensors whose name the regular expression finds something in keep this type. */
typedef struct at_convert_rule {
    const char *pattern;
    at_dtype dtype;
} at_convert_rule;

typedef struct at_convert_options {
    at_dtype dtype;               /* AT_DTYPES: as the file has them */
    const at_convert_rule *rules; /* the first that fits counts */
    int rule_count;
} at_convert_options;

/* in: a file of weights, a folder of one network, or a Diffusers folder. out: a file
   (.safetensors, .gguf), which of a Diffusers folder becomes a single file in the layout that its
   family's makers use; or a folder, to which a single file becomes a Diffusers folder. Block types
   go to matrices whose rows are whole blocks, all else stays a float of 16 or 32 bits; integers
   stay. One tensor is in memory at a time, out is there whole or not at all, and the same input
   gives the same bytes. */
bool at_convert_weights(at_context *cx, const char *in, const char *out,
                        const at_convert_options *options);

#endif
