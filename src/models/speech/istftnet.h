/* The decoder of StyleTTS 2 with iSTFTNet as its vocoder, kokoro/istftnet.py: from what is said,
   its pitch and its loudness to samples. Part of other networks, which bind it under "decoder". */
#ifndef AT_ISTFTNET_H
#define AT_ISTFTNET_H

#include "models/module.h"
#include "models/speech/adain.h"
#include "models/speech/sine_source.h"
#include "models/speech/stft.h"

enum { AT_ISTFTNET_MOST = 8 }; /* stages, and kernel sizes a stage */

typedef struct at_istftnet {
    int64_t hidden, style;    /* of what is said, of the voice */
    int64_t channels, beside; /* 1024 and 64 in every release */
    int stages, kernels;
    int64_t rates[AT_ISTFTNET_MOST], sizes[AT_ISTFTNET_MOST], initial; /* of the upsampling */
    int64_t kernel_sizes[AT_ISTFTNET_MOST], dilations[AT_ISTFTNET_MOST][3];
    at_stft_size stft;

    at_adain_block encode, decode[4];
    at_nn_conv2d pitch_conv, loudness_conv;
    at_nn_linear asr_res, source_linear;
    at_nn_conv2d noise_convs[AT_ISTFTNET_MOST], conv_post;
    at_snake_block noise_res[AT_ISTFTNET_MOST];
    at_snake_block resblocks[AT_ISTFTNET_MOST * AT_ISTFTNET_MOST];
    at_nn_conv_transpose1d ups[AT_ISTFTNET_MOST];
} at_istftnet;

/* config: the reference's "istftnet" */
void at_istftnet_configure(at_context *cx, at_config *config, at_istftnet *m, int64_t hidden,
                           int64_t style);
void at_istftnet_bind(at_binder *b, at_istftnet *m);

/* samples of sound for each value of the pitch */
int at_istftnet_scale(const at_istftnet *m);

/* asr [1,N,hidden]; pitch, loudness [1,2*N,1]; style [1,S] -> what the generator begins with
   [1,2*N,initial] */
at_tensor *at_istftnet_decode(at_context *cx, const at_istftnet *m, at_tensor *asr,
                              at_tensor *pitch, at_tensor *loudness, at_tensor *style);
/* x as at_istftnet_decode gives it -> [2*N*scale] samples */
at_tensor *at_istftnet_generate(at_context *cx, const at_istftnet *m, at_tensor *x,
                                at_tensor *pitch, at_tensor *style, at_generator *random);

#endif
