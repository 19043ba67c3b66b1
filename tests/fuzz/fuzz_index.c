#include "formats/safetensors.h"
#include "fuzz.h"
#include <stdio.h>
#include <unistd.h>

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void clean(void)
{
    unlink(in_folder("1.safetensors"));
    unlink(in_folder("2.safetensors"));
    unlink(in_folder("index.json"));
    rmdir(folder);
}

/* Two shards with the tensors a and b, c. */
static void prepare(void)
{
    snprintf(folder, sizeof folder, "/tmp/atelier-fuzz-XXXXXX");
    if (!mkdtemp(folder)) abort();
    atexit(clean);
    at_context *cx = at_context_new(NULL);
    at_tensor *x = at_zeros(cx, AT_F32, 1, (int64_t[]){2});
    at_safetensors_write(cx, in_folder("1.safetensors"), 1, (const char *[]){"a"}, &x, NULL);
    at_safetensors_write(cx, in_folder("2.safetensors"), 2, (const char *[]){"b", "c"},
                         (at_tensor *[]){x, x}, NULL);
    if (at_failed(cx)) abort();
    at_context_free(cx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder[0]) prepare();
    FILE *file = fopen(in_folder("index.json"), "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
    at_context *cx = at_context_new(NULL);
    at_weights *w = at_weights_open(cx, in_folder("index.json"));
    if (!w != at_failed(cx) || at_weights_count(w) > 3) abort();
    for (int64_t i = 0; i < at_weights_count(w); i++)
        if (!at_weights_get(cx, w, at_weights_at(w, i)->name)) abort();
    fuzz_end(cx);
    return 0;
}
