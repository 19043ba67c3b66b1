/* Lists of names, as at_part_form.names. */
#ifndef AT_LAYOUT_STABLE_DIFFUSION_H
#define AT_LAYOUT_STABLE_DIFFUSION_H

#include "models/layouts/parts.h"

void at_names_unet(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                   bool own);
void at_names_vae(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                  bool own);
void at_names_open_clip(at_context *cx, at_names *names, const at_weights *weights,
                        const char *prefix, bool own);

#endif
