/* What latent-diffusion pipelines do with latents outside their networks. Channels-last here
   [B,h,w,C]; files hold [B,C,h,w]. */
#ifndef AT_LATENTS_H
#define AT_LATENTS_H

#include <atelier/ops.h>

/* The tensor `latents` [B,C,h,w] of a safetensors file as f32 [B,h,w,C]. shape: what it must be,
   channels-last; another shape, type or a number that is not finite is refused. */
at_tensor *at_latents_read(at_context *cx, const char *path, const int64_t shape[4]);

/* latents [B,h,w,C] as the tensor `latents` [B,C,h,w] f32 of a safetensors file. */
bool at_latents_write(at_context *cx, const char *path, at_tensor *latents);

/* Squares of 2 x 2 latents as tokens: [B,h,w,C] -> [B,(h/2)(w/2),4C], features in the order (c, dy,
   dx), and back. h and w even. FluxPipeline._pack_latents, _unpack_latents. */
at_tensor *at_latents_pack(at_context *cx, at_tensor *latents);
at_tensor *at_latents_unpack(at_context *cx, at_tensor *tokens, int64_t height, int64_t width);

#endif
