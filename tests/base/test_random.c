/* The random streams against torch's (tests/fixtures/random). */
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A safetensors file, read without the format's own reader (which is not base). */
typedef struct fixture {
    char *bytes;
    cJSON *header;
    const char *data;
} fixture;

static fixture open_fixture(at_context *cx, const char *path)
{
    fixture f = {0};
    size_t size;
    uint64_t length;
    f.bytes = at_file_read(cx, path, 1 << 24, &size);
    assert_non_null(f.bytes);
    memcpy(&length, f.bytes, 8);
    f.header = at_json_parse(cx, f.bytes + 8, length, path);
    assert_non_null(f.header);
    f.data = f.bytes + 8 + length;
    return f;
}

static const void *tensor_of(const fixture *f, const char *name)
{
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(f->header, name);
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    assert_non_null(offsets);
    return f->data + (size_t)cJSON_GetArrayItem(offsets, 0)->valuedouble;
}

static void close_fixture(fixture *f)
{
    cJSON_Delete(f->header);
    at_free(f->bytes);
}

static const char *text_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static int64_t int_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

static uint64_t seed_of(const cJSON *stream)
{
    const char *text = text_of(stream, "seed");
    return text[0] == '-' ? (uint64_t)strtoll(text, NULL, 10) : strtoull(text, NULL, 10);
}

/* Integers as torch makes them of the words: what the streams share with other draws. */
static int64_t integer(at_generator *g, const char *call)
{
    long long low, high;
    if (strcmp(call, "random") == 0) return (int64_t)(at_random_u64(g) & INT64_MAX);
    assert_int_equal(sscanf(call, "randint(%lld,%lld)", &low, &high), 2);
    uint64_t range = (uint64_t)(high - low);
    return low + (int64_t)((range >> 28 ? at_random_u64(g) : at_random_u32(g)) % range);
}

static void run_call(at_generator *g, const cJSON *call, const fixture *f)
{
    const char *name = text_of(call, "call"), *dtype = text_of(call, "dtype");
    const void *wanted = tensor_of(f, text_of(call, "tensor"));
    int64_t count = int_of(call, "count");
    double *out = calloc((size_t)count, sizeof *out);
    assert_non_null(out);
    if (strcmp(dtype, "i64") == 0) {
        for (int64_t i = 0; i < count; i++) ((int64_t *)out)[i] = integer(g, name);
        assert_memory_equal(out, wanted, (size_t)count * 8);
    } else if (strcmp(dtype, "f64") == 0) {
        if (strcmp(name, "rand") == 0)
            at_random_uniform_f64(g, out, count);
        else
            at_random_normal_f64(g, out, count); /* the last bit is the mathematics library's */
        for (int64_t i = 0; i < count; i++)
            assert_true(fabs(out[i] - ((const double *)wanted)[i]) <= 2e-15);
    } else {
        if (strcmp(name, "rand") == 0)
            at_random_uniform(g, (float *)out, count);
        else
            at_random_normal(g, (float *)out, count);
        assert_memory_equal(out, wanted, (size_t)count * 4);
    }
    free(out);
}

static void test_cpu_streams(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    fixture f = open_fixture(cx, AT_FIXTURES "/random/torch_cpu.safetensors");
    cJSON *streams = at_json_read(cx, AT_FIXTURES "/random/torch_cpu.json");
    const cJSON *stream, *call;
    int calls = 0;
    cJSON_ArrayForEach(stream, streams)
    {
        at_generator g;
        at_generator_seed(&g, AT_RNG_CPU, seed_of(stream));
        cJSON_ArrayForEach(call, cJSON_GetObjectItemCaseSensitive(stream, "calls"))
        {
            run_call(&g, call, &f);
            calls++;
        }
    }
    assert_true(calls > 100);
    cJSON_Delete(streams);
    close_fixture(&f);
    at_context_free(cx);
}

