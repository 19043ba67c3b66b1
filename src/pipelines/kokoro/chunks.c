#include "pipelines/kokoro/speaker.h"
#include "text/unicode.h"
#include <string.h>

enum { LEAST = 12 }; /* symbols before a mark that a first chunk may end at */

static const char ends[] = "...!?…"; /* three dots may be one mark */

static int64_t symbols_of(const at_spoken *s)
{
    return (int64_t)at_utf8_count(s->phonemes, strlen(s->phonemes)) + s->space;
}

static bool is_mark(const at_spoken *s, const char *marks)
{
    return *s->phonemes && strstr(marks, s->phonemes);
}

/* Brackets and quotes close behind a mark. */
static int64_t past_closing(const at_utterance *u, int64_t i)
{
    while (i < u->count && is_mark(&u->items[i], ")”\"") && !u->items[i - 1].space) i++;
    return i;
}

/* The end of the sentence that goes on at i, or where it is longer than `most`; *symbols: of it. */
static int64_t sentence_end(const at_utterance *u, int64_t i, int64_t most, int64_t *symbols)
{
    for (*symbols = 0; i < u->count; i++) {
        *symbols += symbols_of(&u->items[i]);
        if (*symbols > most) return i + 1;
        if (u->items[i].paragraph) return i + 1;
        if (is_mark(&u->items[i], ends) && u->items[i].space) return i + 1;
        if (!is_mark(&u->items[i], ends)) continue;
        int64_t past = past_closing(u, i + 1);
        if (past == i + 1) continue;
        for (i++; i < past; i++) *symbols += symbols_of(&u->items[i]);
        return past;
    }
    return u->count;
}

/* Words that a part of a sentence begins with: where a first one without marks may be cut. */
static bool begins_part(const at_spoken *s)
{
    static const char *const words[] = {
        "and", "but", "or",   "because", "that", "which", "who", "when",  "while", "where",
        "if",  "so",  "than", "with",    "for",  "from",  "as",  "until", "after", "before"};
    for (size_t i = 0; i < AT_COUNT(words); i++)
        if (strcmp(s->text, words[i]) == 0) return true;
    return false;
}

/* Where a sentence that is too long is cut: behind the last mark, else the last word, that keeps it
   within `most`. */
static int64_t cut(const at_utterance *u, int64_t begin, int64_t end, int64_t most, bool marks_only)
{
    int64_t symbols = 0, mark = 0, part = 0, word = 0;
    for (int64_t i = begin; i < end; i++) {
        if (symbols >= LEAST && symbols <= most && begins_part(&u->items[i])) part = i;
        symbols += symbols_of(&u->items[i]);
        if (symbols > most) break;
        if (is_mark(&u->items[i], ";:,—…") && symbols >= LEAST) mark = i + 1;
        word = i + 1;
    }
    if (mark) return mark;
    if (marks_only) return part ? part : end;
    return word > begin ? word : begin + 1;
}

bool at_next_chunk(const at_utterance *u, int64_t begin, int64_t target, int64_t most, bool first,
                   at_chunk *out)
{
    if (begin >= u->count) return false;
    target = AT_MIN(target, most);
    int64_t symbols, end = sentence_end(u, begin, most, &symbols);
    if (first && symbols > target) {
        int64_t at = cut(u, begin, end, target, true);
        if (at == end) at = cut(u, begin, end, 2 * target, true);
        if (at == end && symbols > 4 * target) at = cut(u, begin, end, target, false);
        for (int64_t i = at; i < end; i++) symbols -= symbols_of(&u->items[i]);
        end = at;
    }
    if (symbols > most) end = cut(u, begin, end, most, false);
    while (symbols <= target && end < u->count && !u->items[end - 1].paragraph && !first) {
        int64_t more, next = sentence_end(u, end, most, &more);
        if (symbols + more > target) break;
        symbols += more;
        end = next;
    }
    bool broken = end < u->count && !u->items[end - 1].paragraph &&
                  !is_mark(&u->items[end - 1], ends) && !is_mark(&u->items[end - 1], ";:,—)”");
    *out = (at_chunk){begin, end, broken};
    return true;
}
