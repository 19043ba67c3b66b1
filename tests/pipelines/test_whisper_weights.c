/* Real weights, where tools/weights/get.py has put them: what openai-whisper and faster-whisper
   write for the same recording. */
#include "base/file.h"
#include "hub/models.h"
#include "parity.h"
#include <atelier/transcribe.h>
#include <stdlib.h>
#include <string.h>

#define SPEECH AT_FIXTURES "/audio/jfk.opus"

enum { SKIPPED = 77 };

static const struct {
    const char *model, *greedy, *beams;
} said[] = {
    {"whisper-tiny.en",
     "And so my fellow Americans ask not what your country can do for you"
     " ask what you can do for your country.",
     "And so, my fellow Americans ask not what your country can do for you"
     " ask what you can do for your country."},
    {"whisper-base",
     "And so my fellow Americans ask not what your country can do for you,"
     " ask what you can do for your country.",
     "And so, my fellow Americans, ask not what your country can do for you,"
     " ask what you can do for your country."},
};

static void writes_what_the_reference_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        at_context *cx = f32_context();
        at_transcriber *model = at_transcriber_load(cx, said[i].model);
        assert_fine(cx);
        for (int beams = 1; beams <= 5; beams += 4) {
            at_transcript *t =
                at_transcribe(model, SPEECH, &(at_transcribe_options){.beams = beams});
            assert_fine(cx);
            assert_string_equal(t->text, beams == 1 ? said[i].greedy : said[i].beams);
            assert_string_equal(t->language, "en");
        }
        at_context_free(cx);
    }
}

static bool is_there(const char *model)
{
    at_context *cx = at_context_new(NULL);
    char *path = at_model_find(cx, model);
    bool found = path != NULL;
    at_free(path);
    at_context_free(cx);
    return found;
}

int main(void)
{
#ifndef AT_HAVE_FFMPEG
    return SKIPPED;
#endif
    const char *table = getenv("ATELIER_CPU");
    if (SANITIZED || (table && strcmp(table, "generic") == 0)) {
        fprintf(stderr, "skipped: plain C or the sanitizers would take minutes\n");
        return SKIPPED;
    }
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!is_there(said[i].model)) {
            fprintf(stderr, "skipped: no %s (tools/weights/get.py %s fetches it)\n", said[i].model,
                    said[i].model);
            return SKIPPED;
        }
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_what_the_reference_writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
