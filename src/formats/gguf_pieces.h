/* The sentencepiece model that llama.cpp's converters took apart into lists, put together again. */
#ifndef AT_GGUF_PIECES_H
#define AT_GGUF_PIECES_H

#include "base/json.h"
#include "base/text.h"
#include "formats/cursor.h"

/* A list among the metadata of a GGUF file; type is GGUF's number of its values'. */
typedef struct at_gguf_list {
    at_cursor values;
    uint32_t type;
    uint64_t count;
} at_gguf_list;

enum { AT_GGUF_U8 = 0, AT_GGUF_U32 = 4, AT_GGUF_I32 = 5, AT_GGUF_F32 = 6, AT_GGUF_STRING = 8 };

typedef struct at_gguf_vocabulary {
    at_gguf_list tokens, scores, types;
    at_gguf_list charsmap; /* count 0: none */
} at_gguf_vocabulary;

/* Writes it as the protobuf message sentencepiece.ModelProto (see text/sentencepiece.h). `metadata`
   has the tokenizer's kind and its special ids as texts. Tokens at the end that are unused, which
   converters fill the rows of the embedding up with, are left out. False where the lists do not fit
   each other, without an error, or on failure. */
bool at_gguf_write_pieces(at_context *cx, at_gguf_vocabulary *vocabulary, const cJSON *metadata,
                          at_text *out);

#endif
