/* A Whisper model with what stands around its network: the tokenizer, its special tokens, the heads
   that follow the words. */
#ifndef AT_WHISPER_MODEL_H
#define AT_WHISPER_MODEL_H

#include "models/speech/log_mel.h"
#include "models/speech/whisper.h"
#include "text/tokenizer.h"
#include <atelier/transcribe.h>

enum {
    AT_WHISPER_WINDOW = 3000, /* frames of mel: 30 seconds */
    AT_WHISPER_BEAMS = 64,    /* at the most */
};

struct at_transcriber {
    at_context *cx;
    at_module *network;
    at_whisper_info info;
    at_tokenizer *tokenizer;
    at_log_mel *mel;
    bool is_multilingual;
    int32_t eot, sot, translate, transcribe, sot_lm, sot_prev, no_speech, no_timestamps;
    int32_t timestamp_begin; /* <|0.00|>; they end with the vocabulary */
    int32_t space;           /* a lone space */
    char (*languages)[8];    /* of token sot + 1 + i */
    int language_count;
    at_ids symbols;  /* what openai-whisper calls non_speech_tokens */
    int (*heads)[2]; /* (layer, head) */
    int head_count;
    double load; /* seconds */
};

at_transcriber *at_transcriber_open(at_context *cx, const char *path);

/* -1: the model does not have it. */
int at_transcriber_find_language(const at_transcriber *t, const char *code);

/* " text", without what a prompt would have around it. */
bool at_transcriber_encode(const at_transcriber *t, const char *text, at_ids *ids);

/* The text tokens among ids. The caller frees it. */
char *at_transcriber_decode(const at_transcriber *t, const int32_t *ids, size_t count);

#endif
