/* AutoencoderTiny in TAESD's own files, taesd_encoder and taesd_decoder: numbers for names. */
#ifndef AT_LAYOUT_AUTOENCODER_TINY_H
#define AT_LAYOUT_AUTOENCODER_TINY_H

#include "models/layouts/parts.h"

void at_names_tiny_encoder(at_context *cx, at_names *names, const at_weights *weights,
                           const char *prefix, bool own);
void at_names_tiny_decoder(at_context *cx, at_names *names, const at_weights *weights,
                           const char *prefix, bool own);

/* A half that the file lacks has no blocks. */
cJSON *at_tiny_config(const at_weights *weights, const at_part_hint *hint);

#endif
