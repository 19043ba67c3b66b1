/* Internal: the lists of names of Stable Diffusion 3's and AuraFlow's layouts, for the table of
   forms. */
#ifndef AT_LAYOUT_MMDIT_H
#define AT_LAYOUT_MMDIT_H

#include "models/layouts/parts.h"

void at_names_sd3(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                  bool own);
void at_names_auraflow(at_context *cx, at_names *names, const at_weights *weights,
                       const char *prefix, bool own);

#endif
