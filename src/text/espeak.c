#include "text/espeak.h"
#include <string.h>

#ifdef AT_HAVE_ESPEAK

#include <espeak-ng/speak_lib.h>
#include <pthread.h>
#include <strings.h>

/* The library has one state for the whole process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int state; /* 0: not yet, 1: there, -1: not */
static char current[32];

static bool start(void)
{
    if (!state)
        state = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL, espeakINITIALIZE_DONT_EXIT) > 0
                    ? 1
                    : -1;
    return state > 0;
}

/* The voice that names the language, of several the one to which it matters most: its list is of
   priorities, the least is the first, each with a name behind it. NULL: none. */
static const char *voice_of(const char *language)
{
    const char *best = NULL;
    int least = 256;
    for (const espeak_VOICE **v = espeak_ListVoices(NULL); v && *v; v++)
        for (const char *at = (*v)->languages; *at; at += strlen(at + 1) + 2)
            if (strcasecmp(at + 1, language) == 0 && (unsigned char)*at < least) {
                least = (unsigned char)*at;
                best = (*v)->identifier;
            }
    return best;
}

static bool choose(const char *language)
{
    if (!start()) return false;
    if (strcmp(current, language) == 0) return true;
    const char *voice = strlen(language) < sizeof current ? voice_of(language) : NULL;
    if (!voice || espeak_SetVoiceByName(voice) != EE_OK) return false;
    strcpy(current, language);
    return true;
}

bool at_espeak_is_there(void)
{
    pthread_mutex_lock(&lock);
    bool there = start();
    pthread_mutex_unlock(&lock);
    return there;
}

bool at_espeak_has(at_context *cx, const char *language)
{
    pthread_mutex_lock(&lock);
    bool there = start(), has = there && choose(language);
    pthread_mutex_unlock(&lock);
    if (has) return true;
    if (!there)
        return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                             "espeak-ng finds no data (install the package espeak-ng-data)");
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED, "language \"%s\": espeak-ng does not have it",
                         language);
}

/* "(en)" and "(fr)" around words of another language */
static void add_without_flags(at_context *cx, at_text *out, const char *text)
{
    for (; *text; text++) {
        const char *end = *text == '(' ? strchr(text, ')') : NULL;
        if (end && end - text < 12)
            text = end;
        else if (*text != '\n')
            at_text_add(cx, out, text, 1);
    }
}

bool at_espeak_say(at_context *cx, const char *language, const char *text, at_text *out)
{
    const int ipa = 0x02, tied = 0x80 | '^' << 8;
    pthread_mutex_lock(&lock);
    bool fine = choose(language);
    for (const void *at = text; fine && at;) {
        const char *clause = espeak_TextToPhonemes(&at, espeakCHARS_UTF8, ipa | tied);
        if (!clause) break;
        if (out->size && out->data[out->size - 1] != ' ') at_text_add(cx, out, " ", 1);
        add_without_flags(cx, out, clause);
    }
    pthread_mutex_unlock(&lock);
    if (!fine)
        at_fail(cx, AT_ERROR_UNSUPPORTED, "language \"%s\": espeak-ng does not have it", language);
    return at_ok(cx);
}

#else

bool at_espeak_is_there(void)
{
    return false;
}

bool at_espeak_has(at_context *cx, const char *language)
{
    return at_fail_false(cx, AT_ERROR_UNSUPPORTED,
                         "language \"%s\": this build has no espeak-ng (build it with "
                         "libespeak-ng-dev)",
                         language);
}

bool at_espeak_say(at_context *cx, const char *language, const char *text, at_text *out)
{
    (void)text;
    (void)out;
    return at_espeak_has(cx, language);
}

#endif

/* ---- symbols */

typedef struct pair {
    const char *from, *to;
} pair;

static void replace_all(at_context *cx, at_text *text, const pair *p)
{
    at_text out = {0};
    size_t n = strlen(p->from);
    for (const char *at = text->data; at && *at;) {
        const char *next = strstr(at, p->from);
        size_t size = next ? (size_t)(next - at) : strlen(at);
        at_text_add(cx, &out, at, size);
        if (!next) break;
        at_text_add(cx, &out, p->to, strlen(p->to));
        at = next + n;
    }
    at_text_free(text);
    *text = out;
}

