/* Lists of names, as at_part_form.names. */
#ifndef AT_LAYOUT_FLUX_H
#define AT_LAYOUT_FLUX_H

#include "models/layouts/parts.h"

void at_names_flux(at_context *cx, at_names *names, const at_weights *weights, const char *prefix,
                   bool own);

#endif
