#include "models/speech/log_mel.h"
#include "parity.h"

enum { SECOND = AT_MEL_RATE, FRAMES = 200, HALF = AT_MEL_WINDOW / 2 };

static void matches(int bands)
{
    at_context *cx = f32_context();
    at_weights *io = at_weights_open(cx, AT_FIXTURES "/audio/log_mel.safetensors");
    const float *sound = fixture(cx, io, "input.samples")->data;
    /* as the extractor pads: mirrored at the beginning, silence up to its length */
    float *padded = calloc(2 * SECOND + AT_MEL_WINDOW, sizeof *padded);
    for (int i = 0; i < SECOND; i++) padded[HALF + i] = sound[i];
    for (int i = 1; i <= HALF; i++) padded[HALF - i] = sound[i];
    at_tensor *ours = at_new(cx, AT_F32, FRAMES, bands);
    at_log_mel *mel = at_log_mel_new(cx, bands);
    assert_true(at_log_mel_frames(cx, mel, padded, FRAMES, ours->data));
    float *values = ours->data, loudest = -10;
    for (int i = 0; i < FRAMES * bands; i++) loudest = fmaxf(loudest, values[i]);
    at_log_mel_scale(values, FRAMES * bands, loudest);
    char name[32];
    snprintf(name, sizeof name, "output.%d", bands);
    assert_parity(cx, at_transpose(cx, ours, 1, 0), fixture(cx, io, name), 1e-4);
    free(padded);
    at_log_mel_free(mel);
    at_weights_free(io);
    at_context_free(cx);
}

static void test_bands(void **state)
{
    (void)state;
    matches(80);
    matches(128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
