/* Whole transcriptions beside openai-whisper's, with a tiny random model; what is silent and what
   is wrong. */
#include "base/file.h"
#include "base/json.h"
#include "files.h"
#include "formats/audio.h"
#include "formats/safetensors.h"
#include "kernels/kernels.h"
#include "models/layouts/whisper.h"
#include "parity.h"
#include "pipelines/whisper/model.h"
#include "text/byte_level.h"
#include <math.h>
#include <utf8proc.h>

#define MODEL AT_FIXTURES "/pipelines/whisper"
#define SPEECH AT_FIXTURES "/audio/jfk.opus"

enum { RATE = 16000 };

static at_context *cx;
static at_transcriber *model;

static void put(FILE *file, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) putc((int)(value >> (8 * i) & 255), file);
}

/* A WAV file of f32 samples. */
static const char *write_wav(const char *name, const float *samples, uint32_t count)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    if (!file) abort();
    fputs("RIFF", file), put(file, 36 + 4 * count, 4), fputs("WAVEfmt ", file);
    put(file, 16, 4), put(file, 3, 2), put(file, 1, 2), put(file, RATE, 4);
    put(file, 4 * RATE, 4), put(file, 4, 2), put(file, 32, 2);
    fputs("data", file), put(file, 4 * count, 4);
    fwrite(samples, sizeof *samples, count, file);
    fclose(file);
    return path;
}

/* Speech, 12 seconds of silence, the speech again. */
static const char *recording(void)
{
    enum { MOST = 40 * RATE };
    float *samples = calloc(MOST, sizeof *samples);
    at_audio *audio = at_audio_open(cx, SPEECH, RATE, 1);
    int64_t n = at_audio_read(cx, audio, samples, 12 * RATE);
    at_audio_close(audio);
    assert_fine(cx);
    memcpy(samples + n + 12 * RATE, samples, sizeof *samples * (size_t)n);
    const char *path = write_wav("speech.wav", samples, (uint32_t)(2 * n + 12 * RATE));
    free(samples);
    return path;
}

static double number(const cJSON *json, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, key));
}

static void assert_near(double got, double wanted, double most, const char *what)
{
    if (!(fabs(got - wanted) <= most)) fail_msg("%s: %g, expected %g", what, got, wanted);
}

static void compare(const at_transcript *t, const cJSON *expected, const char *name)
{
    if (!t) fail_msg("%s: %s", name, at_error_text(cx));
    const cJSON *segments = cJSON_GetObjectItemCaseSensitive(expected, "segments");
    assert_string_equal(t->language,
                        cJSON_GetStringValue(cJSON_GetObjectItem(expected, "language")));
    assert_int_equal(t->count, cJSON_GetArraySize(segments));
    for (int i = 0; i < t->count; i++) {
        const cJSON *wanted = cJSON_GetArrayItem(segments, i);
        const cJSON *words = cJSON_GetObjectItem(wanted, "words");
        const at_segment *s = &t->segments[i];
        assert_string_equal(s->text, cJSON_GetStringValue(cJSON_GetObjectItem(wanted, "text")));
        assert_near(s->start, number(wanted, "start"), 0.0101, name);
        assert_near(s->end, number(wanted, "end"), 0.0101, name);
        assert_near(s->avg_logprob, number(wanted, "avg_logprob"), 2e-3, name);
        assert_near(s->no_speech_prob, number(wanted, "no_speech_prob"), 1e-3, name);
        assert_int_equal(s->word_count, cJSON_GetArraySize(words));
        for (int w = 0; w < s->word_count; w++) {
            const cJSON *word = cJSON_GetArrayItem(words, w);
            assert_string_equal(s->words[w].text,
                                cJSON_GetStringValue(cJSON_GetArrayItem(word, 0)));
            assert_near(s->words[w].start, cJSON_GetNumberValue(cJSON_GetArrayItem(word, 1)), 0.021,
                        name);
            assert_near(s->words[w].end, cJSON_GetNumberValue(cJSON_GetArrayItem(word, 2)), 0.021,
                        name);
            assert_near(s->words[w].probability, cJSON_GetNumberValue(cJSON_GetArrayItem(word, 3)),
                        2e-3, name);
        }
    }
}

static void matches_the_reference(void **state)
{
    static const double cold[] = {0};
    static const struct {
        const char *name;
        at_transcribe_options options;
    } runs[] = {
        {"greedy", {.beams = 1}},
        {"beams",
         {.beams = 3, .patience = 1.7, .length_penalty = 0.4, .language = "zh", .translate = true}},
        {"words",
         {.beams = 1,
          .timestamps = AT_TIMESTAMPS_WORD,
          .language = "de",
          .initial_prompt = "in the inn"}},
        {"forget", {.beams = 2, .forget = true, .timestamps = AT_TIMESTAMPS_NONE}},
    };
    (void)state;
    const char *path = recording();
    cJSON *expected = at_json_read(cx, MODEL "/expected.json");
    for (size_t i = 0; i < AT_COUNT(runs); i++) {
        at_transcribe_options o = runs[i].options;
        o.temperatures = cold;
        o.temperature_count = 1;
        o.compression_ratio = -1;
        if (i) o.logprob = 1;
        at_transcript *t = at_transcribe(model, path, &o);
        compare(t, cJSON_GetObjectItem(expected, runs[i].name), runs[i].name);
        at_transcript_free(t);
    }
    cJSON_Delete(expected);
}

