/* English words to phonemes, from the end of a text to its beginning, since how a word sounds
   depends on what follows: misaki's en.py without its tagger, of which the few words before a word
   stand in. */
#include "text/english_tokens.h"
#include "text/espeak.h"
#include "text/pieces_of_speech.h"
#include "text/unicode.h"
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum { MOST_PARTS = 64, PART = 112 };

typedef struct speaker {
    at_context *cx;
    const at_lexicon *lexicon;
    bool british;
    at_text *missed; /* words that nothing can be said for */
} speaker;

/* ---- what the words before let expect */

static const char *tag_after(const char *before)
{
    static const char *const verbs[] = {"to",      "will",   "would",  "can",   "could",  "should",
                                        "shall",   "must",   "may",    "might", "i",      "you",
                                        "we",      "they",   "who",    "don't", "didn't", "doesn't",
                                        "won't",   "can't",  "let's",  "i'll",  "you'll", "we'll",
                                        "they'll", "cannot", "please", NULL};
    static const char *const nouns[] = {
        "the",  "a",  "an",   "my", "your", "his",   "her", "its",     "our",   "their", "this",
        "that", "of", "some", "no", "each", "every", "any", "another", "these", "those", NULL};
    static const char *const auxiliaries[] = {"have", "has",  "had",   "is", "are", "was",
                                              "were", "been", "being", "be", NULL};
    char small[16];
    size_t n = before ? strlen(before) : 0;
    if (!n || n >= sizeof small) return NULL;
    for (size_t i = 0; i <= n; i++) small[i] = (char)tolower((unsigned char)before[i]);
    return at_is_listed(small, verbs)         ? "VERB"
           : at_is_listed(small, nouns)       ? "NOUN"
           : at_is_listed(small, auxiliaries) ? "VBN"
                                              : NULL;
}

/* "that" points at something, and is stressed, behind these words and before those. */
static bool points(const char *that, const char *before, const char *next)
{
    static const char *const behind[] = {"of",   "in",  "like", "for",    "as",  "at",
                                         "with", "by",  "from", "about",  "on",  "after",
                                         "do",   "all", "than", "before", "and", NULL};
    static const char *const ahead[] = {"time",  "way",  "which", "of", "day", "kind", "sort",
                                        "night", "year", ".",     "!",  "?",   NULL};
    if (strncasecmp(that, "that", 4) != 0 || (that[4] && strcmp(that + 4, "'s") != 0)) return false;
    return that[0] == 'T' || that[4] || (before && at_is_listed(before, behind)) ||
           (next && at_is_listed(next, ahead));
}

static at_next_sound sound_after(const at_sounds *s, at_next_sound before)
{
    for (int i = 0; i < s->count; i++) {
        if (at_is_one_of(s->code[i], ";:,.!?—…")) return AT_NEXT_NOTHING;
        if (at_is_vowel(s->code[i])) return AT_NEXT_VOWEL;
        if (at_is_consonant(s->code[i])) return AT_NEXT_CONSONANT;
    }
    return before;
}

/* ---- one word */

static bool is_upper_word(const char *word)
{
    bool any = false;
    for (; *word; word++) {
        if (islower((unsigned char)*word)) return false;
        any = any || isupper((unsigned char)*word);
    }
    return any;
}

static double stress_of(const char *word)
{
    bool any = false;
    for (const char *c = word; *c; c++) any = any || isupper((unsigned char)*c);
    return !any ? NAN : is_upper_word(word) ? 2 : 0.5;
}

static void say_word(const speaker *e, const char *word, const at_word_context *c, at_sounds *out);

