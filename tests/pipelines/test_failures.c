/* Memory that runs out, at every allocation of a run from opening to pictures: an error, never a
   crash; the sanitizer's run finds what is lost on the way. */
#include "parity.h"
#include "pipelines/pipeline.h"
#include <atelier/image.h>
#include <pthread.h>
#include <unistd.h>

static at_generation *whole_run(at_context *cx)
{
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
    return at_generate_many(p, &(at_generate_options){.prompt = "a red heart",
                                                      .width = 32,
                                                      .height = 32,
                                                      .steps = 1,
                                                      .max_sequence_length = 16});
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    bool done = false;
    for (long n = 1; !done; n += 1 + n / 6) {
        at_context *cx = f32_context();
        cx->fail_allocation_in = n;
        at_generation *made = whole_run(cx);
        done = cx->fail_allocation_in > 0; /* the run was over before */
        assert_int_equal(at_error_status(cx), done ? AT_OK : AT_ERROR_MEMORY);
        assert_int_equal(made != NULL, done);
        at_context_free(cx);
    }
}

static void test_cancelled(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
    at_cancel(cx);
    assert_null(at_generate_many(p, &(at_generate_options){.prompt = "a red heart"}));
    assert_int_equal(at_error_status(cx), AT_ERROR_CANCELLED);
    at_context_free(cx);
}

/* Too small for the activations: refused before it is passed. */
static void test_small_budget(void **state)
{
    (void)state;
    at_context *cx = at_context_new(
        &(at_context_options){.precision = AT_PRECISION_F32, .memory_budget = 64 << 10});
    assert_null(whole_run(cx));
    assert_int_equal(at_error_status(cx), AT_ERROR_MEMORY);
    assert_non_null(strstr(at_error_text(cx), "budget"));
    assert_true(at_memory_peak(cx) <= 64 << 10);
    at_context_free(cx);
}

static void count_let_go(void *user, at_log_level level, const char *text)
{
    if (level == AT_LOG_INFO && strstr(text, "let go of")) ++*(int *)user;
}

/* Too small for all modules at once, large enough for one after the other: the same picture. */
static void test_modules_one_after_the_other(void **state)
{
    (void)state;
    int let_go = 0;
    at_context *cx = f32_context();
    at_generation *a = whole_run(cx);
    assert_fine(cx);
    size_t budget = at_memory_peak(cx) + (32 << 10);
    assert_true(budget < 543052); /* all of the fixture's weights */
    at_context *tight = at_context_new(&(at_context_options){.precision = AT_PRECISION_F32,
                                                             .threads = 2,
                                                             .memory_budget = budget,
                                                             .log = count_let_go,
                                                             .user = &let_go});
    at_generation *b = whole_run(tight);
    assert_fine(tight);
    assert_true(let_go >= 1);
    assert_true(at_memory_peak(tight) <= budget);
    assert_memory_equal(a->images[0]->pixels, b->images[0]->pixels, 32 * 32 * 3);
    at_context_free(cx);
    at_context_free(tight);
}

/* Load, generate, free, twice in one context: nothing is left, and the pictures are the same. */
static void test_twice(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    size_t peak[2];
    uint8_t *first = NULL;
    for (int i = 0; i < 2; i++) {
        at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_dev");
        at_generation *made = at_generate_many(
            p, &(at_generate_options){
                   .prompt = "a red heart", .width = 32, .height = 48, .steps = 2, .count = 2});
        assert_fine(cx);
        size_t bytes = 32 * 48 * 3;
        if (first) assert_memory_equal(first, made->images[1]->pixels, bytes);
        if (!first) first = memcpy(malloc(bytes), made->images[1]->pixels, bytes);
        at_generation_free(made);
        at_pipeline_free(p);
        assert_int_equal(at_memory_used(cx), 0);
        peak[i] = at_memory_peak(cx);
    }
    assert_int_equal(peak[0], peak[1]);
    free(first);
    at_context_free(cx);
}

static void *in_a_thread(void *out)
{
    at_context *cx = f32_context();
    at_generation *made = whole_run(cx);
    if (made) memcpy(out, made->images[0]->pixels, 32 * 32 * 3);
    at_context_free(cx);
    return NULL;
}

/* Contexts share nothing: two that work at the same time make what one makes alone. */
static void test_two_threads(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    static uint8_t pictures[THREADS][32 * 32 * 3];
    pthread_t threads[THREADS];
    in_a_thread(pictures[0]);
    for (int i = 1; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, in_a_thread, pictures[i]), 0);
    for (int i = 1; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_true(pictures[0][0] != pictures[0][100] || pictures[0][1] != pictures[0][101]);
    for (int i = 1; i < THREADS; i++)
        assert_memory_equal(pictures[0], pictures[i], sizeof pictures[0]);
}

static void *cancel_soon(void *cx)
{
    usleep(50000);
    at_cancel(cx);
    return NULL;
}

/* Cancelled from another thread in the midst of it. */
static void test_cancelled_from_outside(void **state)
{
    (void)state;
    at_context *cx = f32_context();
    pthread_t thread;
    at_pipeline *p = at_pipeline_open(cx, AT_FIXTURES "/pipelines/flux_tiny_schnell");
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, cx), 0);
    assert_null(
        at_generate_many(p, &(at_generate_options){.prompt = "a red heart", .steps = 10000}));
    assert_int_equal(at_error_status(cx), AT_ERROR_CANCELLED);
    pthread_join(thread, NULL);
    at_error_clear(cx); /* and it works on */
    assert_non_null(at_generate_many(
        p, &(at_generate_options){.prompt = "a red heart", .width = 32, .height = 32, .steps = 1}));
    at_context_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_small_budget),
        cmocka_unit_test(test_modules_one_after_the_other),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_cancelled_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
