/* The samplers of k-diffusion, and those that ComfyUI added in the same form. */
#ifndef AT_K_DIFFUSION_H
#define AT_K_DIFFUSION_H

#include "schedulers/k_schedules.h"

/* Number i of their classes; NULL past the last. The name is k-diffusion's function; where
   Diffusers has a class that the command line's name means, --sampler's begins with "k_". */
const at_scheduler_class *at_k_sampler(int i);

/* Whether it is one of them. */
bool at_k_is_sampler(const at_scheduler_class *class);

/* The option that holds the name of a schedule of k_schedules.h; not set, the file's own. */
#define AT_SCHEDULE_KEY "_schedule"

#endif
