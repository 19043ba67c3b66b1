/* whisper.cpp's files (ggml-base.en.bin, magic "ggml" as a number), as whisper_model_load reads
   them: hyperparameters, mel filters, the vocabulary, then tensors one behind the other. */
#ifndef AT_GGML_H
#define AT_GGML_H

#include "formats/weight_file.h"

bool at_ggml_is(const at_mapping *mapping); /* by its first bytes */

/* Tensors have OpenAI's names and C order's shapes; biases of convolutions, [n,1] in the file, are
   [n]. f32, f16 and ggml's blocks of today: files that were quantised before version 2 of those
   (May 2023) are refused, as is what older programs wrote under the same magic. "mel_filters" is a
   tensor too, and "vocabulary" of i8: for each token its length, u32, and its bytes. Metadata are
   OpenAI's "dims.n_vocab" and so on. */
at_weight_file *at_ggml_open(at_context *cx, const char *path);

/* The type of one of ggml's numbers, as GGUF has them too; fails with the file's and the tensor's
   names. In gguf.c. */
bool at_ggml_dtype(at_context *cx, const char *path, const char *tensor, uint32_t number,
                   at_dtype *dtype);

#endif
