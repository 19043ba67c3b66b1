/* English words and numbers against misaki and num2words (tools/reference/phonemes.py), and whole
   texts. */
#include "base/json.h"
#include "text/english_numbers.h"
#include "text/english_tokens.h"
#include "text/espeak.h"
#include "text/lexicon.h"
#include "text/phonemes.h"
#include "text/pieces_of_speech.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static at_context *cx;
static char warning[512];

static const char *text_at(const cJSON *list, int i)
{
    const cJSON *item = cJSON_GetArrayItem(list, i);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static double stress_of(const char *word)
{
    bool upper = false, lower = false;
    for (; *word; word++) {
        upper = upper || (*word >= 'A' && *word <= 'Z');
        lower = lower || (*word >= 'a' && *word <= 'z');
    }
    return !upper ? NAN : lower ? 0.5 : 2;
}

/* What the tagger alone decides is left out: "USA" is spelled as a name there, as "read" is past.
 */
static void test_words(void **state)
{
    (void)state;
    cJSON *json = at_json_read(cx, AT_FIXTURES "/phonemes/expected.json");
    at_lexicon *lexicons[2] = {
        at_lexicon_open(cx, AT_FIXTURES "/phonemes/lexicon/en-us.txt", false),
        at_lexicon_open(cx, AT_FIXTURES "/phonemes/lexicon/en-gb.txt", true)};
    const cJSON *words = cJSON_GetObjectItem(json, "words"), *item;
    int count = 0, wrong = 0;
    cJSON_ArrayForEach(item, words)
    {
        const char *word = text_at(item, 1), *next = text_at(item, 2), *want = text_at(item, 3);
        at_word_context c = {.next = strcmp(next, "vowel") == 0       ? AT_NEXT_VOWEL
                                     : strcmp(next, "consonant") == 0 ? AT_NEXT_CONSONANT
                                                                      : AT_NEXT_NOTHING};
        at_sounds said;
        char text[4096] = "(none)";
        at_lexicon_say(lexicons[cJSON_IsTrue(cJSON_GetArrayItem(item, 0))], word, stress_of(word),
                       &c, &said);
        if (said.count >= 0) at_sounds_text(&said, text);
        if (strcmp(text, want ? want : "(none)") != 0) {
            printf("%s before %s: %s, not %s\n", word, next, text, want ? want : "(none)");
            wrong++;
        }
        count++;
    }
    assert_true(count > 500);
    assert_int_equal(wrong, 0);
    at_lexicon_free(lexicons[0]);
    at_lexicon_free(lexicons[1]);
    cJSON_Delete(json);
}

static void test_numbers(void **state)
{
    (void)state;
    cJSON *json = at_json_read(cx, AT_FIXTURES "/phonemes/expected.json");
    const cJSON *item;
    int count = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "numbers"))
    {
        const char *digits = text_at(item, 0), *kind = text_at(item, 1);
        at_text said = {0};
        at_add_number(cx, &said, digits, strlen(digits),
                      kind[0] == 'c'   ? AT_CARDINAL
                      : kind[0] == 'o' ? AT_ORDINAL
                                       : AT_YEAR);
        assert_string_equal(said.data, text_at(item, 2));
        at_text_free(&said);
        count++;
    }
    assert_true(count > 50);
    cJSON_Delete(json);
}

