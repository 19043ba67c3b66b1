/* Speaking with the tiny model of the fixtures: voices, chunks, what is refused. */
#include "files.h"
#include "parity.h"
#include "pipelines/kokoro/speaker.h"
#include <unistd.h>

static char warning[512];
enum { WIDTH = 12, ROWS = 22 };
#define VOICES AT_FIXTURES "/audio/voices"

static void keep_warning(void *user, at_log_level level, const char *text)
{
    (void)user;
    if (level == AT_LOG_WARNING) snprintf(warning, sizeof warning, "%s", text);
}

static at_speaker *open_speaker(at_context **cx)
{
    *cx = at_context_new(
        &(at_context_options){.precision = AT_PRECISION_F32, .threads = 2, .log = keep_warning});
    if (at_failed(*cx)) exit(77);
    warning[0] = 0;
    at_speaker *s = at_speaker_open(*cx, folder);
    assert_fine(*cx);
    return s;
}

typedef struct heard {
    int64_t samples;
    int chunks, most; /* most: where to stop */
    double ends;
    char phonemes[512];
} heard;

static bool hear(void *user, const at_speech_chunk *c)
{
    heard *h = user;
    h->samples += c->count;
    h->chunks++;
    assert_true(fabs(c->start - h->ends) < 1e-9);
    h->ends = c->start + (double)c->count / 24000;
    for (int64_t i = 0; i < c->count; i++) assert_true(isfinite(c->samples[i]));
    if (strlen(h->phonemes) + strlen(c->phonemes) + 2 < sizeof h->phonemes)
        sprintf(h->phonemes + strlen(h->phonemes), "%s|", c->phonemes);
    return !h->most || h->chunks < h->most;
}

static heard said(at_speaker *s, const char *text, const char *voice, double speed, int most)
{
    heard h = {.most = most};
    at_speech info;
    at_speak_options o = {
        .text = text, .voice = voice, .speed = speed, .phonemes = true, .chunk = hear, .user = &h};
    assert_true(at_speak(s, &o, &info));
    assert_int_equal(info.chunks, h.chunks);
    assert_true(fabs(info.duration - h.ends) < 1e-9);
    assert_true(info.first <= info.total);
    return h;
}

static void test_chunks(void **state)
{
    (void)state;
    at_context *cx;
    at_speaker *s = open_speaker(&cx);
    assert_string_equal(said(s, "nao ma.", "one", 1, 0).phonemes, "nao ma.|");
    /* the model takes 24 tokens, two of them around */
    heard h = said(s, "tapa tipo tupe mano sapa nani moto.\nna.", "one", 1, 0);
    assert_string_equal(h.phonemes, "tapa tipo tupe mano|sapa nani moto.|na.|");
    assert_int_equal(said(s, "na.\npa.\nta.", "one", 1, 2).chunks, 2);
    assert_true(said(s, "tapa tipo.", "one", 0.5, 0).samples >
                said(s, "tapa tipo.", "one", 2, 0).samples);
    at_context_free(cx);
}

/* Where a sentence is cut within its words there is no pause. */
static void test_cuts(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_utterance u = {0};
    static const char *const words[] = {"tapa", "tipo", "tupe", "mano", "sapa", ",", "nani",
                                        "moto", ".",    "sapa", "...",  "nani", "."};
    for (size_t i = 0; i < AT_COUNT(words); i++)
        at_utterance_add(cx, &u, at_copy_text(cx, ""), at_copy_text(cx, words[i]), true, false);
    at_chunk chunk;
    assert_true(at_next_chunk(&u, 0, 100, 12, false, &chunk));
    assert_true(chunk.end == 2 && chunk.broken);
    assert_true(at_next_chunk(&u, 2, 10, 18, false, &chunk));
    assert_true(chunk.end == 6 && !chunk.broken);
    assert_true(at_next_chunk(&u, 6, 10, 18, false, &chunk));
    assert_true(chunk.end == 9 && !chunk.broken);
    assert_true(at_next_chunk(&u, 9, 10, 18, false, &chunk)); /* three dots in one */
    assert_true(chunk.end == 11 && !chunk.broken);
    at_utterance_free(&u);
    at_context_free(cx);
}

