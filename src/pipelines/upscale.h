/* Between the two passes of a picture: its latents, or the picture, at a larger size. */
#ifndef AT_UPSCALE_H
#define AT_UPSCALE_H

#include <atelier/image.h>
#include <atelier/ops.h>

typedef struct at_upscaler at_upscaler;

/* NULL: "latent". NULL and the error for a name that is none. */
const at_upscaler *at_upscaler_of(at_context *cx, const char *name);
bool at_upscales_latents(const at_upscaler *upscaler);

/* torch.nn.functional.interpolate of [B,h,w,C] with align_corners=False, as A1111 has it. */
at_tensor *at_upscale_latents(at_context *cx, const at_upscaler *upscaler, at_tensor *latents,
                              int64_t height, int64_t width);
/* PIL's LANCZOS or NEAREST. */
at_image *at_upscale_image(const at_upscaler *upscaler, const at_image *image, int width,
                           int height);

#endif
