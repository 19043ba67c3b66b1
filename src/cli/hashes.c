#include "cli/hashes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include <string.h>

enum { LORA_DIGITS = 12, EMBEDDING_DIGITS = 10, LENGTH_BYTES = 8 };

/* The header of a safetensors file: its size with the 8 bytes before, 0: it has none. */
static size_t header_size(const at_mapping *file)
{
    uint64_t size = 0;
    if (file->size < LENGTH_BYTES) return 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) size = size << 8 | file->data[i];
    bool fits = size <= file->size - LENGTH_BYTES && size > 1 && file->data[LENGTH_BYTES] == '{';
    return fits ? (size_t)size + LENGTH_BYTES : 0;
}

/* sshs_model_hash, which trainers write. */
static bool written_hash(const at_mapping *file, size_t header, char digits[65])
{
    cJSON *json =
        cJSON_ParseWithLength((const char *)file->data + LENGTH_BYTES, header - LENGTH_BYTES);
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(json, "__metadata__");
    const cJSON *hash = cJSON_GetObjectItemCaseSensitive(metadata, "sshs_model_hash");
    const char *text = cJSON_GetStringValue(hash);
    bool fine = text && strlen(text) == 64 && !text[strspn(text, "0123456789abcdef")];
    if (fine) memcpy(digits, text, 65);
    cJSON_Delete(json);
    return fine;
}

/* "name: 0123456789ab" behind what is there; the file's name without its suffix. */
static void add_file(at_context *cx, at_text *text, const char *path, bool lora)
{
    at_mapping *file = at_mapping_open(cx, path);
    if (!file) return;
    char digits[65];
    size_t header = lora ? header_size(file) : 0;
    if (!header || !written_hash(file, header, digits))
        at_sha256(file->size ? file->data + header : NULL, file->size - header, digits);
    at_mapping_release(file);
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.'), *end = dot && dot > base ? dot : base + strlen(base);
    if (text->size) at_text_print(cx, text, ", ");
    for (const char *c = base; c < end; c++)
        if (*c != ':' && *c != ',') at_text_add(cx, text, c, 1);
    at_text_print(cx, text, ": %.*s", lora ? LORA_DIGITS : EMBEDDING_DIGITS, digits);
}

static void add_list(at_context *cx, at_text *all, const char *name, at_text *list)
{
    if (list->size) {
        at_text_print(cx, all, "%s: ", name);
        at_text_add_quoted(cx, all, list->data);
        at_text_print(cx, all, ", ");
    }
    at_text_free(list);
}

char *cli_adapter_hashes(at_context *cx, const at_generation *made)
{
    at_text all = {0}, loras = {0}, embeddings = {0};
    at_text_add(cx, &all, "", 0);
    for (int i = 0; i < made->used.lora_count; i++)
        add_file(cx, &loras, made->used.loras[i].path, true);
    for (int i = 0; i < made->used.embedding_count; i++)
        if (made->embedding_used[i]) add_file(cx, &embeddings, made->used.embeddings[i], false);
    add_list(cx, &all, "Lora hashes", &loras);
    add_list(cx, &all, "TI hashes", &embeddings);
    return all.data;
}
