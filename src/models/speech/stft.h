/* The short-time Fourier transform and back, as torch.stft and torch.istft with a periodic Hann
   window as long as the transform, centred, reflected at the ends. For the small transforms (20
   points) that iSTFTNet (Kaneko et al. 2022) ends in: as products with the sound itself. */
#ifndef AT_STFT_H
#define AT_STFT_H

#include <atelier/ops.h>

typedef struct at_stft_size {
    int points, hop; /* even; at most 4096; at least 1 and at most points */
} at_stft_size;

/* sound [N] with N > points / 2 -> [1,N/hop+1,points+2]: the absolute values, then the angles, of
   points/2+1 bins each */
at_tensor *at_stft(at_context *cx, at_tensor *sound, at_stft_size size);

/* x [1,F,points+2]: logarithms of absolute values, and what the sine of is an angle -> [(F-1)*hop]
 */
at_tensor *at_istft_of_logarithms(at_context *cx, at_tensor *x, at_stft_size size);

#endif