/* A consonant with a mark below that makes it a syllable gets its vowel before it. */
static void open_syllables(at_context *cx, at_text *text)
{
    static const char mark[] = "\u0329", vowel[] = "ᵊ";
    at_text out = {0};
    const char *data = text->data ? text->data : "";
    for (size_t i = 0, last = 0; data[i];) {
        size_t next = i + 1;
        while ((data[next] & 0xc0) == 0x80) next++;
        if (strncmp(data + i, mark, strlen(mark)) == 0) {
            if (out.size > last && data[i - 1] != ' ') {
                char letter[8];
                size_t size = out.size - last;
                if (size < sizeof letter) {
                    memcpy(letter, out.data + last, size);
                    out.size = last;
                    at_text_add(cx, &out, vowel, strlen(vowel));
                    at_text_add(cx, &out, letter, size);
                }
            }
        } else {
            last = out.size;
            at_text_add(cx, &out, data + i, next - i);
        }
        i = next;
    }
    at_text_free(text);
    *text = out;
}

static const pair english[] = {
    {"ʔˌn\u0329", "ʔn"}, {"ʔn\u0329", "ʔn"}, {"a^ɪ", "I"}, {"a^ʊ", "W"},  {"d^ʒ", "ʤ"},
    {"e^ɪ", "A"},        {"t^ʃ", "ʧ"},       {"ɔ^ɪ", "Y"}, {"ə^l", "ᵊl"}, {"ʲo", "jo"},
    {"ʲə", "jə"},        {"e", "A"},         {"ʲ", ""},    {"ɚ", "əɹ"},   {"r", "ɹ"},
    {"x", "k"},          {"ç", "k"},         {"ɐ", "ə"},   {"ɬ", "l"},    {"\u0303", ""}};
static const pair british[] = {{"e^ə", "ɛː"}, {"iə", "ɪə"}, {"ə^ʊ", "Q"}};
static const pair american[] = {{"o^ʊ", "O"}, {"ɜːɹ", "ɜɹ"}, {"ɜː", "ɜɹ"}, {"ɪə", "iə"}, {"ː", ""}};
static const pair english_end[] = {{"o", "ɔ"}, {"ɾ", "T"}, {"ʔ", "t"}, {"^", ""}};
static const pair others[] = {{"a^ɪ", "I"}, {"a^ʊ", "W"}, {"d^z", "ʣ"}, {"d^ʒ", "ʤ"},  {"e^ɪ", "A"},
                              {"o^ʊ", "O"}, {"s^s", "S"}, {"t^s", "ʦ"}, {"t^ʃ", "ʧ"},  {"ɔ^ɪ", "Y"},
                              {"ə^ʊ", "Q"}, {"^", ""},    {"-", ""},    {"\u032a", ""}};

#define REPLACE(cx, text, pairs) \
    for (size_t i_ = 0; i_ < AT_COUNT(pairs); i_++) replace_all(cx, text, &(pairs)[i_])

bool at_espeak_phonemes(at_context *cx, const char *language, const char *text, at_text *out)
{
    at_text said = {0};
    bool fine = at_espeak_say(cx, language, text, &said);
    if (fine && strncmp(language, "en", 2) == 0) {
        REPLACE(cx, &said, english);
        open_syllables(cx, &said);
        if (strcmp(language, "en-gb") == 0)
            REPLACE(cx, &said, british);
        else
            REPLACE(cx, &said, american);
        REPLACE(cx, &said, english_end);
    } else if (fine) {
        REPLACE(cx, &said, others);
    }
    while (said.size && said.data[said.size - 1] == ' ') said.data[--said.size] = 0;
    const char *first = said.data ? said.data : "";
    while (*first == ' ') first++;
    at_text_add(cx, out, first, strlen(first));
    at_text_free(&said);
    return fine && at_ok(cx);
}
