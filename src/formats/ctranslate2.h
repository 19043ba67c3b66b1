/* CTranslate2's model.bin, as ctranslate2::models::Model::load reads it: the name of what it is
   ("WhisperSpec"), then variables one behind the other, each with its name, shape, type and bytes,
   nothing aligned. */
#ifndef AT_CTRANSLATE2_H
#define AT_CTRANSLATE2_H

#include "formats/weight_file.h"

bool at_ctranslate2_is(const at_mapping *mapping); /* by its first bytes */

/* Version 6, which all converters since 2021 write. Names and shapes are the file's. A variable
   X of i8 or i16 with X_scale (one number, or one a row) gives f32: divided by it. The spec's name
   and revision are metadata. */
at_weight_file *at_ctranslate2_open(at_context *cx, const char *path);

#endif
