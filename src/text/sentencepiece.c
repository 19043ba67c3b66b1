#include "text/sentencepiece.h"
#include "text/unicode.h"
#include <math.h>
#include <string.h>

/* --- Protobuf: a message is a row of (field number << 3 | wire type, value). --- */

typedef struct reader {
    const uint8_t *at, *end;
    bool damaged;
} reader;

typedef struct field {
    uint32_t number;
    int wire; /* 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes */
    uint64_t value;
    const uint8_t *bytes;
    size_t size;
} field;

static uint64_t read_varint(reader *r)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    r->damaged = true;
    return 0;
}

static uint64_t read_fixed(reader *r, size_t size)
{
    uint64_t value = 0;
    if ((size_t)(r->end - r->at) < size) {
        r->damaged = true;
        return 0;
    }
    for (size_t i = 0; i < size; i++) value |= (uint64_t)r->at[i] << (8 * i);
    r->at += size;
    return value;
}

/* The next field; false at the end or when the bytes are damaged. */
static bool read_field(reader *r, field *f)
{
    if (r->damaged || r->at == r->end) return false;
    uint64_t tag = read_varint(r);
    *f = (field){.number = (uint32_t)(tag >> 3), .wire = (int)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) r->damaged = true;
    switch (f->wire) {
    case 0:
        f->value = read_varint(r);
        break;
    case 1:
        f->value = read_fixed(r, 8);
        break;
    case 5:
        f->value = read_fixed(r, 4);
        break;
    case 2: {
        uint64_t size = read_varint(r);
        if (r->damaged || size > (uint64_t)(r->end - r->at)) {
            r->damaged = true;
            break;
        }
        f->bytes = r->at;
        f->size = (size_t)size;
        r->at += size;
        break;
    }
    default:
        r->damaged = true; /* groups are not used */
    }
    return !r->damaged;
}

static reader inside(const field *f)
{
    return (reader){f->bytes, f->bytes ? f->bytes + f->size : NULL, false};
}

/* --- The messages. --- */

/* ModelProto.SentencePiece: 1 piece, 2 score, 3 type. */
static bool read_piece(const field *message, at_spm_piece *piece)
{
    reader r = inside(message);
    field f;
    *piece = (at_spm_piece){.text = "", .type = AT_PIECE_NORMAL};
    while (read_field(&r, &f)) {
        if (f.number == 1 && f.wire == 2) {
            piece->text = (const char *)f.bytes;
            piece->size = f.size;
        } else if (f.number == 2 && f.wire == 5) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&piece->score, &bits, sizeof bits);
        } else if (f.number == 3 && f.wire == 0) {
            piece->type = f.value >= 1 && f.value <= 6 ? (at_piece_type)f.value : AT_PIECE_NORMAL;
        }
    }
    return !r.damaged && isfinite(piece->score) && at_utf8_valid(piece->text, piece->size);
}

/* TrainerSpec: 3 model_type, 35 byte_fallback, 40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id, 45
   unk_piece. Negative numbers are ten-byte varints. */
static bool read_trainer(const field *message, at_sentencepiece *out)
{
    reader r = inside(message);
    field f;
    while (read_field(&r, &f)) {
        int32_t number = (int32_t)(uint32_t)f.value;
        if (f.wire == 0) {
            switch (f.number) {
            case 3:
                out->model = (at_spm_model)AT_MIN(f.value, 5);
                break;
            case 35:
                out->byte_fallback = f.value != 0;
                break;
            case 40:
                out->unk_id = number;
                break;
            case 41:
                out->bos_id = number;
                break;
            case 42:
                out->eos_id = number;
                break;
            case 43:
                out->pad_id = number;
                break;
            }
        } else if (f.number == 45 && f.wire == 2 && at_utf8_valid((const char *)f.bytes, f.size)) {
            out->unk_piece = (const char *)f.bytes;
            out->unk_piece_size = f.size;
        }
    }
    return !r.damaged;
}

/* NormalizerSpec: 2 precompiled_charsmap. */
static bool read_normalizer(const field *message, at_sentencepiece *out)
{
    reader r = inside(message);
    field f;
    while (read_field(&r, &f)) {
        if (f.number != 2 || f.wire != 2 || f.size == 0) continue;
        out->charsmap = f.bytes;
        out->charsmap_size = f.size;
    }
    return !r.damaged;
}

static size_t count_pieces(reader r)
{
    size_t count = 0;
    field f;
    while (read_field(&r, &f)) count += f.number == 1 && f.wire == 2;
    return count;
}

/* ModelProto: 1 pieces, 2 trainer_spec, 3 normalizer_spec. */
bool at_sentencepiece_parse(at_context *cx, const void *data, size_t size, const char *what,
                            at_sentencepiece *out)
{
    *out = (at_sentencepiece){
        .model = AT_SPM_UNIGRAM, .unk_id = 0, .bos_id = 1, .eos_id = 2, .pad_id = -1};
    if (!at_ok(cx)) return false;
    const uint8_t *bytes = data;
    reader r = {bytes, bytes + size, false};
    size_t count = count_pieces(r);
    if (count == 0 || count > INT32_MAX)
        return at_fail_false(cx, AT_ERROR_FORMAT, "%s: not a sentencepiece model", what);
    out->pieces = AT_NEW_ARRAY(cx, at_spm_piece, count);
    if (!out->pieces) return false;
    bool fine = true;
    field f;
    while (fine && read_field(&r, &f)) {
        if (f.wire != 2) continue;
        if (f.number == 1)
            fine = read_piece(&f, &out->pieces[out->count++]);
        else if (f.number == 2)
            fine = read_trainer(&f, out);
        else if (f.number == 3)
            fine = read_normalizer(&f, out);
    }
    if (fine && !r.damaged) return true;
    at_sentencepiece_free(out);
    return at_fail_false(cx, AT_ERROR_FORMAT, "%s: the sentencepiece model is damaged", what);
}

void at_sentencepiece_free(at_sentencepiece *model)
{
    at_free(model->pieces);
    model->pieces = NULL;
    model->count = 0;
}