static void test_voices(void **state)
{
    (void)state;
    at_context *cx;
    at_speaker *s = open_speaker(&cx);
    at_voice *one = at_voice_open(s, "one"), *two = at_voice_open(s, "two");
    at_voice *mixed = at_voice_open(s, "one(2)+two"), *mean = at_voice_open(s, "one,two");
    assert_fine(cx);
    assert_int_equal(one->rows, ROWS);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        assert_true(fabsf(mixed->styles[i] - (2 * one->styles[i] + two->styles[i]) / 3) < 1e-6f);
        assert_true(fabsf(mean->styles[i] - (one->styles[i] + two->styles[i]) / 2) < 1e-6f);
    }
    at_tensor *third = at_voice_style(cx, one, 3);
    assert_memory_equal(third->data, one->styles + 2 * WIDTH, WIDTH * sizeof(float));
    at_voice *all[] = {one, two, mixed, mean};
    for (size_t i = 0; i < AT_COUNT(all); i++) at_voice_free(all[i]);

    static const char *const wrong[][2] = {{"three", "no such voice (bad, moon, one, sun, two)"},
                                           {"one(0)", "a weight"},
                                           {"one(x)+two", "a weight"},
                                           {"", "no such voice"},
                                           {"one+", "no such voice"},
                                           {"../one", "no such voice"},
                                           {"bad", "not a voice of this model"}};
    for (size_t i = 0; i < AT_COUNT(wrong); i++) {
        assert_null(at_voice_open(s, wrong[i][0]));
        if (!strstr(at_error_text(cx), wrong[i][1])) fail_msg("%s", at_error_text(cx));
        at_error_clear(cx);
    }
    at_context_free(cx);
}

/* As numpy and PyTorch save them, named by their paths. */
static void test_voice_files(void **state)
{
    (void)state;
    at_context *cx;
    at_speaker *s = open_speaker(&cx);
    static const char *const names[] = {VOICES "/one.npy",      VOICES "/one.pt",
                                        VOICES "/old.bin",      VOICES "/packed.npz",
                                        VOICES "/both.npz/sun", "sun"};
    at_voice *one = at_voice_open(s, "one"), *two = at_voice_open(s, VOICES "/both.npz/moon(2)");
    assert_fine(cx);
    for (size_t i = 0; i < AT_COUNT(names); i++) {
        at_voice *voice = at_voice_open(s, names[i]);
        assert_fine(cx);
        assert_int_equal(voice->rows, ROWS);
        for (int j = 0; j < ROWS * WIDTH; j++)
            assert_true(fabsf(voice->styles[j] - one->styles[j]) < 1e-6f);
        at_voice_free(voice);
    }
    assert_true(fabsf(two->styles[5] - sinf(7)) < 1e-6f);
    at_voice_free(one);
    at_voice_free(two);
    static const char *const wrong[][2] = {{VOICES "/both.npz", "holds 2 voices (say which, as in"},
                                           {VOICES "/both.npz/three", "has no voice \"three\""},
                                           {VOICES "/one.npy/one", "not an archive of voices"},
                                           {VOICES "/none.npz/one", "no such voice"}};
    for (size_t i = 0; i < AT_COUNT(wrong); i++) {
        assert_null(at_voice_open(s, wrong[i][0]));
        if (!strstr(at_error_text(cx), wrong[i][1])) fail_msg("%s", at_error_text(cx));
        at_error_clear(cx);
    }
    at_context_free(cx);
}

static void test_what_cannot_be_said(void **state)
{
    (void)state;
    at_context *cx;
    at_speaker *s = open_speaker(&cx);
    static const char *const nothing[] = {"", " \n ", "...", "[]", "\x01\x02"};
    for (size_t i = 0; i < AT_COUNT(nothing); i++) {
        at_speak_options o = {.text = nothing[i], .voice = "one", .phonemes = true};
        assert_false(at_speak(s, &o, NULL));
        assert_int_equal(at_error_status(cx), AT_ERROR_ARGUMENT);
        at_error_clear(cx);
    }
    assert_false(
        at_speak(s, &(at_speak_options){.text = "na", .speed = 9, .phonemes = true}, NULL));
    assert_non_null(strstr(at_error_text(cx), "from 0.25 to 4"));
    at_error_clear(cx);
    assert_false(
        at_speak(s, &(at_speak_options){.text = "na\xff", .voice = "one", .phonemes = true}, NULL));
    assert_non_null(strstr(at_error_text(cx), "UTF-8 (1 bytes of 3"));
    at_error_clear(cx);
    assert_false(at_speak(s, &(at_speak_options){.text = "caf\xe9", .voice = "one"}, NULL));
    assert_non_null(strstr(at_error_text(cx), "UTF-8 (1 bytes of 4"));
    at_error_clear(cx);
    said(s, "na ʃa.", "one", 1, 0);
    assert_non_null(strstr(warning, "ʃ"));
    at_context_free(cx);
}

