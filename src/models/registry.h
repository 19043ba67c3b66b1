/* Every network that atelier knows: one line here, one file for the network, one fixture. */
#ifndef AT_REGISTRY_H
#define AT_REGISTRY_H

#include "models/module.h"

extern const at_module_class *const at_module_classes[]; /* ends with NULL */

#endif
