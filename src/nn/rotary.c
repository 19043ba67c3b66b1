#include "nn/nn.h"
#include <math.h>

at_tensor *at_rotary_table(at_context *cx, int64_t n, int axes, const int64_t *sizes,
                           const float *positions, double theta)
{
    int64_t pairs = 0;
    for (int a = 0; a < axes; a++) pairs += sizes[a] / 2;
    at_tensor *table = at_new(cx, AT_F32, n, pairs, 2);
    if (!table) return NULL;
    float *out = table->data;
    for (int64_t i = 0; i < n; i++) {
        for (int a = 0; a < axes; a++) {
            for (int64_t k = 0; k < sizes[a] / 2; k++) {
                double angle =
                    positions[i * axes + a] / pow(theta, (double)(2 * k) / (double)sizes[a]);
                *out++ = (float)cos(angle);
                *out++ = (float)sin(angle);
            }
        }
    }
    return table;
}
