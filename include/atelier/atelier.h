/* atelier: open generative models in C. This page is all that a program needs that makes pictures:

       #include <atelier/atelier.h>
       #include <stdio.h>

       int main(void)
       {
           at_context *cx = at_context_new(NULL);
           at_pipeline *p = at_pipeline_load(cx, NULL);   // NULL: the embedded default model
           at_image *im = at_generate(p, &(at_generate_options){.prompt = "a red heart", .seed =
   7}); at_image_save(im, "heart.png"); if (at_failed(cx)) fprintf(stderr, "%s\n",
   at_error_text(cx)); at_context_free(cx);                           // frees all of it
       }

   cc heart.c $(pkg-config --cflags --libs atelier)

   Errors stick to the context (context.h): call the whole chain, look once. Everything belongs to
   the context and goes with it. Model authors read tensor.h and ops.h as well. */
#ifndef ATELIER_ATELIER_H
#define ATELIER_ATELIER_H

#include <atelier/image.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct at_pipeline at_pipeline;

/* Opens a model. model: a Diffusers folder, a checkpoint file, or a name that `atelier list` shows;
   NULL is the embedded default. Weights are mapped, so this is quick; the context owns the result.
   NULL on failure: AT_ERROR_FILE, AT_ERROR_FORMAT, AT_ERROR_UNSUPPORTED, AT_ERROR_MEMORY. */
AT_API at_pipeline *at_pipeline_load(at_context *cx, const char *model);

/* A model whose parts come from several files. Each part is a folder (of Diffusers or
   Transformers), a file of weights, alone or inside a whole checkpoint, or the name of one as for
   the model; NULL: that of the model. A tokenizer is a folder. The model may be a lone UNet or
   transformer where the parts make it whole. */
typedef struct at_model_files {
    const char *model;       /* as at_pipeline_load takes it */
    const char *transformer; /* or the UNet */
    const char *vae;
    const char *text_encoder, *text_encoder_2, *text_encoder_3;
    const char *tokenizer, *tokenizer_2, *tokenizer_3;
} at_model_files;

AT_API at_pipeline *at_pipeline_load_files(at_context *cx, const at_model_files *files);

/* Lets a model go before its context. NULL is fine. */
AT_API void at_pipeline_free(at_pipeline *pipeline);

/* How a prompt is read (docs/prompts.md). A1111: (a:1.3), [a], BREAK, <lora:name:0.8>, [a:b:0.4],
   [a|b], AND, chunks of 75 tokens; ComfyUI: (a:1.3), chunks, weights between the empty prompt's
   values and the prompt's. */
typedef enum at_prompt_syntax {
    AT_PROMPT_AUTO,  /* A1111's where prompt or negative cannot but be meant so, else plain */
    AT_PROMPT_PLAIN, /* as Diffusers */
    AT_PROMPT_A1111,
    AT_PROMPT_COMFY,
} at_prompt_syntax;

/* A LoRA file that a call's networks carry, times weight. Files stay open between calls: taking one
   on or off, or another weight, loads nothing again. */
typedef struct at_lora_use {
    const char *path;
    double weight; /* of UNet or transformer */
    bool has_text_weight;
    double text_weight; /* of the text encoders, where it is another */
} at_lora_use;

/* How the pictures look after step `step` of `steps`: `count` of them, from picture `first` on.
   They are gone after the call. Called on the thread that works, before the progress of the step.
 */
typedef void (*at_preview_function)(void *user, int step, int steps, int first, int count,
                                    at_image *const *images);

