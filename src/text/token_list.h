/* Vocabularies that are a list of tokens in the order of their ids, without the merges that made
   them, as whisper.cpp, tiktoken and CTranslate2 have. */
#ifndef AT_TOKEN_LIST_H
#define AT_TOKEN_LIST_H

#include "base/text.h"
#include "text/tokenizer.h"

/* Tokens in GPT-2's visible form of bytes (byte_level.h). */
typedef struct at_token_list {
    at_text bytes;
    size_t *ends; /* of each in bytes */
    size_t count, capacity;
} at_token_list;

void at_token_list_free(at_token_list *list);
bool at_token_list_add(at_context *cx, at_token_list *list, const char *token, size_t size);
const char *at_token_list_at(const at_token_list *list, size_t i, size_t *size);
int64_t at_token_list_find(const at_token_list *list, const char *token); /* -1: not there */
void at_token_list_cut(at_token_list *list, size_t count);

/* By the file's suffix: .tiktoken (base64 and rank a line), .txt (a token a line), .json (a list).
   False with the error kept: it is none. */
bool at_token_list_read(at_context *cx, at_token_list *list, const char *path);

/* GPT-2's byte-level BPE over the first `plain` tokens, merged as tiktoken does: of all pairs that
   make a token the one whose token comes first. Those behind are special, each of its own id. */
at_tokenizer *at_tokenizer_from_list(at_context *cx, const at_token_list *list, size_t plain,
                                     const char *what);

#endif
