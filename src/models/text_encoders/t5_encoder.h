/* T5EncoderModel (transformers): T5 1.0 (plain feed-forward) and 1.1 (gated); MT5EncoderModel is
   the same with other defaults; in UMT5EncoderModel every layer has a position bias of its own. */
#ifndef AT_T5_ENCODER_H
#define AT_T5_ENCODER_H

#include "models/module.h"

extern const at_module_class at_t5_encoder_class, at_mt5_encoder_class, at_umt5_encoder_class;

/* ids i32 [B,N]; mask bool [B,N] (true: a token, false: padding) or NULL for none -> [B,N,d_model].
 */
at_tensor *at_t5_encode(at_context *cx, const at_module *t5, at_tensor *ids, at_tensor *mask);

#endif
