#include "base/base.h"
#include "cli/bench.h"

void at_bench_kernels(at_context *cx, const char *only, cJSON *report)
{
    (void)only, (void)report;
    at_fail(cx, AT_ERROR_UNSUPPORTED, "bench kernels: comes with the measured kernels");
}