static void test_tokens(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"$5.20", "five dollars and twenty cents"},
        {"$1", "one dollar"},
        {"$0.05", "five cents"},
        {"£3.01", "three pounds and one penny"},
        {"$5 million", "five million dollars"},
        {"$2.5M", "two point five million dollars"},
        {"€1,234", "one thousand two hundred thirty four euros"},
        {"1,234,567", "one million two hundred thirty four thousand five hundred sixty seven"},
        {"3.14", "three point one four"},
        {"-7", "minus seven"},
        {"21st", "twenty first"},
        {"1990s", "nineteen nineties"},
        {"7:05", "seven oh five"},
        {"3:00", "three o'clock"},
        {"15:30", "fifteen thirty"},
        {"2024-05-12", "May twelfth twenty twenty four"},
        {"5/12/2024", "May twelfth twenty twenty four"},
        {"45%", "forty five percent"},
        {"20°C", "twenty degrees Celsius"},
        {"007", "zero zero seven"},
        {"1.2.3", "one dot two dot three"},
        {"#4", "number four"},
    };
    for (size_t i = 0; i < AT_COUNT(pairs); i++) {
        at_text said = {0};
        assert_true(at_add_spoken_token(cx, &said, pairs[i][0], true));
        assert_string_equal(said.data, pairs[i][1]);
        at_text_free(&said);
    }
    at_text said = {0};
    assert_true(at_add_spoken_token(cx, &said, "5/12/2024", false));
    assert_string_equal(said.data, "December fifth twenty twenty four");
    at_text_free(&said);
    assert_false(at_add_spoken_token(cx, &said, "3D", true));
    assert_false(at_add_spoken_token(cx, &said, "$x", true));
    at_text_free(&said);
}

/* All that is read of a text, with its marks. */
static void words_of(const char *text, bool american, char out[2048])
{
    at_speech_pieces pieces = {0};
    at_text missed = {0};
    at_lexicon *lexicon = at_lexicon_open(cx, AT_FIXTURES "/phonemes/lexicon/en-us.txt", false);
    out[0] = 0;
    assert_true(at_cut_speech(cx, text, strlen(text), 0, lexicon, true, &pieces, &missed));
    assert_int_equal(missed.size, 0);
    assert_true(at_english_forms(cx, &pieces, american));
    for (int64_t i = 0; i < pieces.count; i++) {
        const at_speech_piece *p = &pieces.items[i];
        strncat(out, p->is_mark ? p->phonemes : p->words ? p->words : p->text, 2047 - strlen(out));
        strncat(out, p->space ? " " : "", 2047 - strlen(out));
    }
    at_speech_pieces_free(&pieces);
    at_lexicon_free(lexicon);
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"1/2 cup, 3 1/4 or 2½; 5/8 of 24/7",
         "one half cup, three and a quarter or two and a half; five eighths of twenty four seven"},
        {"Henry VIII's wives, King Charles I and Pope John Paul II.",
         "Henry the eighth's wives, King Charles the first and Pope John Paul the second."},
        {"Chapter IV of World War II, an IV drip, the MIX, Malcolm X, I",
         "Chapter four of World War two, an IV drip, the MIX, Malcolm X, I"},
        {"Call (555) 123-4567 or +44 20 7946 0958 or 1-800-555-0199.",
         "Call five five five, one two three, four five six seven or plus four four, two zero, "
         "seven nine four six, zero nine five eight or one, eight hundred, five five five, zero "
         "one nine nine."},
        {"See https://www.example.com/a_b/index.html?x=1!",
         "See W W W dot example dot com slash A underscore B slash index dot H T M L question mark "
         "X equals one!"},
        {"john.doe@example.co.uk, python.org, end.It",
         "john dot doe at example dot co dot U K, python dot org, end.It"},
        {"10-15 km, 10–15%, $10-15, 9am-5pm, 1914-1918, pages 100-1500",
         "ten to fifteen kilometers, ten to fifteen percent, ten to fifteen dollars, nine A.M to "
         "five P.M, nineteen fourteen to nineteen eighteen, pages one hundred to fifteen hundred"},
        {"1 km, 5 km/h, 9.8 m/s², 100 km², 20 °C, 6 ft. tall, 5'10\"",
         "one kilometer, five kilometers per hour, nine point eight meters per second squared, one "
         "hundred square kilometers, twenty degrees Celsius, six feet tall, five foot ten"},
        {"3:30 pm, 3:00pm, 10 a.m., 12:00, 1:02:33, 16:9, 4x4",
         "three thirty P.M, three P.M, ten A.M, twelve o'clock, one oh two thirty three, sixteen "
         "to nine, four by four"},
        {"May 12, 2024; on 4 July 1776; Jan. 5; 1/2/24; '90s; 70 AD",
         "May twelfth, twenty twenty four; on the fourth of July seventeen seventy six; January "
         "fifth; January second twenty twenty four; nineties; seventy A.D"},
        {"$3.5 million, -$5, 5€, US$5, 50¢, $100k, $5/month, USD 7",
         "three point five million dollars, minus five dollars, five euros, five U.S dollars, "
         "fifty cents, one hundred thousand dollars, five dollars per month, seven U.S dollars"},
        {"Main St. He met St. Luke, e.g. in vol. 2, p. 5 or No. 7. No. Not so.",
         "Main Street. He met Saint Luke, for example in volume two, page five or number seven. "
         "No. Not so."},
        {"the US and IT: AT&T, C#, .NET, #one, THE US IS",
         "the U.S and I.T: A T and T, C sharp, dot NET, hashtag one, THE US IS"},
        {"5×3 = 15, 10² ≥ 3, km/h, F-16, word²",
         "five times three equals fifteen, ten squared greater than or equal to three, kilometers "
         "per hour, F-16, word"},
        {"[105](#&#), [1,200](#a#), [105](#n#)",
         "one hundred and five, /ə thousand two hundred, one hundred/ən five"},
    };
    char out[2048];
    for (size_t i = 0; i < AT_COUNT(pairs); i++) {
        words_of(pairs[i][0], true, out);
        assert_string_equal(out, pairs[i][1]);
    }
    words_of("1/2/2024", false, out);
    assert_string_equal(out, "February first twenty twenty four");
}

