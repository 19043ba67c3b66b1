/* atelier inspect --plan: the memory of a model by component, from its configurations alone. */
#ifndef CLI_INSPECT_PLAN_H
#define CLI_INSPECT_PLAN_H

#include "cli/session.h"

/* model: as at_model_find takes it, or the name of a published configuration. Folders need no
   weights. */
void cli_inspect_plan(cli_session *s, const char *model);

#endif
