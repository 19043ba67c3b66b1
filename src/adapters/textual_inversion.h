/* Textual inversions (Gal et al. 2022): words that are vectors, learned for a text encoder. Read as
   A1111 writes them (.pt with string_to_param, .safetensors with emb_params), as Diffusers does
   ({token: tensor}), and in pairs for the two encoders of Stable Diffusion XL (clip_l, clip_g). */
#ifndef AT_TEXTUAL_INVERSION_H
#define AT_TEXTUAL_INVERSION_H

#include "formats/weights.h"

enum { AT_TEXTUAL_ENCODERS = 2 };

typedef struct at_textual_inversion {
    at_context *cx;
    char *path;
    char *name;  /* the file's, without its suffix */
    char *token; /* the word that the file itself gives, or NULL */
    at_weights *weights;
    int64_t vectors;
    /* [vectors,D] or [D] of text_encoder and text_encoder_2; a file of one tensor has it in `one`:
       that of the only encoder. */
    const at_weight *pair[AT_TEXTUAL_ENCODERS], *one;
} at_textual_inversion;

/* Opens and checks a file (shapes, values that are not finite). NULL and the error on failure;
   at_textual_inversion_free frees it, before the context. */
at_textual_inversion *at_textual_inversion_open(at_context *cx, const char *path);
void at_textual_inversion_free(at_textual_inversion *t); /* NULL is fine */

/* f32 [vectors,D] for one encoder (0: text_encoder, 1: text_encoder_2) of `width`. only: the model
   has no other encoder. NULL and the error where the file has none, or of another width. */
at_tensor *at_textual_inversion_vectors(const at_textual_inversion *t, int encoder, bool only,
                                        int64_t width);

#endif
