#include "text/phonemes.h"
#include "base/file.h"
#include "text/espeak.h"
#include "text/pieces_of_speech.h"
#include "text/unicode.h"
#include <ctype.h>
#include <string.h>

struct at_phonemizer {
    char language[32];
    at_lexicon *lexicon;
};

at_phonemizer *at_phonemizer_open(at_context *cx, const char *folder, const char *language)
{
    at_phonemizer *p = at_ok(cx) ? AT_NEW(cx, at_phonemizer) : NULL;
    if (!p) return NULL;
    if (strlen(language) < sizeof p->language) strcpy(p->language, language);
    bool english = strcmp(language, "en-us") == 0 || strcmp(language, "en-gb") == 0;
    char *path = english && folder ? at_format(cx, "%s/lexicon/%s.txt", folder, language) : NULL;
    if (path && at_file_exists(path))
        p->lexicon = at_lexicon_open(cx, path, strcmp(language, "en-gb") == 0);
    else if (strncmp(language, "ja", 2) == 0 || strcmp(language, "cmn") == 0 ||
             strcmp(language, "zh") == 0)
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "language \"%s\": words of it cannot be turned to phonemes yet (give phonemes by "
                "--phonemes)",
                language);
    else
        at_espeak_has(cx, language);
    at_free(path);
    if (at_ok(cx)) return p;
    at_phonemizer_free(p);
    return NULL;
}

void at_phonemizer_free(at_phonemizer *p)
{
    if (!p) return;
    at_lexicon_free(p->lexicon);
    at_free(p);
}

void at_utterance_drop(at_utterance *u, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        at_free(u->items[i].text);
        at_free(u->items[i].phonemes);
    }
    u->count -= count;
    if (count) memmove(u->items, u->items + count, (size_t)u->count * sizeof *u->items);
}

void at_utterance_free(at_utterance *u)
{
    at_utterance_drop(u, u->count);
    at_free(u->items);
    at_text_free(&u->missed);
    *u = (at_utterance){0};
}

void at_utterance_warn(at_context *cx, const at_utterance *u)
{
    if (u->missed.size)
        at_log(cx, AT_LOG_WARNING, "not spoken, for want of a sound: %.200s%s", u->missed.data,
               u->missed.size > 200 ? " ..." : "");
}

bool at_utterance_add(at_context *cx, at_utterance *u, char *text, char *phonemes, bool space,
                      bool paragraph)
{
    if (u->count == u->capacity) {
        int64_t capacity = AT_MAX(64, u->capacity * 2);
        at_spoken *more = at_resize(cx, u->items, (size_t)capacity, sizeof *more);
        if (more) {
            u->items = more;
            u->capacity = capacity;
        }
    }
    if (!at_ok(cx) || !text || !phonemes) {
        at_free(text);
        at_free(phonemes);
        return false;
    }
    u->items[u->count++] = (at_spoken){text, phonemes, space, paragraph};
    return true;
}

/* By espeak-ng, all words between two marks at once; their phonemes come back word by word. */
static bool add_clause(at_context *cx, const at_phonemizer *p, const at_speech_piece *first,
                       const at_speech_piece *end, at_utterance *out)
{
    at_text words = {0}, said = {0};
    for (const at_speech_piece *w = first; w < end; w++)
        at_text_print(cx, &words, "%s%s", w->words ? w->words : w->text,
                      w->space || w + 1 < end ? " " : "");
    bool fine = words.size && at_espeak_phonemes(cx, p->language, words.data, &said);
    char *at = said.data ? said.data : NULL;
    if (!at && fine) at = (char[]){""};
    while (fine && at) { /* espeak-ng may say one word as several */
        char *space = strchr(at, ' ');
        bool last = !space;
        char *text = at_copy_text(cx, at == said.data ? words.data : "");
        char *one = space ? at_format(cx, "%.*s", (int)(space - at), at) : at_copy_text(cx, at);
        fine = at_utterance_add(cx, out, text, one, last ? end[-1].space : true,
                                last && end[-1].paragraph);
        at = last ? NULL : space + 1;
    }
    at_text_free(&words);
    at_text_free(&said);
    return fine || !words.size;
}