/* Several plain words with spaces between, last to first; a comma behind one is a pause. */
static void say_words(const speaker *e, const char *phrase, at_word_context context, at_sounds *out)
{
    char *words = at_copy_text(e->cx, phrase), *last;
    at_sounds word;
    out->count = 0;
    do {
        last = words ? strrchr(words, ' ') : NULL;
        char *one = last ? last + 1 : words;
        size_t n = one ? strlen(one) : 0;
        bool pause = n > 1 && one[n - 1] == ',';
        if (pause) one[n - 1] = 0;
        char *sounds = n ? strstr(one, "/ə") : NULL; /* "hundred/ən" */
        if (sounds) *sounds++ = 0;
        n = n ? strlen(one) : 0;
        if (pause) context.next = AT_NEXT_NOTHING;
        at_sounds_none(&word);
        if (n && strcmp(one, "point") == 0)
            at_lexicon_say(e->lexicon, one, -2, &context, &word);
        else if (n && strcmp(one, "A") == 0)
            at_lexicon_spell(e->lexicon, one, &word);
        else if (n)
            say_word(e, one, &context, &word);
        for (const char *at = sounds; at && *at; at += at_utf8_size((unsigned char)*at)) {
            size_t size;
            at_sounds_add_code(&word, at_utf8_next(at, &size));
        }
        context.next = sound_after(&word, context.next);
        if (pause) at_sounds_add_code(&word, ',');
        if (out->count && word.count > 0) at_sounds_add_code(&word, ' ');
        at_sounds_add(&word, out);
        *out = word;
        if (last) *last = 0;
    } while (last);
    at_free(words);
}

/* What is written shorter than said: a number, a sign. */
static void say_token(const speaker *e, const char *token, const at_word_context *c, at_sounds *out)
{
    at_text words = {0};
    const char *symbol = at_english_symbol(token);
    at_sounds_none(out);
    bool begins = isdigit((unsigned char)*token) || strchr("-.#$", *token) || (*token & 0x80);
    if (symbol)
        say_words(e, symbol, *c, out);
    else if (*token && begins && at_add_spoken_token(e->cx, &words, token, !e->british) &&
             words.size)
        say_words(e, words.data, *c, out);
    at_text_free(&words);
}

/* ---- compounds: letters, digits and signs in turn */

typedef struct part {
    char text[PART];
    at_sounds said; /* count -1: not known yet */
    bool separate;  /* a space before it when spoken */
} part;

enum { LETTERS, DIGITS, SIGN };

static int kind_of(int32_t code)
{
    if (code >= '0' && code <= '9') return DIGITS;
    return code == '\'' || at_is_word(code) ? LETTERS : SIGN;
}

/* misaki's SUBTOKEN_REGEX: "YouTube2" -> You, Tube, 2 */
static int cut_parts(const char *word, part *parts)
{
    int count = 0, last = -1;
    bool was_small = false;
    for (size_t size; *word && count < MOST_PARTS; word += size) {
        int32_t code = at_utf8_next(word, &size);
        int kind = code == '_' ? SIGN : kind_of(code);
        bool point =
            last == DIGITS && (code == '.' || code == ',') && isdigit((unsigned char)word[1]);
        bool hump = kind == LETTERS && was_small && code < 128 && isupper((int)code);
        if (point) kind = DIGITS;
        if (kind != last || kind == SIGN || hump) {
            parts[count].text[0] = 0;
            at_sounds_none(&parts[count].said);
            parts[count++].separate = false;
        }
        char *text = parts[count - 1].text;
        size_t length = strlen(text);
        if (length + size < PART) {
            memcpy(text + length, word, size);
            text[length + size] = 0;
        }
        last = kind;
        was_small = kind == LETTERS && !(code < 128 && isupper((int)code)) && code != '\'';
    }
    return count;
}

static bool is_silent(const char *text)
{
    return *text && text[strspn(text, "',-._/")] == 0;
}

static void say_whole(const speaker *e, const char *word, const at_word_context *c, at_sounds *out)
{
    at_lexicon_say(e->lexicon, word, stress_of(word), c, out);
    if (out->count < 0) say_token(e, word, c, out);
}

/* Finds the longest known stretches from the end on; false where one part has none. letters: an "a"
   is one. */
