/* What the parts of `atelier bench kernels` share: work, timed and put on the list with its rate.
 */
#ifndef AT_BENCH_KERNELS_H
#define AT_BENCH_KERNELS_H

#include "cli/bench.h"
#include "cli/bench_peaks.h"
#include "kernels/kernels.h"

typedef struct at_bench {
    at_context *cx;
    const char *only;
    at_peaks peaks;
    cJSON *list;
} at_bench;

/* True when the table in use has arithmetic for it, rather than falling back on a better one. */
bool at_bench_computes(const at_bench *b, at_precision precision);

/* Small values, the same on every run, in any dtype. */
at_tensor *at_bench_values(at_context *cx, at_dtype dtype, int dims, const int64_t *shape);

#define AT_BENCH_VALUES(cx, dtype, ...)                                     \
    at_bench_values(cx, dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), \
                    (int64_t[]){__VA_ARGS__})

/* Median seconds of some runs after one to warm up: as many as fit half a second, 3 to 51. */
double at_bench_median(at_context *cx, void (*kernel)(at_context *cx, const void *args),
                       const void *args);

/* Lists what has run in `precision` and is bound by arithmetic: `operations`, a multiply-add being
   two. */
void at_bench_add(at_bench *b, const char *name, at_precision precision, double operations,
                  double seconds);

/* The same for what is bound by memory, `bytes` read and written: against the peak `gb_s`. */
void at_bench_add_memory(at_bench *b, const char *name, at_precision precision, double bytes,
                         double gb_s, double seconds);

void at_bench_products(at_bench *b); /* matrix products, attention */
void at_bench_convolutions(at_bench *b);
void at_bench_passes(at_bench *b); /* what goes over memory once: norms, activations, residuals */

#endif
