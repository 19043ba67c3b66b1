/* What `atelier bench` measures. */
#ifndef AT_CLI_BENCH_H
#define AT_CLI_BENCH_H

#include "base/json.h"

/* Measure what matches and fill in the report: at_bench_kernels "cpu", "table", "threads", "peaks"
   and "kernels", at_bench_models "models", at_bench_quality "quality". Errors go to the context. */
void at_bench_kernels(at_context *cx, const char *only, cJSON *report);

void at_bench_models(at_context *cx, const char *only, cJSON *report);
void at_bench_quality(at_context *cx, const char *only, cJSON *report);

/* True when `name` is wanted: only is NULL, a part of the name, or a pattern with * and ?. */
bool at_bench_wanted(const char *name, const char *only);

#endif