static bool by_espeak(at_context *cx, const at_phonemizer *p, at_speech_pieces *pieces,
                      at_utterance *out)
{
    for (int64_t i = 0; i < pieces->count && at_ok(cx);) {
        at_speech_piece *piece = &pieces->items[i];
        int64_t end = i;
        while (end < pieces->count && !pieces->items[end].phonemes && end - i < 200 &&
               !(end > i && pieces->items[end - 1].paragraph))
            end++;
        if (end > i) {
            add_clause(cx, p, piece, pieces->items + end, out);
            i = end;
            continue;
        }
        at_utterance_add(cx, out, at_copy_text(cx, piece->text), at_copy_text(cx, piece->phonemes),
                         piece->space, piece->paragraph);
        i++;
    }
    return at_ok(cx);
}

static bool by_lexicon(at_context *cx, const at_phonemizer *p, at_speech_pieces *pieces,
                       at_utterance *out)
{
    bool british = strcmp(p->language, "en-gb") == 0;
    bool fine = at_english_phonemes(cx, p->lexicon, british, pieces, &out->missed);
    for (int64_t i = 0; fine && i < pieces->count; i++) {
        at_speech_piece *piece = &pieces->items[i];
        fine =
            at_utterance_add(cx, out, piece->text, piece->phonemes, piece->space, piece->paragraph);
        piece->text = piece->phonemes = NULL;
    }
    return fine;
}

/* Whether a sentence ends before white space at `at`, and no abbreviation. */
static bool ends_at(const char *text, size_t begin, size_t at)
{
    static const char *const marks[] = {"!", "?", "…", "。", "।", "？", "！"};
    while (at > begin && strchr("\"')", text[at - 1])) at--;
    for (size_t i = 0; i < AT_COUNT(marks); i++) {
        size_t n = strlen(marks[i]);
        if (at - begin >= n && memcmp(text + at - n, marks[i], n) == 0) return true;
    }
    bool stop = at - begin > 4 && text[at - 1] == '.';
    for (size_t i = 2; i < 5 && stop; i++) stop = islower((unsigned char)text[at - i]);
    return stop;
}

/* Where a part that begins at `begin` ends: at an empty line or behind a sentence, some way on; in
   a text without them at white space, or anywhere. */
static size_t part_end(const char *text, size_t size, size_t begin)
{
    enum { LEAST = 1500, MOST = 16000 };
    size_t at = begin + LEAST;
    for (; at < size; at++) {
        bool blank = isspace((unsigned char)text[at]), far = at - begin > MOST;
        bool empty_line = text[at] == '\n' && text[at - 1] == '\n';
        if ((blank && (far || empty_line || ends_at(text, begin, at))) ||
            (at - begin > 2 * MOST && (text[at] & 0xc0) != 0x80))
            break;
    }
    while (at < size && isspace((unsigned char)text[at])) at++;
    return AT_MIN(at, size);
}

size_t at_phonemize_part(at_context *cx, const at_phonemizer *p, const char *text, size_t size,
                         size_t at, at_utterance *out)
{
    at_text valid = {0};
    at_speech_pieces pieces = {0};
    if (!at_ok(cx) || !p) return 0;
    size_t end = part_end(text, size, at), line = at;
    while (line > 0 && text[line - 1] != '\n') line--;
    at_utf8_repair(cx, text + at, end - at, &valid);
    for (size_t i = 0; i < valid.size; i++) /* what was no UTF-8, and zeros */
        if (!valid.data[i] ||
            memcmp(valid.data + i, "\xef\xbf\xbd", AT_MIN(valid.size - i, 3)) == 0)
            memset(valid.data + i, ' ', valid.data[i] ? AT_MIN(valid.size - i, 3) : 1);
    bool english = strncmp(p->language, "en", 2) == 0;
    bool fine = !valid.size || at_cut_speech(cx, valid.data, valid.size, at - line, p->lexicon,
                                             english, &pieces, &out->missed);
    if (fine && english) fine = at_english_forms(cx, &pieces, strcmp(p->language, "en-gb") != 0);
    if (fine) fine = p->lexicon ? by_lexicon(cx, p, &pieces, out) : by_espeak(cx, p, &pieces, out);
    at_speech_pieces_free(&pieces);
    at_text_free(&valid);
    return fine && at_ok(cx) ? end : 0;
}

bool at_phonemize(at_context *cx, const at_phonemizer *p, const char *text, size_t size,
                  at_utterance *out)
{
    size_t at = 0;
    while (at < size && (at = at_phonemize_part(cx, p, text, size, at, out)) > 0) {}
    at_utterance_warn(cx, out);
    return at == size && at_ok(cx);
}
