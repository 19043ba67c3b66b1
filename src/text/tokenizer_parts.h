/* The stages of a tokenizer, as tokenizer.c puts them together. Only files of this room include it.

   Every stage is parsed from its JSON form, and a Sequence is flattened while it is parsed: a
   stage is a list of steps. Parsers take NULL and null for "no such stage". `what` is the file's
   name in messages. */
#ifndef AT_TOKENIZER_PARTS_H
#define AT_TOKENIZER_PARTS_H

#include "base/json.h"
#include "base/map.h"
#include "base/text.h"
#include "text/tokenizer.h"

/* --- Pieces: text that is cut on its way from stage to stage. --- */

typedef struct at_piece {
    size_t start; /* in at_pieces.text */
    size_t size;
    int32_t id;    /* the added token that this piece is; -1: text still to be encoded */
    bool at_start; /* its first character is the first one of the input */
} at_piece;

typedef struct at_pieces {
    at_text text;
    at_piece *items;
    size_t count;
    size_t capacity;
} at_pieces;

/* Adds a copy of the bytes as a piece; an empty text piece is dropped, as the reference does. */
void at_pieces_add(at_context *cx, at_pieces *pieces, const char *bytes, size_t size, int32_t id,
                   bool at_start);
void at_pieces_free(at_pieces *pieces);

/* Keeps stages that multiply the text from filling the memory: false, with the error, when `now`
   bytes came of `before` and no honest stage does that. */
bool at_growth_is_fine(at_context *cx, size_t before, size_t now);

/* --- Vocabulary: tokens to ids and back. --- */

typedef struct at_vocabulary at_vocabulary;

at_vocabulary *at_vocabulary_new(at_context *cx);
void at_vocabulary_free(at_vocabulary *vocabulary);

/* A token that is there gets the new id; id must not be negative. */
bool at_vocabulary_add(at_context *cx, at_vocabulary *vocabulary, const char *token, size_t size,
                       int32_t id);
bool at_vocabulary_id(const at_vocabulary *vocabulary, const char *token, size_t size, int32_t *id);
const char *at_vocabulary_token(const at_vocabulary *vocabulary, int32_t id, size_t *size);
size_t at_vocabulary_count(const at_vocabulary *vocabulary); /* distinct tokens */

/* Call once after the last at_vocabulary_add, before the first at_vocabulary_token. */
void at_vocabulary_finish(at_vocabulary *vocabulary);

/* {"token": id, ...} */
at_vocabulary *at_vocabulary_parse(at_context *cx, const cJSON *json, const char *what);

/* The id of the byte token "<0x0A>"; false when the vocabulary lacks it. */
bool at_vocabulary_byte(const at_vocabulary *vocabulary, unsigned char byte, int32_t *id);

/* --- Normalizer. --- */

typedef struct at_normalizer at_normalizer;

bool at_normalizer_parse(at_context *cx, const cJSON *json, const char *what, at_normalizer **out);
void at_normalizer_free(at_normalizer *normalizer);

/* Replaces the text. *at_start is cleared when the first character of the text is taken away. */
void at_normalizer_apply(at_context *cx, const at_normalizer *normalizer, at_text *text,
                         bool *at_start);

/* --- Pre-tokenizer. --- */

typedef struct at_pre_tokenizer at_pre_tokenizer;

bool at_pre_tokenizer_parse(at_context *cx, const cJSON *json, const char *what,
                            at_pre_tokenizer **out);
void at_pre_tokenizer_free(at_pre_tokenizer *pre_tokenizer);
void at_pre_tokenizer_apply(at_context *cx, const at_pre_tokenizer *pre_tokenizer,
                            at_pieces *pieces);

/* --- Models. --- */

typedef struct at_model at_model;
struct at_model {
    at_vocabulary *vocabulary;
    size_t size; /* of the vocabulary, as the reference counts it: where added ids start */
    void (*tokenize)(at_context *cx, const at_model *model, const char *text, size_t size,
                     at_ids *out);
    void (*destroy)(at_model *model); /* frees all but vocabulary */
};

/* The model object of tokenizer.json. */
at_model *at_model_parse(at_context *cx, const cJSON *json, const char *what);
void at_model_free(at_model *model);

typedef struct at_bpe_options {
    const char *unk_token; /* NULL: characters without a token are left out */
    const char *continuing_subword_prefix;
    const char *end_of_word_suffix;
    bool fuse_unk;
    bool byte_fallback;
    bool ignore_merges;
} at_bpe_options;

/* Takes the vocabulary, also on failure. Then merges in their order, the most wanted first. */
at_model *at_bpe_new(at_context *cx, at_vocabulary *vocabulary, const at_bpe_options *options);
bool at_bpe_merge(at_context *cx, at_model *bpe, const char *left, size_t left_size,
                  const char *right, size_t right_size, const char *what);
/* Where there are no merges: every cut of a token, in turn, into two that are there too is one, the
   shortest left part first (transformers' generate_merges). */
bool at_bpe_merge_cuts(at_context *cx, at_model *bpe, const char *token, size_t size,
                       const char *what);
at_model *at_bpe_parse(at_context *cx, const cJSON *json, const char *what);
bool at_bpe_parse_merges(at_context *cx, at_model *bpe, const cJSON *merges, const char *what);

/* Pieces with their scores in the order of their ids, then finish. unk_id -1: none. */
at_model *at_unigram_new(at_context *cx);
bool at_unigram_add(at_context *cx, at_model *unigram, const char *token, size_t size,
                    double score);
bool at_unigram_finish(at_context *cx, at_model *unigram, int64_t unk_id, bool byte_fallback,
                       const char *what);
/* [["piece", score], ...] */
bool at_unigram_parse_vocab(at_context *cx, at_model *unigram, const cJSON *vocab,
                            const char *what);