static bool say_stretches(const speaker *e, part *parts, int count, bool letters, at_word_context c)
{
    for (int right = count; right > 0;) {
        int left = 0;
        for (; left < right; left++) {
            char whole[MOST_PARTS * 8] = "";
            for (int i = left; i < right; i++)
                strncat(whole, parts[i].text, sizeof whole - strlen(whole) - 1);
            if (letters && (strcmp(whole, "a") == 0 || strcmp(whole, "A") == 0))
                at_lexicon_spell(e->lexicon, whole, &parts[left].said);
            else if (!(left > 0 && *whole == '-'))
                say_whole(e, whole, &c, &parts[left].said);
            if (parts[left].said.count >= 0) break;
        }
        if (left == right) {
            part *last = &parts[--right];
            if (is_silent(last->text))
                last->said.count = 0;
            else if (strpbrk(last->text, "aeiouyAEIOUY") || !isalpha((unsigned char)*last->text))
                return false;
            else
                at_lexicon_spell(e->lexicon, last->text, &last->said);
            continue;
        }
        for (int i = left + 1; i < right; i++) parts[i].said.count = 0;
        c.next = sound_after(&parts[left].said, c.next);
        right = left;
    }
    return true;
}

/* Of several stressed parts said as one word, the lighter half gives way. */
static void share_stress(part *parts, int count)
{
    int at[MOST_PARTS], n = 0, stressed = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].said.count <= 0) continue;
        at[n++] = i;
        stressed += at_sounds_has(&parts[i].said, AT_STRESS_FIRST);
    }
    if (n == 2 && strlen(parts[at[0]].text) == 1) {
        at_sounds_stress(&parts[at[1]].said, -0.5);
        return;
    }
    if (n < 2 || stressed <= (n + 1) / 2) return;
    for (int i = 1; i < n; i++) /* by stress, weight, place */
        for (int j = i; j > 0; j--) {
            const at_sounds *a = &parts[at[j - 1]].said, *b = &parts[at[j]].said;
            int order = (int)at_sounds_has(a, AT_STRESS_FIRST) * 10000 + at_sounds_weight(a) -
                        (int)at_sounds_has(b, AT_STRESS_FIRST) * 10000 - at_sounds_weight(b);
            if (order < 0 || (order == 0 && at[j - 1] < at[j])) break;
            int swap = at[j];
            at[j] = at[j - 1];
            at[j - 1] = swap;
        }
    for (int i = 0; i < n / 2; i++) at_sounds_stress(&parts[at[i]].said, -0.5);
}

/* Letters beside digits or signs are said apart. */
static bool are_apart(const char *word)
{
    bool seen[3] = {false};
    for (size_t size; *word; word += size) {
        int32_t code = at_utf8_next(word, &size);
        if (code == '/') return true;
        if (!at_is_one_of(code, "',-._‘’/")) seen[kind_of(code)] = true;
    }
    return seen[0] + seen[1] + seen[2] > 1;
}

static bool say_compound(const speaker *e, const char *word, const at_word_context *c,
                         at_sounds *out)
{
    part *parts = AT_NEW_ARRAY(e->cx, part, MOST_PARTS);
    int count = parts ? cut_parts(word, parts) : 0;
    bool apart = are_apart(word), fine;
    for (int i = 1; i + 1 < count; i++) /* 2024.com, node.js */
        if (strcmp(parts[i].text, ".") == 0 && strlen(parts[i - 1].text) > 1)
            strcpy(parts[i].text, "dot"), apart = true;
    for (int i = 1; i + 1 < count; i++) { /* x^2 */
        const char *power = parts[i + 1].text;
        if (strcmp(parts[i].text, "^") != 0 || (strcmp(power, "2") && strcmp(power, "3"))) continue;
        strcpy(parts[i].text, *power == '2' ? "squared" : "cubed");
        strcpy(parts[i + 1].text, "-"); /* silent */
    }
    fine = count > 1 && say_stretches(e, parts, count, apart, *c);
    if (fine) {
        if (!apart) share_stress(parts, count);
        out->count = 0;
        for (int i = 0; i < count; i++) {
            if (apart && out->count && parts[i].said.count > 0 && out->code[out->count - 1] != ' ')
                at_sounds_add_code(out, ' ');
            at_sounds_add(out, &parts[i].said);
        }
    }
    at_free(parts);
    return fine;
}