static void test_files(void **state)
{
    (void)state;
    at_context *cx;
    char path[300];
    at_speaker *s = open_speaker(&cx);
    at_speak_options o = {.text = "na ma.", .voice = "one", .phonemes = true};
    snprintf(path, sizeof path, "%s/said.wav", folder);
    at_speech info;
    assert_true(at_speak_to_file(s, &o, path, &info));
    size_t size;
    char *data = at_file_read(cx, path, 1 << 20, &size);
    assert_int_equal(size, 44 + 2 * (int64_t)(info.duration * 24000 + 0.5));
    at_free(data);
    at_cancel(cx);
    snprintf(path, sizeof path, "%s/cancelled.wav", folder);
    assert_false(at_speak_to_file(s, &o, path, &info));
    assert_int_equal(at_error_status(cx), AT_ERROR_CANCELLED);
    assert_int_not_equal(access(path, F_OK), 0);
    at_context_free(cx);
}

/* A text that is looked at in parts is said in the same chunks as sentence by sentence. */
static void test_long_texts(void **state)
{
    (void)state;
    at_context *cx;
    enum { SENTENCES = 300 };
    at_speaker *s = open_speaker(&cx);
    char *text = at_alloc(cx, SENTENCES * 8 + 1, 1);
    for (int i = 0; i < SENTENCES; i++) strcpy(text + i * 8, i % 3 ? "na mano." : "tapati!\n");
    heard h = {.most = 0};
    at_speak_options o = {
        .text = text, .voice = "one", .speed = 4, .phonemes = true, .chunk = hear, .user = &h};
    at_speech info;
    assert_true(at_speak(s, &o, &info));
    assert_int_equal(info.chunks, SENTENCES / 3 + 1); /* a line is one */
    at_free(text);
    at_context_free(cx);
}

static void test_damaged_weights(void **state)
{
    (void)state;
    at_context *cx;
    at_speaker *s = open_speaker(&cx);
    at_kokoro *m = (at_kokoro *)s->module;
    at_tensor **weights[] = {&m->predictor.duration_proj.weight, &m->decoder.conv_post.weight};
    for (size_t i = 0; i < AT_COUNT(weights); i++) {
        at_tensor *own = *weights[i];
        *weights[i] = at_full(cx, NAN, own->dims, own->shape);
        at_speak_options o = {.text = "na ma.", .voice = "one", .phonemes = true};
        assert_false(at_speak(s, &o, NULL));
        assert_non_null(strstr(at_error_text(cx), "weights are damaged"));
        at_error_clear(cx);
        *weights[i] = own;
    }
    at_context_free(cx);
}

static void write_voice(const char *name, int count, float from)
{
    char path[300];
    float styles[ROWS * WIDTH];
    snprintf(path, sizeof path, "%s/voices/%s.bin", folder, name);
    for (int i = 0; i < ROWS * WIDTH; i++) styles[i] = sinf(from + (float)i);
    FILE *f = fopen(path, "wb");
    fwrite(styles, sizeof(float), (size_t)count, f);
    fclose(f);
}

static int start(void **state)
{
    char command[1024];
    if (make_folder(state) != 0) return -1;
    snprintf(
        command, sizeof command,
        "cp %s/networks/kokoro_tiny/* %s && mkdir %s/voices && cp %s/both.npz %s/voices-all.npz",
        AT_FIXTURES, folder, folder, VOICES, folder);
    if (system(command) != 0) return -1;
    write_voice("one", ROWS * WIDTH, 1);
    write_voice("two", ROWS * WIDTH, 2);
    write_voice("bad", ROWS * WIDTH - 1, 2);
    return 0;
}

static int stop(void **state)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s/voices", folder);
    return system(command) ? -1 : remove_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_voices),
        cmocka_unit_test(test_voice_files),
        cmocka_unit_test(test_what_cannot_be_said),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_damaged_weights),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
