/* Latents outside the networks: packing, files, the shift of the schedule. */
#include "base/file.h"
#include "base/json.h"
#include "files.h"
#include "formats/safetensors.h"
#include "formats/weights.h"
#include "pipelines/latents.h"
#include "schedulers/scheduler.h"
#include "table.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASE AT_FIXTURES "/pipelines/flux_tiny_dev/case_3.safetensors" /* 3 pictures of 48 x 32 */

static at_tensor *nchw(at_context *cx, const char *name)
{
    at_weights *file = at_weights_open(cx, CASE);
    at_tensor *x = at_weights_get(cx, file, name);
    assert_non_null(x);
    return x;
}

static void assert_same(const at_tensor *a, const at_tensor *b)
{
    assert_non_null(a);
    assert_true(at_same_shape(a, b));
    assert_memory_equal(a->data, b->data, at_bytes(b));
}

static void test_pack(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_tensor *latents = at_transpose(cx, nchw(cx, "initial_latents_nchw"), 0, 2, 3, 1);
    at_tensor *packed = at_latents_pack(cx, latents);
    assert_same(packed, nchw(cx, "initial_latents"));
    at_tensor *back = at_latents_unpack(cx, packed, at_dim(latents, 1), at_dim(latents, 2));
    assert_same(back, at_contiguous(cx, latents));

    at_tensor *final = at_latents_unpack(cx, nchw(cx, "latents.1"), 4, 6);
    assert_same(at_contiguous(cx, at_transpose(cx, final, 0, 3, 1, 2)), nchw(cx, "final_latents"));
    at_context_free(cx);
}

static void test_files(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    const char *path = in_folder("latents.safetensors");
    const int64_t shape[] = {3, 4, 6, 4}, other[] = {1, 4, 6, 4};
    at_tensor *planes = nchw(cx, "initial_latents_nchw");
    at_tensor *latents = at_contiguous(cx, at_transpose(cx, planes, 0, 2, 3, 1));
    assert_true(at_latents_write(cx, path, latents));
    assert_same(at_latents_read(cx, path, shape), latents);
    assert_same(at_weights_get(cx, at_weights_open(cx, path), "latents"), planes);

    assert_null(at_latents_read(cx, path, other));
    assert_int_equal(at_error_status(cx), AT_ERROR_ARGUMENT);
    assert_non_null(strstr(at_error_text(cx), "[3,4,4,6]"));
    at_error_clear(cx);
    assert_null(at_latents_read(cx, CASE, shape)); /* no tensor of that name */
    assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
    at_error_clear(cx);
    ((float *)latents->data)[5] = NAN;
    assert_true(at_latents_write(cx, path, latents));
    assert_null(at_latents_read(cx, path, shape));
    assert_int_equal(at_error_status(cx), AT_ERROR_FORMAT);
    at_context_free(cx);
}

static double number(const cJSON *object, const char *key, double fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return item ? item->valuedouble : fallback;
}

static void test_shift(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *cases = at_json_read(cx, AT_FIXTURES "/pipelines/calculate_shift.json");
    const cJSON *c;
    assert_true(cJSON_GetArraySize(cases) > 10);
    cJSON_ArrayForEach(c, cases)
    {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"base_shift\": %.17g, "
                 "\"max_shift\": %.17g, \"base_image_seq_len\": %g, \"max_image_seq_len\": %g}",
                 number(c, "base_shift", 0.5), number(c, "max_shift", 1.15),
                 number(c, "base_seq_len", 256), number(c, "max_seq_len", 4096));
        at_scheduler *s = at_scheduler_load(cx, put_text("scheduler.json", text), NULL, NULL);
        assert_non_null(s);
        assert_true(at_scheduler_mu(cx, s, (int64_t)number(c, "image_seq_len", 0)) ==
                    number(c, "mu", 0));
        at_scheduler_free(cx, s);
    }
    cJSON_Delete(cases);
    at_context_free(cx);
}

int main(void)
{
    AT_SKIP_WITHOUT_TABLE();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_shift),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
