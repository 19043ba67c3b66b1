/* The layouts of HunyuanDiT's networks as Tencent publishes them. */
#ifndef AT_LAYOUT_HUNYUAN_H
#define AT_LAYOUT_HUNYUAN_H

#include "models/layouts/names.h"

/* Diffusers' scripts/convert_hunyuandit_to_diffusers.py. */
void at_names_hunyuan(at_context *cx, at_names *names, const at_weights *weights,
                      const char *prefix, bool own);
/* BERT under a name of its own, as files with heads and ComfyUI have it. */
void at_names_bert(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                   bool own);

#endif
