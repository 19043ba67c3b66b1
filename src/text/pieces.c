/* Lists that grow: pieces of text, ids. */
#include "text/tokenizer_parts.h"

void at_pieces_add(at_context *cx, at_pieces *pieces, const char *bytes, size_t size, int32_t id,
                   bool at_start)
{
    if ((size == 0 && id < 0) || at_failed(cx)) return;
    if (pieces->count == pieces->capacity) {
        size_t capacity = pieces->capacity * 2 + 16;
        at_piece *items = at_resize(cx, pieces->items, capacity, sizeof *items);
        if (!items) return;
        pieces->items = items;
        pieces->capacity = capacity;
    }
    size_t start = pieces->text.size;
    at_text_add(cx, &pieces->text, bytes, size);
    if (at_failed(cx)) return;
    pieces->items[pieces->count++] = (at_piece){start, size, id, at_start};
}

void at_pieces_free(at_pieces *pieces)
{
    at_text_free(&pieces->text);
    at_free(pieces->items);
    *pieces = (at_pieces){0};
}

bool at_growth_is_fine(at_context *cx, size_t before, size_t now)
{
    enum { TIMES = 256, LITTLE = 4096 };
    if (now <= LITTLE || now / TIMES <= before) return true;
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "a tokenizer that turns %zu bytes into %zu is not supported", before, now);
}

void at_ids_add(at_context *cx, at_ids *ids, int32_t id)
{
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity * 2 + 32;
        int32_t *bigger = at_resize(cx, ids->ids, capacity, sizeof *bigger);
        if (!bigger) return;
        ids->ids = bigger;
        ids->capacity = capacity;
    }
    ids->ids[ids->count++] = id;
}

void at_ids_free(at_ids *ids)
{
    at_free(ids->ids);
    *ids = (at_ids){0};
}
