/* What --sampler and --schedule mean. */
#ifndef AT_SCHEDULER_NAMES_H
#define AT_SCHEDULER_NAMES_H

#include "schedulers/scheduler.h"

/* The class that a scheduler is made of, of its options (an object, or it is refused), which get
   what the names mean put in their place. path, sampler, schedule: as at_scheduler_load has them.
   NULL after a failure. */
const at_scheduler_class *at_scheduler_named(at_context *cx, cJSON *options, const char *path,
                                             const char *sampler, const char *schedule);

#endif