/* All phonemes of a text in one line. */
static void spoken(const char *language, const char *text, char out[2048])
{
    at_phonemizer *p = at_phonemizer_open(cx, AT_FIXTURES "/phonemes", language);
    at_utterance u = {0};
    out[0] = 0;
    warning[0] = 0;
    if (!at_phonemize(cx, p, text, strlen(text), &u)) fail_msg("%s", at_error_text(cx));
    for (int64_t i = 0; i < u.count; i++) {
        strncat(out, u.items[i].phonemes, 2047 - strlen(out));
        strncat(out, u.items[i].paragraph ? "|" : u.items[i].space ? " " : "", 2047 - strlen(out));
    }
    at_utterance_free(&u);
    at_phonemizer_free(p);
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"Hello, world!", "həlˈO, wˈɜɹld!"},
        {"\"Hello\"", "“həlˈO”"},
        {"Hello (world).", "həlˈO (wˈɜɹld)."},
        {"hello... world", "həlˈO… wˈɜɹld"},
        {"hello -- world", "həlˈO — wˈɜɹld"},
        {"hello - world", "həlˈO — wˈɜɹld"},
        {"[world](/wˈʊld/) hello", "wˈʊld həlˈO"},
        {"[hello](-2) world", "həlO wˈɜɹld"},
        {"[the](+0.5) [hello world](-1)", "ðˌə həlˌO wˌɜɹld"},
        {"[hello](https://a.org/b) [world](the city)", "həlˈO (wˈɜɹld)(ðə sˈɪTi)"},
        {"hello❤️ 👨‍👩‍👧world", "həlˈO  wˈɜɹld"},
        {"hel­lo", "həlˈO"},
        {"the world to the city", "ðə wˈɜɹld tə ðə sˈɪTi"},
        {"hello\n\nworld", "həlˈO|wˈɜɹld"},
        {"hello\tworld\x01", "həlˈO wˈɜɹld "},
        {"", ""},
        {"???", "???"},
        {"[hello](", "(həlˈO)("},
    };
    char out[2048];
    for (size_t i = 0; i < AT_COUNT(pairs); i++) {
        spoken("en-us", pairs[i][0], out);
        assert_string_equal(out, pairs[i][1]);
    }
    spoken("en-us", "hello 世界 world", out);
    assert_string_equal(out, "həlˈO  wˈɜɹld");
    assert_non_null(strstr(warning, "世界"));
    spoken("en-us", "world-16", out);
    assert_null(strstr(out, "mˈInəs"));
}

