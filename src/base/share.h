/* Where atelier's own models and tokenizers are installed. */
#ifndef AT_SHARE_H
#define AT_SHARE_H

#include "base/base.h"

enum { AT_SHARE_FOLDERS = 15 };

/* Every folder that may hold models: share/atelier/models and models beside and above the program
   and the library (installed, and in the build tree), the share folder that the build was
   configured for, ${ATELIER_HOME:-~/.cache/atelier}/models, and that without models. Gives their
   number; the caller frees each. */
int at_share_folders(at_context *cx, char **folders);

/* The first folder of this name in one of them; the caller frees it. */
char *at_share_find(at_context *cx, const char *name);

#endif
