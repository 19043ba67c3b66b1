/* The GGUF format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3:
   metadata, descriptions of tensors, then their bytes, each aligned. */
#ifndef AT_GGUF_H
#define AT_GGUF_H

#include "formats/weight_file.h"

/* Metadata become strings: numbers as JSON writes them, lists of at most 16 numbers as JSON lists
   (longer ones and those of strings are passed over). Shapes are turned to C order; a tensor that
   was flattened gets the shape that `comfy.gguf.orig_shape.NAME` says; kernels stay blocks, others
   are given as f16 where its rows are then no whole blocks. Types without a codec (i-quants,
   ternary, mxfp4) are refused by name. */
at_weight_file *at_gguf_open(at_context *cx, const char *path);

#endif
