/* Sound files: WAV made here, of every odd kind; what FFmpeg reads beyond that is its own. */
#include "base/file.h"
#include "formats/audio.h"
#include "formats/sound_writer.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include "files.h"
#include <cmocka.h>

enum { RATE = 16000, MOST = 8 * RATE };

static uint8_t bytes[44 + 4 * MOST];

static void number(size_t at, uint32_t value, int size)
{
    for (int i = 0; i < size; i++) bytes[at + (size_t)i] = (uint8_t)(value >> (8 * i));
}

/* The header of `frames` of so many channels; is_float: f32, else 16 bits. Gives the file's size.
 */
static size_t header(int rate, int channels, int frames, bool is_float)
{
    int each = is_float ? 4 : 2, size = frames * channels * each;
    memcpy(bytes, "RIFF....WAVEfmt ", 16);
    number(4, (uint32_t)(36 + size), 4);
    number(16, 16, 4);
    number(20, is_float ? 3 : 1, 2);
    number(22, (uint32_t)channels, 2);
    number(24, (uint32_t)rate, 4);
    number(28, (uint32_t)(rate * channels * each), 4);
    number(32, (uint32_t)(channels * each), 2);
    number(34, (uint32_t)(8 * each), 2);
    memcpy(bytes + 36, "data", 4);
    number(40, (uint32_t)size, 4);
    return 44 + (size_t)size;
}

static void put(const char *name, size_t size)
{
    at_context *cx = at_context_new(NULL);
    assert_true(at_file_write(cx, in_folder(name), bytes, size));
    at_context_free(cx);
}

/* All samples, read in odd pieces; -1: refused with `word` in the message. */
static int64_t read_all(const char *name, int rate, float *out, int64_t most, const char *word)
{
    at_context *cx = at_context_new(NULL);
    at_audio *a = at_audio_open(cx, in_folder(name), rate, 1);
    int64_t total = 0, n = a ? 1 : -1;
    while (n > 0 && total < most) {
        n = at_audio_read(cx, a, out + total, AT_MIN(most - total, 777));
        if (n > 0) total += n;
    }
    if (n >= 0 && at_failed(cx)) fail_msg("%s: %s", name, at_error_text(cx));
    if (n < 0 && (!word || !strstr(at_error_text(cx), word)))
        fail_msg("%s: no \"%s\" in: %s", name, word ? word : "", at_error_text(cx));
    at_audio_close(a);
    at_context_free(cx);
    return n < 0 ? -1 : total;
}

static bool built_without(void)
{
    at_context *cx = at_context_new(NULL);
    at_audio_close(at_audio_open(cx, "none", RATE, 1));
    bool without = at_error_status(cx) == AT_ERROR_UNSUPPORTED;
    at_context_free(cx);
    return without;
}

