/* The tokenizer of a Whisper model, which not every form of its files has inside. */
#ifndef AT_WHISPER_VOCABULARY_H
#define AT_WHISPER_VOCABULARY_H

#include "formats/weights.h"
#include "text/tokenizer.h"

/* In this order: tokenizer.json or vocab.json of the folder `path`; the "vocabulary" of the weights
   (whisper.cpp's; weights may be NULL); a list of tokens or a tokenizer beside the file, or in any
   other model that has a name: OpenAI's checkpoints have none, and all of Whisper's share two. The
   special tokens follow from the size of the vocabulary where the list does not have them. */
at_tokenizer *at_whisper_tokenizer(at_context *cx, const char *path, const at_weights *weights,
                                   int64_t vocabulary);

#endif
