#include "files.h"
#include "formats/audio.h"
#include "formats/sound_writer.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 24000 };
static float tone[COUNT];

static void write_tone(at_context *cx, const char *path)
{
    at_sound_writer *w = at_sound_writer_open(cx, path, 24000);
    for (int at = 0; at < COUNT; at += 5000)
        at_sound_writer_write(cx, w, tone + at, AT_MIN(5000, COUNT - at));
    at_sound_writer_commit(cx, w);
}

static void test_wav(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = in_folder("tone.wav");
    write_tone(cx, path);
    assert_false(at_failed(cx));
    size_t size;
    uint8_t *data = (uint8_t *)at_file_read(cx, path, 1 << 20, &size);
    assert_int_equal(size, 44 + 2 * COUNT);
    assert_memory_equal(data, "RIFF", 4);
    assert_int_equal(data[4] | data[5] << 8 | data[6] << 16, 36 + 2 * COUNT);
    assert_int_equal(data[24] | data[25] << 8, 24000);
    assert_int_equal(data[40] | data[41] << 8 | data[42] << 16, 2 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        int16_t sample = (int16_t)(data[44 + 2 * i] | data[45 + 2 * i] << 8);
        float cut = tone[i] > 1 ? 1 : tone[i] < -1 ? -1 : tone[i];
        assert_true(fabsf(sample / 32767.0f - cut) <= 0.51f / 32767);
    }
    at_free(data);
    at_context_free(cx);
}

/* What the library makes can be heard by another one. */
static void test_encoded(void **state)
{
    (void)state;
    static const char *const names[] = {"tone.flac", "tone.opus", "tone.mp3"};
    static float heard[2 * COUNT];
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        at_context *cx = at_context_new(NULL);
        const char *path = in_folder(names[i]);
        write_tone(cx, path);
        if (at_error_status(cx) == AT_ERROR_UNSUPPORTED) { /* a build without the library */
            assert_int_not_equal(access(path, F_OK), 0);
            at_context_free(cx);
            continue;
        }
        assert_false(at_failed(cx));
        at_audio *audio = at_audio_open(cx, path, 24000, 1);
        if (audio) {
            int64_t n = at_audio_read(cx, audio, heard, 2 * COUNT);
            double energy = 0;
            for (int64_t j = 4000; j < 20000; j++) energy += heard[j] * heard[j];
            assert_true(n > COUNT - 3000 && n < COUNT + 5000);
            assert_true(energy / 16000 > 0.05 && energy / 16000 < 0.3);
            at_audio_close(audio);
        }
        at_context_free(cx);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    assert_null(at_sound_writer_open(cx, in_folder("tone.txt"), 24000));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_error_clear(cx);
    assert_null(at_sound_writer_open(cx, in_folder("none/tone.wav"), 24000));
    assert_int_equal(at_error_status(cx), AT_ERROR_FILE);
    at_error_clear(cx);
    at_sound_writer *w = at_sound_writer_open(cx, in_folder("half.wav"), 24000);
    assert_true(at_sound_writer_write(cx, w, tone, 100));
    at_sound_writer_abandon(w);
    assert_int_not_equal(access(in_folder("half.wav"), F_OK), 0);
    at_context_free(cx);
}

static int start(void **state)
{
    for (int i = 0; i < COUNT; i++) tone[i] = 0.5f * sinf(0.1f * (float)i);
    tone[7] = 1.5f, tone[8] = -3;
    return make_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wav),
        cmocka_unit_test(test_encoded),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, start, remove_folder);
}
