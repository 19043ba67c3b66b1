/* The memory that a network's weights will take, before there are any. */
#ifndef AT_PLAN_H
#define AT_PLAN_H

#include "models/module.h"

/* Bytes of a module's weights in `dtype`: as at_module_load holds them, so f32 for biases and
   norms; of a block type matrices and tables whose rows are whole blocks, and f16 what cannot be.
 */
int64_t at_module_planned_bytes(at_module *module, at_dtype dtype);

#endif
