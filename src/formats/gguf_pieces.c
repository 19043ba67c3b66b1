#include "formats/gguf_pieces.h"
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, BYTES = 2, FOUR = 5, UNUSED = 5, UNIGRAM = 1, BPE = 2 };

static void add_varint(at_context *cx, at_text *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = 0;
    do {
        bytes[size++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    at_text_add(cx, out, bytes, size);
}

static void add_number(at_context *cx, at_text *out, uint32_t field, int64_t value)
{
    add_varint(cx, out, field << 3 | VARINT);
    add_varint(cx, out, (uint64_t)value);
}

static void add_bytes(at_context *cx, at_text *out, uint32_t field, const void *bytes, size_t size)
{
    add_varint(cx, out, field << 3 | BYTES);
    add_varint(cx, out, size);
    at_text_add(cx, out, bytes, size);
}

static uint64_t size_of_varint(uint64_t value)
{
    uint64_t size = 1;
    while (value >>= 7) size++;
    return size;
}

/* ModelProto.SentencePiece: 1 piece, 2 score, 3 type. */
static void add_piece(at_context *cx, at_text *out, at_gguf_vocabulary *v)
{
    uint64_t size = at_cursor_number(&v->tokens.values, 8);
    const uint8_t *text = at_cursor_take(&v->tokens.values, size);
    const uint8_t *score = at_cursor_take(&v->scores.values, 4);
    uint64_t type = at_cursor_number(&v->types.values, 4);
    if (!text || !score) return;
    add_varint(cx, out, 1 << 3 | BYTES);
    add_varint(cx, out, 1 + size_of_varint(size) + size + 1 + 4 + 1 + size_of_varint(type));
    add_bytes(cx, out, 1, text, (size_t)size);
    add_varint(cx, out, 2 << 3 | FOUR);
    at_text_add(cx, out, score, 4);
    add_number(cx, out, 3, (int64_t)type);
}

static int64_t id_of(const cJSON *metadata, const char *key)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(metadata, key);
    return cJSON_IsString(text) ? strtol(text->valuestring, NULL, 10) : -1;
}

/* TrainerSpec: 3 model_type, 35 byte_fallback, 40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id. */
static void add_trainer(at_context *cx, at_text *out, const cJSON *metadata, bool bpe)
{
    at_text spec = {0};
    add_number(cx, &spec, 3, bpe ? BPE : UNIGRAM);
    add_number(cx, &spec, 35, bpe);
    add_number(cx, &spec, 40, id_of(metadata, "tokenizer.ggml.unknown_token_id"));
    add_number(cx, &spec, 41, id_of(metadata, "tokenizer.ggml.bos_token_id"));
    add_number(cx, &spec, 42, id_of(metadata, "tokenizer.ggml.eos_token_id"));
    add_number(cx, &spec, 43, id_of(metadata, "tokenizer.ggml.padding_token_id"));
    if (spec.data) add_bytes(cx, out, 2, spec.data, spec.size);
    at_text_free(&spec);
}

static uint64_t used_tokens(const at_gguf_list *types)
{
    uint64_t used = 0;
    at_cursor at = types->values;
    for (uint64_t i = 0; i < types->count; i++)
        if (at_cursor_number(&at, 4) != UNUSED) used = i + 1;
    return used;
}

bool at_gguf_write_pieces(at_context *cx, at_gguf_vocabulary *v, const cJSON *metadata,
                          at_text *out)
{
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(metadata, "tokenizer.ggml.model");
    bool bpe = cJSON_IsString(kind) && strcmp(kind->valuestring, "llama") == 0;
    bool unigram = cJSON_IsString(kind) && strcmp(kind->valuestring, "t5") == 0;
    uint64_t count = v->tokens.count;
    if ((!bpe && !unigram) || v->tokens.type != AT_GGUF_STRING || v->scores.type != AT_GGUF_F32 ||
        (v->types.type != AT_GGUF_I32 && v->types.type != AT_GGUF_U32) ||
        v->scores.count != count || v->types.count != count)
        return false;
    uint64_t used = used_tokens(&v->types);
    for (uint64_t i = 0; i < used && at_ok(cx); i++) add_piece(cx, out, v);
    add_trainer(cx, out, metadata, bpe);
    const uint8_t *charsmap = at_cursor_take(&v->charsmap.values, v->charsmap.count);
    if (v->charsmap.count && charsmap && v->charsmap.type <= AT_GGUF_U8 + 1) {
        at_text spec = {0}; /* NormalizerSpec: 2 precompiled_charsmap */
        add_bytes(cx, &spec, 2, charsmap, (size_t)v->charsmap.count);
        if (spec.data) add_bytes(cx, out, 3, spec.data, spec.size);
        at_text_free(&spec);
    }
    return at_ok(cx);
}