/* ---- other forms of the same model */

/* The tensors under the class's names. */
static at_weights *class_weights(void)
{
    at_weights *source = at_weights_open(cx, MODEL "/model.safetensors");
    at_weights *w = at_weights_derive(cx, source);
    for (int64_t i = 0; i < at_weights_count(source); i++) {
        const at_weight *from = at_weights_at(source, i);
        at_weights_add(cx, w, from->name + strlen("model."), from, NULL);
    }
    return w;
}

/* A token's bytes; NULL behind the last plain one. */
static const char *plain_token(int32_t id, size_t *size)
{
    static char bytes[64];
    size_t length = 0, n = 0;
    const char *token = at_tokenizer_token(model->tokenizer, id, &length);
    for (size_t i = 0, step; id < model->eot && i < length; i += step) {
        utf8proc_int32_t c;
        step = (size_t)utf8proc_iterate((const uint8_t *)token + i, (utf8proc_ssize_t)length, &c);
        bytes[n++] = (char)at_bytes_hidden(c);
    }
    *size = n;
    return id < model->eot ? bytes : NULL;
}

/* whisper.cpp's file: all of it f32. */
static const char *write_ggml(const at_weights *w, const at_names *names)
{
    const uint32_t numbers[] = {0x67676d6c, 1773, 1500, 16, 2, 1, 48, 16, 2, 3, 80, 0, 1, 1, 0};
    const char *path = in_folder("ggml.bin"), *bytes;
    FILE *file = fopen(path, "wb");
    size_t size;
    for (size_t i = 0; i < AT_COUNT(numbers); i++) put(file, numbers[i], 4);
    put(file, (uint32_t)model->eot, 4);
    for (int32_t id = 0; (bytes = plain_token(id, &size)); id++) {
        put(file, (uint32_t)size, 4);
        fwrite(bytes, 1, size, file);
    }
    for (int64_t i = 0; i < at_weights_count(w); i++) {
        const at_weight *t = at_weights_at(w, i);
        const at_name_rule *rule;
        char *name;
        assert_true(at_names_reverse(cx, names, t->name, &name, &rule));
        bool bias = strstr(name, "conv") && strstr(name, "bias");
        put(file, (uint32_t)(t->dims + bias), 4);
        put(file, (uint32_t)strlen(name), 4), put(file, 0, 4);
        if (bias) put(file, 1, 4);
        for (int d = t->dims - 1; d >= 0; d--) put(file, (uint32_t)t->shape[d], 4);
        fputs(name, file);
        at_tensor *x = at_cast(cx, at_weights_get(cx, w, t->name), AT_F32);
        fwrite(x->data, sizeof(float), (size_t)at_elements(x), file);
        at_free(name);
    }
    fclose(file);
    return path;
}

/* OpenAI's names in a file without a vocabulary, which stands beside it. */
static const char *write_openai(const at_weights *w, const at_names *names, const char *form)
{
    static const char *const dims[] = {"dims.n_audio_head", "2", "dims.n_text_head", "2", NULL};
    const char *path = in_folder("openai.safetensors"), *theirs[128];
    at_tensor *tensors[128];
    int64_t count = at_weights_count(w);
    for (int64_t i = 0; i < count; i++) {
        const at_name_rule *rule;
        char *name;
        assert_true(at_names_reverse(cx, names, at_weights_at(w, i)->name, &name, &rule));
        theirs[i] = name;
        tensors[i] = at_weights_get(cx, w, at_weights_at(w, i)->name);
    }
    assert_true(at_safetensors_write(cx, path, count, theirs, tensors, dims));
    for (int64_t i = 0; i < count; i++) at_free((char *)(uintptr_t)theirs[i]);
    FILE *file = fopen(in_folder(form), "wb");
    cJSON *list = cJSON_CreateArray();
    size_t size;
    const char *bytes;
    for (int32_t id = 0; (bytes = plain_token(id, &size)); id++) {
        static const char letters[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (size_t at = 0; strstr(form, "tiktoken") && at < size; at += 3) {
            uint32_t three = 0;
            for (size_t k = 0; k < 3; k++)
                three = three << 8 | (at + k < size ? (uint8_t)bytes[at + k] : 0);
            for (size_t k = 0; k < 4; k++)
                putc(at + k > size ? '=' : letters[three >> (18 - 6 * k) & 63], file);
        }
        const char *token = at_tokenizer_token(model->tokenizer, id, &size);
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)size, token);
        if (strstr(form, "tiktoken")) fprintf(file, " %d\n", id);
        if (strstr(form, "txt")) fprintf(file, "%s\n", text);
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
    char *json = cJSON_PrintUnformatted(list);
    if (strstr(form, "json")) fputs(json, file);
    cJSON_free(json);
    cJSON_Delete(list);
    fclose(file);
    return path;
}

