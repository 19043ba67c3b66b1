/* Models in the form of Karras et al. 2022 ("EDM": Playground 2.5, CosXL): noise levels from
   sigma_max to sigma_min, the network is shown the sample at variance 1 and a quarter of the
   level's logarithm, and its output is blended with the sample. */
#ifndef AT_EDM_H
#define AT_EDM_H

#include "schedulers/discrete.h"

typedef struct at_edm {
    double low, high; /* sigma_min, sigma_max */
    double data;      /* sigma_data */
    double rho;       /* of the Karras schedule */
    bool exponential; /* sigma_schedule, else Karras' */
    bool ends_at_min; /* final_sigmas_type */
} at_edm;

void at_edm_configure(at_context *cx, at_edm *e, at_discrete *d, at_config *k);
/* Timesteps, sigmas but the last, and init_noise_sigma. */
bool at_edm_levels(at_context *cx, const at_edm *e, at_scheduler *s, const at_schedule_options *o);
at_tensor *at_edm_scale_input(at_context *cx, at_tensor *sample, float sigma, double data);
at_tensor *at_edm_clean(at_context *cx, const at_discrete *d, at_tensor *output, at_tensor *sample,
                        float sigma, double data);

#endif