/* Zeros mean the model's own values, named as the reference pipeline (Diffusers) names them. */
typedef struct at_generate_options {
    const char *prompt;                /* UTF-8; NULL is "" */
    const char *negative;              /* NULL: none, which is not the same as "" */
    const char *prompt_2, *negative_2; /* Stable Diffusion XL: for the second text encoder; NULL or
                                          "": the same */
    int width, height;                 /* pixels; taken as given unless resolution_binning */
    int steps;                         /* num_inference_steps */
    bool has_guidance;                 /* whether guidance counts, since 0 is a value of its own */
    double guidance;      /* guidance_scale of that pipeline (Flux: the embedded guidance) */
    double true_guidance; /* true_cfg_scale: above 1, and with a negative prompt, a second pass */
    uint64_t seed;        /* image i is drawn from seed + i */
    int count;            /* images; 0 is 1 */
    at_rng rng;           /* whose random stream */
    const char *sampler;  /* "euler", "ddim", ...; NULL: the scheduler of the model's folder */
    const char *schedule; /* "karras", "beta", ...; NULL: that of the model's folder */
    int max_sequence_length; /* tokens of the long text encoder */
    bool resolution_binning;
    double guidance_rescale;   /* 0 to 1: how much of the deviation that guidance adds goes */
    const char *system_prompt; /* Lumina 2: before the prompt; NULL: the reference's */
    double cfg_trunc_ratio;    /* Lumina 2: the share of the steps that is guided; 0 is 1 */
    bool no_cfg_normalization; /* Lumina 2: guided results keep their length */
    int clip_skip;             /* layers of CLIP that are left out at the end */
    const char *skip_guidance_layers; /* Stable Diffusion 3: "7,8,9", left out for a third opinion;
                                         NULL: none */
    bool has_skip_layer_guidance; /* whether the three numbers count as they are; else zeros mean
                                     the reference's 2.8, 0.01 and 0.2 (shares of the steps) */
    double skip_layer_guidance_scale, skip_layer_guidance_start, skip_layer_guidance_stop;
    at_prompt_syntax prompt_syntax;
    const char *lora_folder;  /* where <lora:name:0.8> finds name.safetensors; NULL: "loras" in the
                                 model's folder */
    const at_lora_use *loras; /* lora_count of them, applied in their order */
    int lora_count;
    const char *const *embeddings; /* files of textual inversions, embedding_count of them: each is
                                      a word of the prompts, called as its file or as it says */
    int embedding_count;
    int original_steps; /* latent consistency models: original_inference_steps */
    double eta;         /* DDIM: how much noise is drawn anew, 0 to 1 */
    const char *init;   /* image to image: the picture to start from; NULL: none */
    const char *mask;   /* inpainting: white is repainted; needs init */
    double strength;    /* 0 to 1: how much of init is made anew; 0 is the reference's default */
    double denoising_start, denoising_end; /* Stable Diffusion XL: from and up to this share of the
                                              noise; the first needs latents or init */
    /* Stable Diffusion XL: width and height, left and top; zeros mean the picture's own size. The
       negative sizes count where both are given (with init, each on its own). */
    int original_size[2], crop[2], target_size[2];
    int negative_original_size[2], negative_crop[2], negative_target_size[2];
    double aesthetic_score, negative_aesthetic_score; /* the refiner's; 0 is 6 and 2.5 */
    /* A second pass at a larger size (A1111's hires fix): at hires_scale times the size, or at
       hires_size (width, height), both rounded down to what the model takes; zeros: none. The
       upscaler is "latent", "latent-antialiased", "latent-bicubic", "latent-bicubic-antialiased",
       "latent-nearest", "latent-nearest-exact" (NULL: the first), or, over the decoded picture,
       "lanczos" or "nearest". Then image to image with a strength (0: 0.7) of hires_steps (0:
       steps), with noise from the same seeds. Not with init. */
    double hires_scale, hires_strength;
    int hires_size[2], hires_steps;
    const char *hires_upscaler;
    /* Stable Diffusion XL: another model goes on from this share of the noise (0: 0.8), as with
       denoising_end here and denoising_start there. Of the same context. */
    at_pipeline *refiner;
    double refiner_switch;
    /* Called after each so many steps and the last. NULL: never. An autoencoder that decodes the
       previews (AutoencoderTiny; a folder or file); NULL: linear factors, so that previews are as
       small as the latents; the model's own where there are none for its latents. */
    at_preview_function preview;
    void *preview_user;
    int preview_steps; /* 0: 1, or 10 where an autoencoder decodes, which takes its time */
    const char *preview_vae;
    const char *latents;      /* safetensors file: `latents` [B,C,h,w] f32 in place of the seed */
    const char *save_latents; /* writes the final latents there, the same form */
} at_generate_options;

/* Seconds. */
typedef struct at_timings {
    double load;   /* reading and unpacking weights, since the pipeline was opened */
    double encode; /* prompts */
    double step;   /* one denoising step of all pictures, the mean over those taken */
    double decode; /* latents to pictures, all of them */
    double total;  /* of the call */
} at_timings;

/* What a call has made, owned by the context. */
typedef struct at_generation {
    int count;
    at_image **images;          /* count of them, in the order of their seeds */
    at_generate_options used;   /* as given, with the model's own values filled in */
    const char *pipeline;       /* the reference's class, "FluxPipeline" */
    const bool *embedding_used; /* of used.embeddings: whether a prompt has it */
    at_timings timings;
} at_generation;

/* Words to pictures. NULL on failure, with the error on the pipeline's context: AT_ERROR_ARGUMENT
   for a size, count or number that this model cannot take, AT_ERROR_UNSUPPORTED,
   AT_ERROR_CANCELLED, AT_ERROR_MEMORY, and what reading its files may give. */
AT_API at_generation *at_generate_many(at_pipeline *pipeline, const at_generate_options *options);
AT_API void at_generation_free(at_generation *generation); /* and its images; NULL is fine */

/* The same for one picture: the first of at_generate_many. The context owns it. */
AT_API at_image *at_generate(at_pipeline *pipeline, const at_generate_options *options);

#ifdef __cplusplus
}
#endif
#endif