static void other_forms_say_the_same(void **state)
{
    static const double cold[] = {0};
    static const char *const forms[] = {NULL, "multilingual.tiktoken", "vocabulary.txt",
                                        "vocabulary.json"};
    (void)state;
    char *speech = strdup(recording());
    cJSON *expected = at_json_read(cx, MODEL "/expected.json");
    at_weights *w = class_weights();
    at_names names = {0};
    at_names_whisper_openai(cx, &names, w, "", true);
    assert_fine(cx);
    for (size_t i = 0; i < AT_COUNT(forms); i++) {
        const char *path = forms[i] ? write_openai(w, &names, forms[i]) : write_ggml(w, &names);
        at_transcriber *other = at_transcriber_open(cx, path);
        assert_fine(cx);
        if (forms[i]) unlink(in_folder(forms[i]));
        at_transcribe_options o = {
            .beams = 1, .temperatures = cold, .temperature_count = 1, .compression_ratio = -1};
        compare(at_transcribe(other, speech, &o), cJSON_GetObjectItem(expected, "greedy"),
                forms[i] ? forms[i] : "ggml");
        at_transcriber_free(other);
    }
    assert_null(at_transcriber_open(cx, in_folder("openai.safetensors")));
    assert_non_null(strstr(at_error_text(cx), "has no vocabulary"));
    at_error_clear(cx);
    at_names_free(&names);
    cJSON_Delete(expected);
    free(speech);
}

static void count_segments(void *user, const at_segment *segment)
{
    (void)segment;
    ++*(int *)user;
}

/* Nothing is heard in silence and in steady noise, whatever the model would write. */
static void hears_nothing_in_silence(void **state)
{
    (void)state;
    enum { COUNT = 3 * RATE };
    static float samples[COUNT];
    uint32_t seed = 1;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; pass && i < COUNT; i++) {
            seed = seed * 1664525u + 1013904223u;
            samples[i] = ((float)(seed >> 8) / 0x1p23f - 1.0f) * 0.05f;
        }
        for (int batch = 0; batch < 3; batch += 2) {
            int calls = 0;
            at_transcribe_options o = {
                .beams = 1, .batch = batch, .segment = count_segments, .user = &calls};
            at_transcript *t = at_transcribe(model, write_wav("quiet.wav", samples, COUNT), &o);
            assert_fine(cx);
            assert_string_equal(t->text, "");
            assert_int_equal(t->count + calls, 0);
            assert_true(t->duration == 3.0);
        }
    }
}

/* Any temperature gives some text, the same for the same seed; batches hear both ends. */
static void draws_and_batches(void **state)
{
    static const double hot[] = {0.8};
    (void)state;
    const char *path = recording();
    char *first = NULL;
    for (int i = 0; i < 2; i++) {
        at_transcribe_options o = {
            .best_of = 2, .temperatures = hot, .temperature_count = 1, .seed = 7};
        at_transcript *t = at_transcribe(model, path, &o);
        assert_fine(cx);
        assert_true(t->count > 0 && t->text[0]);
        if (first) assert_string_equal(t->text, first);
        if (!first) first = strdup(t->text);
    }
    free(first);
    at_transcript *t = at_transcribe(model, path, &(at_transcribe_options){.beams = 2, .batch = 4});
    assert_fine(cx);
    assert_true(t->segments[0].start < 3 && t->segments[t->count - 1].start > 20);
}

static void refuses(void **state)
{
    static const struct {
        at_transcribe_options options;
        const char *message;
    } wrong[] = {{{.language = "xx"}, "xx: not a language"},
                 {{.beams = 65}, "1 to 64"},
                 {{.best_of = -1}, "1 to 64"},
                 {{.batch = 65}, "at most 64"}};
    (void)state;
    for (size_t i = 0; i < AT_COUNT(wrong); i++) {
        assert_null(at_transcribe(model, SPEECH, &wrong[i].options));
        if (!strstr(at_error_text(cx), wrong[i].message)) fail_msg("%s", at_error_text(cx));
        at_error_clear(cx);
    }
    assert_null(at_transcribe(model, MODEL "/config.json", NULL));
    assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
    at_error_clear(cx);
    assert_null(at_transcriber_open(cx, AT_FIXTURES "/networks/t5_gated"));
    assert_true(at_failed(cx));
    at_error_clear(cx);
}

int main(void)
{
#ifndef AT_HAVE_FFMPEG
    return 77;
#endif
    cx = f32_context();
    if (SANITIZED && strcmp(cx->kernels->name, "generic") == 0) { /* five minutes */
        at_context_free(cx);
        return 77;
    }
    model = at_transcriber_open(cx, MODEL);
    if (!model) fprintf(stderr, "%s\n", at_error_text(cx));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_reference), cmocka_unit_test(other_forms_say_the_same),
        cmocka_unit_test(hears_nothing_in_silence), cmocka_unit_test(draws_and_batches),
        cmocka_unit_test(refuses)};
    int failed = cmocka_run_group_tests(tests, make_folder, remove_folder);
    at_context_free(cx);
    return failed;
}
