/* Whisper (Radford et al. 2022): speech as log-mel frames to text tokens. The network is
   transformers' WhisperForConditionalGeneration; how its tokens are chosen is pipelines/. */
#ifndef AT_WHISPER_H
#define AT_WHISPER_H

#include "models/module.h"

typedef struct at_whisper_info {
    int64_t vocabulary, mels, width;
    int64_t frames;    /* of the encoder's output: 1500 for 30 seconds */
    int64_t positions; /* tokens that the decoder takes at the most: 448 */
    int layers, heads; /* of the decoder */
} at_whisper_info;

at_whisper_info at_whisper_info_of(const at_module *module);

/* mel [W,2*frames,mels], one window each -> [W,frames,width] */
at_tensor *at_whisper_encode(at_context *cx, const at_module *module, at_tensor *mel);

/* What the decoder remembers: keys and values of the tokens so far, and those of the windows'
   sound. `beams` sequences stand for each window; row r belongs to window r / beams. */
typedef struct at_whisper_cache at_whisper_cache;

at_whisper_cache *at_whisper_cache_new(at_context *cx, const at_module *module, at_tensor *encoded,
                                       int beams);
void at_whisper_cache_free(at_whisper_cache *cache); /* NULL is fine */
int64_t at_whisper_cache_length(const at_whisper_cache *cache);

/* Row r goes on as row sources[r] was (of the same window), for all rows. */
void at_whisper_cache_reorder(at_whisper_cache *cache, const int *sources);

/* The tokens before `length` are kept, the others forgotten. */
void at_whisper_cache_cut(at_whisper_cache *cache, int64_t length);

/* ids i32 [rows,n], which follow what was decoded before -> logits [rows,vocabulary] of the last
   token; all: [rows,n,vocabulary] of all of them. One row a window, [windows,n], is decoded as the
   first of its rows; the others become that by at_whisper_cache_reorder. */
at_tensor *at_whisper_decode(at_context *cx, const at_module *module, at_whisper_cache *cache,
                             at_tensor *ids, bool all);

/* Where tokens look: ids [1,n] from the beginning of the only window of an empty cache of one beam.
   heads: count pairs (layer, head) -> scores before the softmax [count,n,frames], and the logits of
   all tokens [n,vocabulary] in *logits. */
at_tensor *at_whisper_align(at_context *cx, const at_module *module, at_whisper_cache *cache,
                            at_tensor *ids, const int (*heads)[2], int count, at_tensor **logits);

extern const at_module_class at_whisper_class;

#endif
