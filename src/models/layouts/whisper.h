/* Internal: the lists of names of Whisper in CTranslate2's files and in OpenAI's (whisper.cpp's are
   the same), and its configuration. */
#ifndef AT_LAYOUT_WHISPER_H
#define AT_LAYOUT_WHISPER_H

#include "models/layouts/parts.h"

void at_names_whisper_ctranslate2(at_context *cx, at_names *names, const at_weights *weights,
                                  const char *prefix, bool own);
void at_names_whisper_openai(at_context *cx, at_names *names, const at_weights *weights,
                             const char *prefix, bool own);

cJSON *at_whisper_config(const at_weights *weights, const at_part_hint *hint);

#endif
