/* A tokenizer folder on its way to a tokenizer: its files, and what transformers 5 makes of them.
   Only files of this room include it. */
#ifndef AT_TOKENIZER_FOLDER_H
#define AT_TOKENIZER_FOLDER_H

#include "text/sentencepiece.h"
#include "text/tokenizer_parts.h"

typedef enum at_named {
    AT_BOS,
    AT_EOS,
    AT_UNK,
    AT_SEP,
    AT_PAD,
    AT_CLS,
    AT_MASK,
    AT_NAMED
} at_named;

/* What a class of transformers lays down; the rest comes from the folder. */
typedef struct at_tokenizer_class {
    const char *name;             /* without "Fast" */
    const char *tokens[AT_NAMED]; /* its defaults; NULL: none */
    const char *sentencepiece;    /* its name for such a file; NULL: it reads none */
    bool pad_left;
} at_tokenizer_class;

/* A special token as transformers keeps it. */
typedef struct at_special {
    at_added_token token; /* content NULL: there is none */
    bool plain;           /* given by its text only */
} at_special;

typedef struct at_folder {
    const char *path;
    const at_tokenizer_class *class;
    cJSON *config;    /* tokenizer_config.json; NULL where a file is missing */
    cJSON *map;       /* special_tokens_map.json */
    cJSON *added;     /* added_tokens.json */
    cJSON *tokenizer; /* tokenizer.json */
    char *tokenizer_path;
    char *spm_data; /* the bytes that spm points into */
    char *spm_path;
    at_sentencepiece spm;       /* no pieces: there is none */
    char *spm_tokens[AT_NAMED]; /* what the sentencepiece file calls them, where that counts */
    int64_t extra_ids;          /* T5: tokens <extra_id_0> and so on; 0 for others */
    at_special named[AT_NAMED];
} at_folder;

/* --- special_tokens.c --- */

/* Fills named, once the class and the files are there. */
void at_folder_read_names(at_folder *folder);

/* Adds the added and special tokens of the folder to the tokenizer, in transformers' order. */
bool at_folder_add_tokens(at_context *cx, const at_folder *folder, at_tokenizer *tokenizer);

/* The id of a named token, or of the unknown token when it has none; -1. */
int32_t at_folder_named_id(const at_folder *folder, const at_tokenizer *tokenizer, at_named name);

/* --- legacy.c: models from the folder's files, tokenizer.json before the older ones. --- */

at_model *at_folder_bpe(at_context *cx, const at_folder *folder, const at_bpe_options *options);
at_model *at_folder_unigram(at_context *cx, const at_folder *folder, int64_t unk_id);
at_model *at_folder_wordpiece(at_context *cx, const at_folder *folder, const char *unk_token);

/* The model, normalizer and decoder that a sentencepiece file says by itself. */
bool at_folder_from_spm(at_context *cx, const at_folder *folder, at_tokenizer *tokenizer);

/* A step {"type": "Precompiled", ...} for the charsmap of tokenizer.json or the sentencepiece
   file; NULL: there is none, or an error was kept. at_free frees it. */
char *at_folder_charsmap(at_context *cx, const at_folder *folder);

/* Options of tokenizer_config.json. */
bool at_folder_flag(const at_folder *folder, const char *key, bool fallback);
bool at_folder_has(const at_folder *folder, const char *key); /* there and not null */

#endif
