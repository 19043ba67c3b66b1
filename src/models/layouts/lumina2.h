/* Internal: the lists of names of Lumina-Image 2.0's and Gemma's layouts, for the table of forms.
 */
#ifndef AT_LAYOUT_LUMINA2_H
#define AT_LAYOUT_LUMINA2_H

#include "models/layouts/parts.h"

void at_names_lumina2(at_context *cx, at_names *names, const at_weights *weights,
                      const char *prefix, bool own);
void at_names_gemma2(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                     bool own);
void at_names_gemma2_llama(at_context *cx, at_names *names, const at_weights *weights,
                           const char *prefix, bool own);

#endif