static void test_cpu_seeds(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *seeds = at_json_read(cx, AT_FIXTURES "/random/torch_cpu_seeds.json");
    const cJSON *stream, *value;
    assert_non_null(seeds);
    cJSON_ArrayForEach(stream, seeds)
    {
        at_generator g;
        at_generator_seed(&g, AT_RNG_CPU, seed_of(stream));
        cJSON_ArrayForEach(value, cJSON_GetObjectItemCaseSensitive(stream, "rand"))
        {
            float u;
            at_random_uniform(&g, &u, 1);
            assert_true(u == (float)value->valuedouble);
        }
    }
    cJSON_Delete(seeds);
    at_context_free(cx);
}

static void words_of(const cJSON *list, uint32_t *out)
{
    const cJSON *word;
    cJSON_ArrayForEach(word, list) *out++ = (uint32_t)strtoul(word->valuestring, NULL, 16);
}

static void check_known_answers(const cJSON *json)
{
    const cJSON *answer;
    cJSON_ArrayForEach(answer, cJSON_GetObjectItemCaseSensitive(json, "known_answers"))
    {
        uint32_t counter[4], key[2], wanted[4], out[4];
        words_of(cJSON_GetObjectItemCaseSensitive(answer, "counter"), counter);
        words_of(cJSON_GetObjectItemCaseSensitive(answer, "key"), key);
        words_of(cJSON_GetObjectItemCaseSensitive(answer, "words"), wanted);
        at_philox(counter, key, out);
        assert_memory_equal(out, wanted, sizeof out);
    }
}

static void check_device_call(at_generator *g, const cJSON *call, double tolerance)
{
    int64_t count = int_of(call, "count"), i = 0;
    const cJSON *indices = cJSON_GetObjectItemCaseSensitive(call, "indices"), *value;
    float *out = calloc((size_t)count, sizeof *out);
    assert_non_null(out);
    assert_int_equal(g->offset, int_of(call, "offset"));
    if (strcmp(text_of(call, "call"), "rand") == 0)
        at_random_uniform(g, out, count);
    else
        at_random_normal(g, out, count);
    cJSON_ArrayForEach(value, cJSON_GetObjectItemCaseSensitive(call, "values"))
    {
        int64_t at = indices ? (int64_t)cJSON_GetArrayItem(indices, (int)i)->valuedouble : i;
        assert_true(at < count);
        assert_float_equal(out[at], value->valuedouble, tolerance);
        i++;
    }
    assert_true(i > 0);
    free(out);
}

static void test_device_streams(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    cJSON *json = at_json_read(cx, AT_FIXTURES "/random/philox.json");
    const cJSON *stream, *call;
    assert_non_null(json);
    check_known_answers(json);
    double tolerance = cJSON_GetObjectItemCaseSensitive(json, "tolerance")->valuedouble;
    cJSON_ArrayForEach(stream, cJSON_GetObjectItemCaseSensitive(json, "streams"))
    {
        at_generator g;
        at_generator_seed(&g, AT_RNG_CUDA, seed_of(stream));
        g.threads = int_of(stream, "threads");
        cJSON_ArrayForEach(call, cJSON_GetObjectItemCaseSensitive(stream, "calls"))
            check_device_call(&g, call, tolerance);
    }
    cJSON_Delete(json);
    at_context_free(cx);
}

static uint64_t hash_of(const void *data, size_t size) /* FNV-1a */
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return hash;
}

/* A quarter of a million normals: the bits of every one, by the hash of torch 2.15's (AVX2). */
static void test_many_normals(void **state)
{
    (void)state;
    enum { COUNT = 1 << 18 };
    float *out = calloc(COUNT, sizeof *out);
    at_generator g;
    assert_non_null(out);
    at_generator_seed(&g, AT_RNG_CPU, 123);
    at_random_normal(&g, out, COUNT);
    assert_true(hash_of(out, COUNT * sizeof *out) == 0xbb8884317fe5ce12u);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_streams),
        cmocka_unit_test(test_cpu_seeds),
        cmocka_unit_test(test_device_streams),
        cmocka_unit_test(test_many_normals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
