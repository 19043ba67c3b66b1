/* The short-time Fourier transform and back, as torch.stft and torch.istft with a periodic Hann
   window as long as the transform, centred, reflected at the ends. For the small transforms (20
   points) that iSTFTNet (Kaneko et al. 2022) ends in: as products with the sound itself. */
#ifndef AT_STFT_H
#define AT_STFT_H

#include <atelier/ops.h>

typedef struct at_stft_size {
    int points, hop; /* even; at most 4096; at least 1 and at most points */
} at_stft_size;

/* Both are products with the window times waves, whose rows [points+2][points] these are: cosines
   of points/2+1 bins, then their sines with the sign of exp(-i x), exactly 0 for the first and
   last. */
void at_stft_waves(float *out, int points);

/* y [frames][rows]: pieces of x that begin `step` apart times w [rows][size], in f32 whatever
   precision is asked for. */
void at_stft_multiply(at_context *cx, float *y, int64_t frames, const float *x, int64_t step,
                      const float *w, int64_t rows, int64_t size);

/* sound [N] with N > points / 2 -> [1,N/hop+1,points+2]: the absolute values, then the angles, of
   points/2+1 bins each */
at_tensor *at_stft(at_context *cx, at_tensor *sound, at_stft_size size);

/* x [1,F,points+2]: logarithms of absolute values, and what the sine of is an angle -> [(F-1)*hop]
 */
at_tensor *at_istft_of_logarithms(at_context *cx, at_tensor *x, at_stft_size size);

#endif