static void test_samples(void **state)
{
    (void)state;
    static float out[MOST];
    size_t size = header(RATE, 1, 1000, false);
    for (int i = 0; i < 1000; i++) number(44 + 2 * (size_t)i, (uint32_t)(i * 31 - 15000), 2);
    put("whole.mp3", size); /* the suffix is not asked */
    assert_int_equal(read_all("whole.mp3", RATE, out, MOST, NULL), 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(out[i] == (float)(int16_t)(i * 31 - 15000) / 32768.0f);
    put("cut.wav", size - 501); /* what is there is heard */
    assert_int_equal(read_all("cut.wav", RATE, out, MOST, NULL), 749);
    header(RATE, 1, 1, false);
    put("one.wav", 46);
    assert_int_equal(read_all("one.wav", RATE, out, MOST, NULL), 1);
}

/* Eight channels of 44.1 kHz to one of 16 kHz: a tone keeps its pitch. */
static void test_resampled(void **state)
{
    (void)state;
    static float out[MOST];
    enum { FRAMES = 11025, FROM = 44100, HERTZ = 500 };
    size_t size = header(FROM, 8, FRAMES, false);
    for (int i = 0; i < 8 * FRAMES; i++) {
        double turn = 6.283185307179586 * HERTZ * (i / 8) / FROM;
        number(44 + 2 * (size_t)i, (uint32_t)(int32_t)(8000 * sin(turn)), 2);
    }
    assert_true(size <= sizeof bytes);
    put("eight.wav", size);
    int64_t n = read_all("eight.wav", RATE, out, MOST, NULL);
    assert_true(llabs(n - FRAMES * RATE / FROM) < 64);
    int crossings = 0;
    for (int64_t i = 1; i < n; i++) crossings += (out[i - 1] < 0) != (out[i] < 0);
    assert_true(abs(crossings - 2 * HERTZ / 4) <= 3);
}

/* Twelve channels, which stand nowhere: their mean. */
static void test_many_channels(void **state)
{
    (void)state;
    static float out[MOST];
    size_t size = header(RATE, 12, 100, false);
    for (int i = 0; i < 1200; i++) number(44 + 2 * (size_t)i, (uint32_t)(i % 12 * 1000), 2);
    put("twelve.wav", size);
    assert_int_equal(read_all("twelve.wav", RATE, out, MOST, NULL), 100);
    for (int i = 0; i < 100; i++) assert_true(fabsf(out[i] - 5500.0f / 32768) < 1e-4f);
    put("many.wav", header(RATE, 65, 100, false));
    assert_int_equal(read_all("many.wav", RATE, out, MOST, "65 channels"), -1);
}

static void test_not_a_number(void **state)
{
    (void)state;
    static float out[MOST];
    float values[5] = {0.25f, NAN, INFINITY, -0.5f, 3e38f}; /* the last: its square is none */
    size_t size = header(RATE, 1, 5, true);
    memcpy(bytes + 44, values, sizeof values);
    put("nan.wav", size);
    assert_int_equal(read_all("nan.wav", RATE, out, MOST, NULL), 5);
    assert_true(out[0] == 0.25f && out[1] == 0 && out[2] == 0 && out[3] == -0.5f && out[4] == 0);
}

static char said[300];

static void hear(void *user, at_log_level level, const char *message)
{
    (void)user;
    if (level == AT_LOG_WARNING) snprintf(said, sizeof said, "%s", message);
}

/* What is warned of when all of a file was read. */
static const char *report_of(const char *name)
{
    static float out[MOST];
    said[0] = 0;
    at_context *cx = at_context_new(&(at_context_options){.log = hear});
    at_audio *a = at_audio_open(cx, in_folder(name), RATE, 1);
    assert_true(at_audio_read(cx, a, out, MOST) > 0);
    while (at_audio_read(cx, a, out, MOST) > 0) {}
    at_audio_report(cx, a);
    at_audio_close(a);
    at_context_free(cx);
    return said;
}

static void test_report(void **state)
{
    (void)state;
    const float values[4] = {0.25f, NAN, INFINITY, -0.5f};
    size_t size = header(RATE, 1, 4, true);
    memcpy(bytes + 44, values, sizeof values);
    put("nan.wav", size);
    assert_non_null(strstr(report_of("nan.wav"), "nan.wav: damaged, 2 samples are not numbers"));
    memset(bytes, 0, sizeof bytes);
    size = header(RATE, 1, 5 * RATE, false);
    put("whole.wav", size);
    assert_string_equal(report_of("whole.wav"), "");
    put("cut.wav", size / 2 + 1); /* within a sample */
    assert_non_null(strstr(report_of("cut.wav"), "cut.wav: damaged"));
}

static int64_t number_of_samples(const char *name)
{
    static float out[12 * RATE];
    return read_all(name, RATE, out, AT_COUNT(out), NULL);
}

/* Ogg, whose pages have checksums and times: what is lost is silence, and the rest keeps its place;
   that the end is gone is seen by the last page. */
static void test_ogg(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    size_t size = 0;
    char *ogg = at_file_read(cx, AT_FIXTURES "/audio/jfk.opus", 1 << 20, &size);
    assert_non_null(ogg);
    assert_true(at_file_write(cx, in_folder("whole.opus"), ogg, size));
    assert_true(at_file_write(cx, in_folder("half.opus"), ogg, size / 2));
    ogg[size / 2] ^= 4;
    assert_true(at_file_write(cx, in_folder("flipped.opus"), ogg, size));
    at_free(ogg);
    at_context_free(cx);
    int64_t whole = number_of_samples("whole.opus");
    assert_string_equal(report_of("whole.opus"), "");
    assert_int_equal(number_of_samples("flipped.opus"), whole);
    assert_non_null(strstr(report_of("flipped.opus"), "s are missing (silence in their place)"));
    int64_t half = number_of_samples("half.opus");
    assert_true(half > whole / 4 && half < whole * 3 / 4);
    assert_non_null(strstr(report_of("half.opus"), "half.opus: damaged, cut off after "));
}

/* A packet whose checksum is wrong is not heard as noise. */
static void test_flac(void **state)
{
    (void)state;
    static float tone[8 * RATE];
    for (int i = 0; i < 4 * RATE; i++) tone[i] = (float)sin(i * 0.3);
    at_context *cx = at_context_new(NULL);
    at_sound_writer *w = at_sound_writer_open(cx, in_folder("tone.flac"), RATE);
    if (at_error_status(cx) == AT_ERROR_UNSUPPORTED) {
        at_context_free(cx);
        skip();
    }
    assert_true(at_sound_writer_write(cx, w, tone, 4 * RATE) && at_sound_writer_commit(cx, w));
    size_t size = 0;
    char *flac = at_file_read(cx, in_folder("tone.flac"), 1 << 20, &size);
    assert_string_equal(report_of("tone.flac"), "");
    flac[size / 2] ^= 1;
    assert_true(at_file_write(cx, in_folder("tone.flac"), flac, size));
    at_free(flac);
    at_context_free(cx);
    assert_int_equal(read_all("tone.flac", RATE, tone, AT_COUNT(tone), NULL), 4 * RATE);
    int silent = 0;
    for (int i = 1; i < 4 * RATE; i++) {
        silent += tone[i] == 0;
        if (tone[i] != 0) assert_true(fabs(tone[i] - sin(i * 0.3)) < 1e-3);
    }
    assert_in_range(silent, RATE / 10, RATE);
    assert_non_null(strstr(report_of("tone.flac"), "packets cannot be decoded"));
}

static void test_refuses(void **state)
{
    (void)state;
    static float out[4];
    put("empty.wav", 0);
    assert_int_equal(read_all("empty.wav", RATE, out, 4, "empty.wav"), -1);
    memset(bytes, 'x', 3000);
    put("text.wav", 3000);
    assert_int_equal(read_all("text.wav", RATE, out, 4, "text.wav"), -1);
    assert_int_equal(read_all("none.wav", RATE, out, 4, "cannot be opened"), -1);
    assert_int_equal(read_all(".", RATE, out, 4, "is a folder"), -1);
    put("slow.wav", header(1, 1, 100, false)); /* 100 seconds of no sound */
    assert_int_equal(read_all("slow.wav", RATE, out, 4, "1 Hz are no sound"), -1);
    put("silent.wav", header(RATE, 1, 0, false));
    assert_int_equal(read_all("silent.wav", RATE, out, 4, "silent.wav"), -1);
    /* a play list names other files: they are not opened */
    put("real.wav", header(RATE, 1, 100, false));
    at_context *cx = at_context_new(NULL);
    static const char list[] = "ffconcat version 1.0\nfile real.wav\n";
    assert_true(at_file_write(cx, in_folder("list.wav"), list, sizeof list - 1));
    at_context_free(cx);
    assert_int_equal(read_all("list.wav", RATE, out, 4, "list.wav"), -1);
}

int main(void)
{
    if (built_without()) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),      cmocka_unit_test(test_resampled),
        cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_report),
        cmocka_unit_test(test_refuses),      cmocka_unit_test(test_many_channels),
        cmocka_unit_test(test_ogg),          cmocka_unit_test(test_flac),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
