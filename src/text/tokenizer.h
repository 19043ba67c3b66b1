/* Tokenizers: text to ids and back, equal to the Hugging Face `tokenizers` library (0.23) and, for
   folders, to the class of transformers 5 that the folder names.

   A tokenizer is a line of stages: added tokens that are cut out first, a normalizer, a
   pre-tokenizer that cuts into words, a model (BPE, Unigram, WordPiece, WordLevel) that turns words
   into ids, a post-processor that adds special tokens, a decoder that turns tokens into text. The
   JSON form of these stages is tokenizer.json; the older files (vocab.json + merges.txt,
   spiece.model, vocab.txt) are turned into the same stages.

   Not done, and refused by name: pre-tokenizer UnicodeScripts, BPE dropout. Pairs of sequences are
   not encoded. */
#ifndef AT_TOKENIZER_H
#define AT_TOKENIZER_H

#include "base/base.h"

typedef struct at_tokenizer at_tokenizer;
struct cJSON;

/* Grows as ids are added; at_ids_free frees what it holds. Starts as {0}. */
typedef struct at_ids {
    int32_t *ids;
    size_t count;
    size_t capacity;
} at_ids;

typedef struct at_encode_options {
    bool no_special_tokens; /* leave out what the post-processor adds */
    size_t max_length;      /* cut to this many ids, the special ones kept; 0: never cut */
    bool pad_is_text;       /* where another token ends texts, the one that pads is no sign in them:
                               OpenCLIP pads with 0, "!" to transformers, which a text may have */
    bool pad; /* fill up to max_length with the pad id, on the side the tokenizer says */
} at_encode_options;

/* Reads the tokenizer of a folder as transformers 5 does: the class in tokenizer_config.json
   decides how the files are read, tokenizer.json before the older forms; without that file the
   files present decide. The caller frees it with at_tokenizer_free. */
at_tokenizer *at_tokenizer_open(at_context *cx, const char *folder);

/* The same with the class that something else names (model_index.json); NULL: as above. */
at_tokenizer *at_tokenizer_open_as(at_context *cx, const char *folder, const char *class_name);

/* The tokenizer of a sentencepiece file in memory, as the class that tokenizer_config.json names
   reads it. what: its name in messages. */
at_tokenizer *at_tokenizer_of_pieces(at_context *cx, const void *pieces, size_t size,
                                     const struct cJSON *config, const char *what);

/* tokenizer.json from memory, read as the `tokenizers` library does. what: its name in messages. */
at_tokenizer *at_tokenizer_parse(at_context *cx, const char *json, size_t size, const char *what);

void at_tokenizer_free(at_tokenizer *tokenizer); /* NULL is fine */

/* Text (UTF-8; what is not valid becomes U+FFFD, as Python's errors="replace") to ids, replacing
   what out held. options may be NULL. False with the error kept: the text cannot be encoded (no
   unknown token in the vocabulary, a pattern that is too complex) or there is no memory. */
bool at_tokenizer_encode(at_context *cx, const at_tokenizer *tokenizer, const char *text,
                         size_t size, const at_encode_options *options, at_ids *out);
void at_ids_add(at_context *cx, at_ids *ids, int32_t id);
void at_ids_free(at_ids *ids);

/* Ids to text: a string of *size bytes (size may be NULL) with a zero byte behind it, freed with
   at_free. Ids without a token are left out. */
char *at_tokenizer_decode(at_context *cx, const at_tokenizer *tokenizer, const int32_t *ids,
                          size_t count, bool skip_special_tokens, size_t *size);

/* The id of a token, added ones included; -1: there is none. */
int32_t at_tokenizer_id(const at_tokenizer *tokenizer, const char *token);

/* The token of an id as the vocabulary writes it; NULL: there is none. */
const char *at_tokenizer_token(const at_tokenizer *tokenizer, int32_t id, size_t *size);

/* -1: the tokenizer has none. Only a folder's configuration names them. */
int32_t at_tokenizer_pad_id(const at_tokenizer *tokenizer);
int32_t at_tokenizer_bos_id(const at_tokenizer *tokenizer);
int32_t at_tokenizer_eos_id(const at_tokenizer *tokenizer);

/* Padding goes before the text: padding_side of tokenizer_config.json. */
bool at_tokenizer_pads_left(const at_tokenizer *tokenizer);

/* model_max_length of tokenizer_config.json; 0: no limit is given. */
size_t at_tokenizer_max_length(const at_tokenizer *tokenizer);

/* Distinct tokens, added ones included: len(tokenizer) in Python. */
size_t at_tokenizer_size(const at_tokenizer *tokenizer);

#endif
