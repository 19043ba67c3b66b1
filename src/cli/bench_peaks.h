/* What this machine can do at most, measured. */
#ifndef AT_BENCH_PEAKS_H
#define AT_BENCH_PEAKS_H

#include "base/base.h"

/* All threads together: 1e9 operations a second with a multiply-add counted as two, in registers,
   with the instructions of the table in use (0: it has none for that type); GB/s of memory read,
   and GB/s of memory read and written while it is copied. */
typedef struct at_peaks {
    double f32, bf16, int8, read, copy;
} at_peaks;

at_peaks at_measure_peaks(at_context *cx);

void at_cpu_name(char *name, size_t size); /* as the system says it */

#endif
