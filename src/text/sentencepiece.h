/* A sentencepiece model file (protobuf message sentencepiece.ModelProto): pieces with scores and
   types, and what of the trainer and the normalizer decides how text is encoded. */
#ifndef AT_SENTENCEPIECE_H
#define AT_SENTENCEPIECE_H

#include "base/base.h"

typedef enum at_piece_type {
    AT_PIECE_NORMAL = 1,
    AT_PIECE_UNKNOWN = 2,
    AT_PIECE_CONTROL = 3,
    AT_PIECE_USER_DEFINED = 4,
    AT_PIECE_UNUSED = 5,
    AT_PIECE_BYTE = 6
} at_piece_type;

typedef enum at_spm_model {
    AT_SPM_UNIGRAM = 1,
    AT_SPM_BPE = 2,
    AT_SPM_WORD = 3,
    AT_SPM_CHAR = 4
} at_spm_model;

typedef struct at_spm_piece {
    const char *text; /* valid UTF-8 inside the file's bytes, no zero byte behind it */
    size_t size;
    float score;
    at_piece_type type;
} at_spm_piece;

typedef struct at_sentencepiece {
    at_spm_piece *pieces;
    size_t count;
    at_spm_model model;
    int32_t unk_id, bos_id, eos_id, pad_id; /* -1: none */
    bool byte_fallback;
    const char *unk_piece; /* not ended by a zero byte; NULL: "<unk>" */
    size_t unk_piece_size;
    const void *charsmap; /* NULL: none */
    size_t charsmap_size;
} at_sentencepiece;

/* Points into data, which must outlive it. */
bool at_sentencepiece_parse(at_context *cx, const void *data, size_t size, const char *what,
                            at_sentencepiece *out);
void at_sentencepiece_free(at_sentencepiece *model);

#endif
