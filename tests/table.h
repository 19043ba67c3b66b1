/* Tests run once for each processor table (ATELIER_CPU); where this machine or build lacks it, they
   are skipped. First line of main: AT_SKIP_WITHOUT_TABLE(); */
#ifndef AT_TEST_TABLE_H
#define AT_TEST_TABLE_H

#include "base/base.h"
#include <stdio.h>

static inline bool table_is_there(void)
{
    at_context *cx = at_context_new(NULL);
    bool there = cx && at_error_status(cx) != AT_ERROR_UNSUPPORTED;
    if (!there) fprintf(stderr, "skipped: %s\n", at_error_text(cx));
    at_context_free(cx);
    return there;
}

#define AT_SKIP_WITHOUT_TABLE() \
    if (!table_is_there()) return 77

#endif