at_model *at_unigram_parse(at_context *cx, const cJSON *json, const char *what);

/* Take the vocabulary, also on failure. */
at_model *at_wordpiece_new(at_context *cx, at_vocabulary *vocabulary, const char *unk_token,
                           const char *prefix, size_t max_characters);
at_model *at_wordlevel_new(at_context *cx, at_vocabulary *vocabulary, const char *unk_token);
at_model *at_wordpiece_parse(at_context *cx, const cJSON *json, const char *what);
at_model *at_wordlevel_parse(at_context *cx, const cJSON *json, const char *what);

/* --- Added tokens: cut out of the text before anything else happens to it. --- */

typedef struct at_added_token {
    const char *content;
    size_t size;
    bool single_word;
    bool lstrip;
    bool rstrip;
    bool normalized; /* looked for in the normalized text, by its own normalized form */
    bool special;    /* left out when decoding without special tokens */
} at_added_token;

typedef struct at_added_tokens at_added_tokens;

at_added_tokens *at_added_tokens_new(at_context *cx);
void at_added_tokens_free(at_added_tokens *added);

/* Before tokens are added together: the ids of new ones follow all that are there now. */
void at_added_tokens_begin(at_added_tokens *added, const at_model *model);

/* Adds or changes one; its id is the model's for the same content, else the next free one. */
bool at_added_tokens_add(at_context *cx, at_added_tokens *added, const at_added_token *token,
                         const at_model *model, const at_normalizer *normalizer);
bool at_added_tokens_parse(at_context *cx, at_added_tokens *added, const cJSON *json,
                           const at_model *model, const at_normalizer *normalizer,
                           const char *what);

/* Call after the last addition, before the first extraction. split_special: special tokens are
   ordinary text. */
bool at_added_tokens_finish(at_context *cx, at_added_tokens *added, bool split_special);

/* Cuts one text into pieces: text without added tokens, and added tokens. normalized says which of
   the two kinds is looked for; the token of the id passed_over (-1: none) is not. */
void at_added_tokens_extract(at_context *cx, const at_added_tokens *added, bool normalized,
                             int32_t passed_over, const char *text, size_t size, bool at_start,
                             at_pieces *out);

bool at_added_tokens_id(const at_added_tokens *added, const char *token, size_t size, int32_t *id);
/* The token as it goes to the decoder (normalized if that is how it is looked for). */
const char *at_added_tokens_token(const at_added_tokens *added, int32_t id, size_t *size);
bool at_added_tokens_is_special(const at_added_tokens *added, const char *token, size_t size);
/* Puts the contents of all of them into a map. */
void at_added_tokens_contents(at_context *cx, const at_added_tokens *added, at_map *contents);

/* How many of them the model does not have. */
size_t at_added_tokens_beyond(const at_added_tokens *added, const at_model *model);

/* --- Post-processor. --- */

typedef struct at_post_processor at_post_processor;

bool at_post_processor_parse(at_context *cx, const cJSON *json, const char *what,
                             at_post_processor **out);
/* [first] sequence [last]; -1 leaves one out. */
at_post_processor *at_post_processor_around(at_context *cx, int32_t first, int32_t last);
void at_post_processor_free(at_post_processor *post_processor);
size_t at_post_processor_added(const at_post_processor *post_processor);
void at_post_processor_apply(at_context *cx, const at_post_processor *post_processor, at_ids *ids);

/* --- Decoder. --- */

typedef struct at_decoder at_decoder;

bool at_decoder_parse(at_context *cx, const cJSON *json, const char *what, at_decoder **out);
void at_decoder_free(at_decoder *decoder);
/* tokens: one piece a token; out: the text. A NULL decoder joins with spaces. */
void at_decoder_apply(at_context *cx, const at_decoder *decoder, at_pieces *tokens, at_text *out);

/* --- The whole. --- */

struct at_tokenizer {
    at_normalizer *normalizer;
    at_pre_tokenizer *pre_tokenizer;
    at_model *model;
    at_post_processor *post_processor;
    at_decoder *decoder;
    at_added_tokens *added;
    int32_t pad_id, bos_id, eos_id; /* -1: none */
    size_t max_length;
    bool pad_left;
    bool truncate_left;
};

at_tokenizer *at_tokenizer_new(at_context *cx); /* no stages yet */

/* All stages of a tokenizer.json but its added tokens. */
bool at_tokenizer_parse_stages(at_context *cx, at_tokenizer *tokenizer, const cJSON *json,
                               const char *what);

/* The stages that are the same for all tokenizers of a class, from their JSON form in our own
   source; NULL leaves a stage out. */
bool at_tokenizer_set_stages(at_context *cx, at_tokenizer *tokenizer, const char *normalizer,
                             const char *pre_tokenizer, const char *decoder);

/* --- JSON helpers: a missing or wrong field is an error that names it. --- */

const char *at_field_text(at_context *cx, const cJSON *json, const char *key, const char *what);
bool at_field_bool(at_context *cx, const cJSON *json, const char *key, bool fallback,
                   const char *what);
/* A whole number in [0, most]. */
int64_t at_field_count(at_context *cx, const cJSON *json, const char *key, int64_t fallback,
                       int64_t most, const char *what);
const char *at_json_text(const cJSON *item); /* the string, NULL when it is none */
bool at_json_id(const cJSON *item, int32_t *id);

/* Calls one for each step of a stage: the members of nested Sequences in order, or the stage
   itself. list: the member of a Sequence that holds the steps. */
bool at_each_step(at_context *cx, const cJSON *json, const char *list, const char *what,
                  bool (*one)(at_context *cx, void *stage, const cJSON *step, const char *type,
                              const char *what),
                  void *stage);

#endif