/* Titles and initials end no sentence; other abbreviations may. */
static void test_full_stops(void **state)
{
    (void)state;
    char out[2048];
    spoken("en-us", "Mr. World. Hello", out);
    assert_string_equal(out, "mˈɪstəɹ wˈɜɹld. həlˈO");
    spoken("en-us", "the U.S. city", out);
    assert_null(strchr(out, '.'));
    spoken("en-us", "the U.S.", out);
    assert_non_null(strchr(out, '.'));
}

static void test_other_languages(void **state)
{
    (void)state;
    char out[2048];
    assert_null(at_phonemizer_open(cx, NULL, "ja"));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_error_clear(cx);
    if (!at_espeak_is_there()) skip();
    assert_null(at_phonemizer_open(cx, NULL, "xx-nowhere"));
    assert_int_equal(at_error_status(cx), AT_ERROR_UNSUPPORTED);
    at_error_clear(cx);
    spoken("es", "¡Hola, mundo!", out);
    assert_string_equal(out, "ˈola, mˈundo!");
    spoken("en-us", "grobulous", out); /* in no lexicon */
    assert_non_null(strstr(out, "ɡɹ"));
    spoken("en-gb", "grobulous", out);
    assert_non_null(strstr(out, "ɡɹ"));
}

/* {language, text, phonemes} */
static void assert_all_spoken(size_t count, const char *const pairs[][3])
{
    char out[2048];
    if (!at_espeak_is_there()) skip();
    for (size_t i = 0; i < count; i++) {
        spoken(pairs[i][0], pairs[i][1], out);
        assert_string_equal(out, pairs[i][2]);
    }
}

/* Kokoro's languages and three more, most by names that are no names of espeak-ng's voices. */
static void test_voices_by_language(void **state)
{
    (void)state;
    static const char *const pairs[][3] = {
        {"en-us", "grobulous", "ɡɹˈɑbjʊləs"}, {"en-gb", "goatling", "ɡˈQtᵊlɪŋ"},
        {"es", "gracias", "ɡɾˈaθjas"},        {"es-MX", "gracias", "ɡɾˈasjas"},
        {"fr-fr", "bonjour", "bɔ̃ʒˈuʁ"},       {"fr-BE", "septante", "sɛptˈɑ̃t"},
        {"hi", "नमस्ते", "nəmˈʌsteː"},          {"it", "buongiorno", "bʊonʤˈɔrno"},
        {"pt-br", "cidade", "sˌidˈaʤy"},      {"pt-pt", "cidade", "sˌidˈadɨ"},
    };
    assert_all_spoken(AT_COUNT(pairs), pairs);
}

/* Signs in the languages of espeak-ng: as misaki 0.9.4 gives them to the model, but for Spanish
   3.º, which it reads as "tres" and "o". */
static void test_signs_of_other_languages(void **state)
{
    (void)state;
    static const char *const pairs[][3] = {
        {"fr-fr", "3½ «\u00a0oui\u00a0»…", "tʁwˈaz œ̃dəmˈi “wˈi”…"},
        {"fr-fr", "10 m² : \"oui\"...", "dˈis ˈɛm pyisˈɑ̃s dˈø : \"wˈi\"..."},
        {"es", "3.ª [no] {sí}", "tɛɾθˈɛɾa nˈo sˈi"},
        {"pt-br", "3º, nº 12", "tˌeɾəsˈAɾʊ, nˈũmeɾʊ dˈozy"},
        {"it", "2ª", "sekˈonda"},
        {"it", "CD", "ʧˌidˈiː"},
    };
    assert_all_spoken(AT_COUNT(pairs), pairs);
}