/* espeak-ng reads letters that it knows the names of in scripts that it reads. */
static bool is_readable(const char *word)
{
    for (size_t size; *word; word += size) {
        int32_t code = at_utf8_next(word, &size);
        if (code > 0x52f && !(code >= 0x1e00 && code < 0x2000)) return false;
    }
    return true;
}

static bool has_sense(const char *word)
{
    for (size_t size; *word; word += size) {
        int32_t code = at_utf8_next(word, &size);
        if (at_is_word(code) && code != '_') return true;
    }
    return false;
}

static void say_word(const speaker *e, const char *word, const at_word_context *c, at_sounds *out)
{
    say_whole(e, word, c, out);
    if (out->count < 0 && say_compound(e, word, c, out)) return;
    if (out->count >= 0) return;
    at_text said = {0};
    if (is_readable(word) && has_sense(word) && at_espeak_is_there() &&
        at_espeak_phonemes(e->cx, e->british ? "en-gb" : "en-us", word, &said) && said.size)
        at_sounds_set(out, said.data, said.size);
    else if (is_readable(word) && has_sense(word))
        at_lexicon_spell(e->lexicon, word, out);
    at_text_free(&said);
    if (out->count > 0) return;
    out->count = 0;
    if (!is_silent(word)) at_note_missed(e->cx, e->missed, word);
}

/* ---- all */

static char *phonemes_of(at_context *cx, at_sounds *s)
{
    char *text = AT_NEW_ARRAY(cx, char, 4 * AT_MAX(s->count, 0) + 1);
    for (int i = 0; i < s->count; i++) {
        if (s->code[i] == 0x27e) s->code[i] = 'T'; /* ɾ */
        if (s->code[i] == 0x294) s->code[i] = 't'; /* ʔ */
    }
    if (text) at_sounds_text(s, text);
    return text;
}

bool at_english_phonemes(at_context *cx, const at_lexicon *lexicon, bool british,
                         at_speech_pieces *pieces, at_text *missed)
{
    speaker e = {cx, lexicon, british, missed};
    at_word_context c = {0};
    at_sounds *s = AT_NEW(cx, at_sounds);
    for (int64_t i = pieces->count - 1; s && i >= 0 && at_ok(cx); i--) {
        at_speech_piece *p = &pieces->items[i];
        if (p->paragraph) c.next = AT_NEXT_NOTHING;
        if (p->phonemes) {
            at_sounds_set(s, p->phonemes, strlen(p->phonemes));
        } else {
            const at_speech_piece *before =
                i && pieces->items[i - 1].space ? &pieces->items[i - 1] : NULL;
            c.tag = before && !before->is_mark ? tag_after(before->text) : NULL;
            const char *next = i + 1 < pieces->count ? p[1].text : NULL;
            if (points(p->text, before ? before->text : NULL, next)) c.tag = "DT";
            if (!c.tag && strncasecmp(p->text, "live", 4) == 0 && p->text[4] != 's') c.tag = "VERB";
            if (c.tag && strcmp(c.tag, "VBN") == 0) c.before_to = false; /* "is used to" */
            if (p->words)
                say_words(&e, p->words, c, s);
            else
                say_word(&e, p->text, &c, s);
            at_sounds_stress(s, p->stress);
            p->phonemes = phonemes_of(cx, s);
        }
        c.next = sound_after(s, c.next);
        c.before_to = strcmp(p->text, "to") == 0 || strcmp(p->text, "To") == 0;
    }
    at_free(s);
    return at_ok(cx);
}
