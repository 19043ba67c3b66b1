/* The source of a voice: harmonics of its pitch and noise, as hn-NSF (Wang et al. 2019) makes them;
   kokoro/istftnet.py, SourceModuleHnNSF. */
#ifndef AT_SINE_SOURCE_H
#define AT_SINE_SOURCE_H

#include "base/random.h"
#include <atelier/ops.h>

enum { AT_SINE_HARMONICS = 9 }; /* the pitch itself and eight above it */

/* pitch [N] in hertz, below 10 where there is no voice -> [N*scale] samples of 24 kHz, between -1
   and 1. weight [1,9], bias [1]: how harmonics are mixed. random: drawn from as torch's
   generator is. */
at_tensor *at_sine_source(at_context *cx, at_tensor *pitch, int scale, at_tensor *weight,
                          at_tensor *bias, at_generator *random);

#endif