/* Texts are read in parts; where they are cut nobody hears. */
static void test_long_texts(void **state)
{
    (void)state;
    static const char *const parts[] = {"Hello \"world\"! Mr. World, hello. ",
                                        "Hello Mr.\nWorld, "
                                        "(hello) to the city in the U.S. and to you.\n\n"};
    enum { TIMES = 300 };
    at_phonemizer *p = at_phonemizer_open(cx, AT_FIXTURES "/phonemes", "en-us");
    for (size_t k = 0; k < AT_COUNT(parts); k++) {
        size_t n = strlen(parts[k]);
        char *text = at_alloc(cx, TIMES * n + 1, 1);
        for (int i = 0; i < TIMES; i++) strcpy(text + (size_t)i * n, parts[k]);
        at_utterance one = {0}, all = {0};
        assert_true(at_phonemize(cx, p, parts[k], n, &one));
        assert_true(at_phonemize(cx, p, text, TIMES * n, &all));
        assert_int_equal(all.count, TIMES * one.count);
        for (int64_t i = 0; i < all.count; i++) {
            const at_spoken *a = &all.items[i], *b = &one.items[i % one.count];
            assert_string_equal(a->phonemes, b->phonemes);
            assert_true(a->space == b->space && a->paragraph == b->paragraph);
        }
        at_utterance_drop(&all, 5);
        assert_string_equal(all.items[0].phonemes, one.items[5].phonemes);
        at_utterance_free(&one);
        at_utterance_free(&all);
        at_free(text);
    }
    at_phonemizer_free(p);
}

/* Whatever the text is, it takes time in proportion to its length. */
static void test_hostile_texts(void **state)
{
    (void)state;
    static const char *const parts[] = {"[", "](", "[a](", "\"", ".", "'", "a.", "\xff", "1,", "-"};
    enum { SIZE = 20000 };
    at_phonemizer *p = at_phonemizer_open(cx, AT_FIXTURES "/phonemes", "en-us");
    for (size_t i = 0; i < AT_COUNT(parts); i++) {
        char *text = at_alloc(cx, SIZE + 8, 1);
        for (size_t n = 0; n < SIZE; n += strlen(parts[i])) strcpy(text + n, parts[i]);
        at_utterance u = {0};
        assert_true(at_phonemize(cx, p, text, strlen(text), &u));
        at_utterance_free(&u);
        at_free(text);
    }
    at_phonemizer_free(p);
}

/* No word is as long as a file that was pasted: its beginning is told. */
static void test_endless_words(void **state)
{
    (void)state;
    static const struct {
        const char *letter, *told;
        int count;
        bool said;
    } words[] = {
        {"a", "aaaaaaaaaaaaaaaaaaaa...", 3000, false},
        {"1", "11111111111111111111...", 3000, false},
        {"\u044b", "\u044b\u044b\u044b\u044b\u044b\u044b\u044b\u044b\u044b\u044b...", 101, false},
        {"a", NULL, 100, true},
        {"a-", NULL, 200, true}};
    at_phonemizer *p = at_phonemizer_open(cx, AT_FIXTURES "/phonemes", "en-us");
    for (size_t i = 0; i < AT_COUNT(words); i++) {
        at_text text = {0};
        at_utterance u = {0};
        for (int k = 0; k < words[i].count; k++)
            at_text_add(cx, &text, words[i].letter, strlen(words[i].letter));
        warning[0] = 0;
        assert_true(at_phonemize(cx, p, text.data, text.size, &u));
        assert_true((u.count > 0) == words[i].said);
        if (words[i].told) assert_non_null(strstr(warning, words[i].told));
        at_utterance_free(&u);
        at_text_free(&text);
    }
    at_phonemizer_free(p);
}

static void keep_warning(void *user, at_log_level level, const char *text)
{
    (void)user;
    if (level == AT_LOG_WARNING) snprintf(warning, sizeof warning, "%s", text);
}

static int start(void **state)
{
    (void)state;
    cx = at_context_new(&(at_context_options){.log = keep_warning});
    return at_failed(cx);
}

static int stop(void **state)
{
    (void)state;
    at_context_free(cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_full_stops),
        cmocka_unit_test(test_other_languages),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_endless_words),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_voices_by_language),
        cmocka_unit_test(test_signs_of_other_languages),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
