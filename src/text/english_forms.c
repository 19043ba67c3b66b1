/* What is written shorter than it is said, where the pieces around it say what it means. */
#include "text/english_numbers.h"
#include "text/english_tokens.h"
#include "text/pieces_of_speech.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct forms {
    at_context *cx;
    at_speech_pieces *p;
    bool american;
    at_text words;
} forms;

/* ---- pieces */

/* The word at i; NULL: a mark, what is given, what is read already, or none. */
static const char *word_at(const forms *f, int64_t i)
{
    if (i < 0 || i >= f->p->count) return NULL;
    const at_speech_piece *p = &f->p->items[i];
    return p->is_mark || p->phonemes || p->words ? NULL : p->text;
}

/* The word behind i, with one space between. */
static const char *next_word(const forms *f, int64_t i)
{
    const at_speech_piece *p = &f->p->items[i];
    return p->space && !p->paragraph ? word_at(f, i + 1) : NULL;
}

/* The word before i, read already or not. */
static const char *word_before(const forms *f, int64_t i)
{
    const at_speech_piece *p = i > 0 ? &f->p->items[i - 1] : NULL;
    return p && p->space && !p->paragraph && !p->is_mark ? p->text : NULL;
}

/* `count` pieces from i on are said as the words. */
static int64_t take(forms *f, int64_t i, int64_t count)
{
    at_speech_piece *first = &f->p->items[i], *last = first + count - 1;
    bool space = last->space, paragraph = last->paragraph;
    for (at_speech_piece *p = first; p <= last; p++) {
        at_free(p->words);
        p->words = at_copy_text(f->cx, p == first && f->words.data ? f->words.data : "");
        at_free(p->phonemes); /* of a mark: "(555)" */
        p->phonemes = NULL;
        p->space = p->paragraph = p->is_mark = false;
    }
    first->space = space;
    first->paragraph = paragraph;
    return count;
}

static bool is_capital(const char *word)
{
    return word && isupper((unsigned char)*word);
}

static bool is_digits(const char *word)
{
    return word && *word && !word[strspn(word, "0123456789")];
}

/* ---- abbreviations */

/* What must stand beside one so that it is one. */
typedef enum place { ANYWHERE, STOPPED, BEFORE_NUMBER, BEFORE_NAME, BEHIND_NAME } place;

static const struct {
    const char *text, *words;
    place place;
} abbreviations[] = {{"St", "Street", BEHIND_NAME},
                     {"St", "Saint", BEFORE_NAME},
                     {"Dr", "Drive", BEHIND_NAME},
                     {"Ct", "Court", BEHIND_NAME},
                     {"Ln", "Lane", BEHIND_NAME},
                     {"Sq", "Square", BEHIND_NAME},
                     {"Ave", "Avenue", ANYWHERE},
                     {"Blvd", "Boulevard", ANYWHERE},
                     {"Rd", "Road", ANYWHERE},
                     {"Hwy", "Highway", ANYWHERE},
                     {"Mt", "Mount", BEFORE_NAME},
                     {"Ft", "Fort", BEFORE_NAME},
                     {"Prof", "Professor", BEFORE_NAME},
                     {"Gen", "General", BEFORE_NAME},
                     {"Sen", "Senator", BEFORE_NAME},
                     {"Rep", "Representative", BEFORE_NAME},
                     {"Gov", "Governor", BEFORE_NAME},
                     {"Pres", "President", BEFORE_NAME},
                     {"Capt", "Captain", BEFORE_NAME},
                     {"Cmdr", "Commander", BEFORE_NAME},
                     {"Maj", "Major", BEFORE_NAME},
                     {"Lt", "Lieutenant", BEFORE_NAME},
                     {"Col", "Colonel", BEFORE_NAME},
                     {"Sgt", "Sergeant", BEFORE_NAME},
                     {"Rev", "Reverend", BEFORE_NAME},
                     {"Hon", "Honorable", BEFORE_NAME},
                     {"Fr", "Father", BEFORE_NAME},
                     {"Jr", "Junior", ANYWHERE},
                     {"Sr", "Senior", ANYWHERE},
                     {"Inc", "Incorporated", STOPPED},
                     {"Ltd", "Limited", ANYWHERE},
                     {"Corp", "Corporation", STOPPED},
                     {"Co", "Company", STOPPED},
                     {"Bros", "Brothers", STOPPED},
                     {"Dept", "Department", ANYWHERE},
                     {"dept", "department", ANYWHERE},
                     {"govt", "government", ANYWHERE},
                     {"approx", "approximately", ANYWHERE},
                     {"misc", "miscellaneous", ANYWHERE},
                     {"incl", "including", STOPPED},
                     {"tel", "telephone", STOPPED},
                     {"Tel", "Telephone", STOPPED},
                     {"est", "established", BEFORE_NUMBER},
                     {"ext", "extension", BEFORE_NUMBER},
                     {"No", "number", BEFORE_NUMBER},
                     {"no", "number", BEFORE_NUMBER},
                     {"Nos", "numbers", BEFORE_NUMBER},
                     {"p", "page", BEFORE_NUMBER},
                     {"pp", "pages", BEFORE_NUMBER},
                     {"vol", "volume", BEFORE_NUMBER},
                     {"Vol", "Volume", BEFORE_NUMBER},
                     {"ch", "chapter", BEFORE_NUMBER},
                     {"Ch", "Chapter", BEFORE_NUMBER},
                     {"sec", "section", BEFORE_NUMBER},
                     {"Sec", "Section", BEFORE_NUMBER},
                     {"fig", "figure", BEFORE_NUMBER},
                     {"Fig", "Figure", BEFORE_NUMBER},
                     {"Eq", "Equation", BEFORE_NUMBER},
                     {"ca", "circa", BEFORE_NUMBER},
                     {"c", "circa", BEFORE_NUMBER},
                     {"Mon", "Monday", STOPPED},
                     {"Tue", "Tuesday", STOPPED},
                     {"Tues", "Tuesday", STOPPED},
                     {"Thu", "Thursday", STOPPED},
                     {"Thurs", "Thursday", STOPPED},
                     {"Fri", "Friday", STOPPED},
                     {"vs", "versus", ANYWHERE},
                     {"cf", "compare", STOPPED},
                     {"e.g", "for example", ANYWHERE},
                     {"E.g", "For example", ANYWHERE},
                     {"i.e", "that is", ANYWHERE},
                     {"I.e", "That is", ANYWHERE},
                     {"w/", "with", ANYWHERE},
                     {"w/o", "without", ANYWHERE},
                     {"b/c", "because", ANYWHERE},
                     {"c/o", "care of", ANYWHERE}};

static bool is_before_number(const char *next)
{
    return next &&
           (isdigit((unsigned char)*next) || (strspn(next, "IVXLC") == strlen(next) && *next));
}

bool at_english_starts_sentence(const char *word)
{
    static const char *const words[] = {"The", "He", "She",  "It",    "They", "We",   "I",
                                        "In",  "On", "At",   "But",   "And",  "This", "That",
                                        "A",   "An", "When", "There", "If",   "You",  "His",
                                        "Her", "As", "For",  "My",    "Our",  NULL};
    return at_is_listed(word, words);
}

static bool fits(place where, bool stopped, const char *before, const char *next)
{
    bool name = is_capital(next) && !at_english_starts_sentence(next);
    switch (where) {
    case ANYWHERE:
        return true;
    case STOPPED:
        return stopped;
    case BEFORE_NUMBER:
        return is_before_number(next);
    case BEFORE_NAME:
        return name;
    case BEHIND_NAME:
        return !name && before && (is_capital(before) || isdigit((unsigned char)*before));
    }
    return false;
}

/* "Jan", "Sept": the month that is written shorter; NULL: none. */
static const char *month_of(const char *word)
{
    size_t n = strlen(word);
    for (const char *const *name = at_english_months; *name; name++)
        if (n == (strcmp(word, "Sept") == 0 ? 4 : 3) && strncmp(*name, word, n) == 0 && (*name)[n])
            return *name;
    return NULL;
}

const char *at_english_abbreviation(const char *word, bool stopped, const char *before,
                                    const char *next)
{
    const char *month = month_of(word);
    if (month) return stopped || (next && isdigit((unsigned char)*next)) ? month : NULL;
    for (size_t i = 0; i < AT_COUNT(abbreviations); i++)
        if (strcmp(word, abbreviations[i].text) == 0 &&
            fits(abbreviations[i].place, stopped, before, next))
            return abbreviations[i].words;
    return NULL;
}

/* "St.", "No.", with its full stop or without */
static int64_t read_abbreviation(forms *f, int64_t i)
{
    char bare[32];
    const char *word = word_at(f, i);
    size_t n = strlen(word);
    if (n >= sizeof bare) return 0;
    strcpy(bare, word);
    bool stopped = n > 1 && word[n - 1] == '.';
    if (stopped) bare[n - 1] = 0;
    const char *words = at_english_abbreviation(bare, stopped, word_before(f, i), next_word(f, i));
    if (!words) return 0;
    at_add_spoken(f->cx, &f->words, words);
    return take(f, i, 1);
}

/* ---- Roman numerals */

static int roman_value(const char *text, size_t size)
{
    static const struct {
        const char *digits;
        int value;
    } parts[] = {{"M", 1000}, {"CM", 900}, {"D", 500}, {"CD", 400}, {"C", 100},
                 {"XC", 90},  {"L", 50},   {"XL", 40}, {"X", 10},   {"IX", 9},
                 {"V", 5},    {"IV", 4},   {"I", 1}};
    int value = 0;
    size_t at = 0;
    for (size_t i = 0; i < AT_COUNT(parts); i++) {
        size_t n = strlen(parts[i].digits);
        int most =
            n == 2 || parts[i].value == 5 || parts[i].value == 50 || parts[i].value == 500 ? 1 : 3;
        for (int k = 0; k < most && size - at >= n && memcmp(text + at, parts[i].digits, n) == 0;
             k++) {
            value += parts[i].value;
            at += n;
        }
    }
    return at == size ? value : 0;
}

static bool is_ruler(const char *word)
{
    static const char *const names[] = {
        "Henry",     "Louis",    "Elizabeth", "George",    "Edward",    "Richard",    "Charles",
        "William",   "James",    "John",      "Paul",      "Pius",      "Benedict",   "Leo",
        "Alexander", "Peter",    "Catherine", "Nicholas",  "Philip",    "Frederick",  "Napoleon",
        "Gregory",   "Innocent", "Urban",     "Clement",   "Ramses",    "Ptolemy",    "Otto",
        "Ivan",      "Xerxes",   "Darius",    "Mary",      "Gustav",    "Carl",       "Ferdinand",
        "Francis",   "Joseph",   "Leopold",   "Albert",    "Boniface",  "Sixtus",     "Julius",
        "Adrian",    "Haakon",   "Olav",      "Juan",      "Felipe",    "Alfonso",    "Pedro",
        "Manuel",    "Malcolm",  "Robert",    "David",     "Basil",     "Stephen",    "Maximilian",
        "Rudolf",    "Mehmed",   "Selim",     "Suleiman",  "Thutmose",  "Cleopatra",  "Constantine",
        "Philippe",  "Wilhelm",  "Friedrich", "Christian", "Margrethe", "Isabella",   "Victor",
        "Emmanuel",  "Umberto",  "Abdul",     "Amenhotep", "Antiochus", "Artaxerxes", NULL};
    return at_is_listed(word, names);
}

static bool is_counted(const char *word)
{
    static const char *const names[] = {
        "Chapter", "Part",     "Book",     "Volume",   "Act",      "Scene",    "Section", "Article",
        "Phase",   "Type",     "Title",    "War",      "Class",    "Level",    "Stage",   "Grade",
        "Bowl",    "Figure",   "Table",    "Canto",    "Episode",  "Season",   "Round",   "Mark",
        "chapter", "part",     "book",     "volume",   "act",      "scene",    "section", "article",
        "phase",   "type",     "title",    "class",    "level",    "stage",    "grade",   "figure",
        "table",   "canto",    "episode",  "season",   "round",    "category", "number",  "Number",
        "Fantasy", "Apollo",   "Appendix", "Division", "Category", "Vol.",     "vol.",    "No.",
        "Rocky",   "Symphony", NULL};
    return at_is_listed(word, names);
}

static bool is_title(const char *word)
{
    static const char *const titles[] = {"King", "Queen",  "Pope",   "Emperor", "Empress", "Tsar",
                                         "Czar", "Prince", "Kaiser", "Sultan",  "Pharaoh", NULL};
    return at_is_listed(word, titles);
}

/* "Henry VIII", "Chapter IV", "World War II's" */
static int64_t read_roman(forms *f, int64_t i)
{
    const char *word = word_at(f, i), *before = word_before(f, i);
    size_t n = strspn(word, "IVXLCDM");
    if (!n || !before || (word[n] && strcmp(word + n, "'s") != 0)) return 0;
    int value = roman_value(word, n);
    bool counted = is_counted(before), letter = n == 1 && !strchr("IVX", *word);
    bool king = i > 1 && word_before(f, i - 1) && is_title(word_before(f, i - 1));
    bool ruler = is_ruler(before) || king;
    bool plain = strspn(word, "IVX") == n && n > 1 && value < 40 && strcmp(word, "XX") != 0 &&
                 strcmp(word, "XXX") != 0;
    if (!value || letter) return 0;
    if (!counted && !(ruler && (plain || king)) && !(plain && is_capital(before))) return 0;
    char digits[16];
    snprintf(digits, sizeof digits, "%d", value);
    if (ruler) at_add_spoken(f->cx, &f->words, "the");
    at_add_number(f->cx, &f->words, digits, strlen(digits), ruler ? AT_ORDINAL : AT_CARDINAL);
    if (word[n]) at_text_add(f->cx, &f->words, "'s", 2);
    return take(f, i, 1);
}

/* ---- dates */

/* "May", "Jan", "Sept." */
static bool is_month(const char *word)
{
    char bare[16];
    if (!word || at_is_listed(word, at_english_months)) return word;
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word, "."), word);
    return month_of(bare) && strlen(word) <= strlen(bare) + 1;
}

static bool is_day(const char *word)
{
    return is_digits(word) && strlen(word) < 3 && atoi(word) > 0 && atoi(word) < 32;
}

/* "May 12": twelfth; "12 May": the twelfth of May */
static int64_t read_day(forms *f, int64_t i)
{
    const char *word = word_at(f, i), *before = word_before(f, i), *next = next_word(f, i);
    if (!is_day(word)) return 0;
    bool behind = is_month(before), ahead = is_month(next);
    if (!behind && !ahead) return 0;
    if (!behind && !(before && strcmp(before, "the") == 0)) at_add_spoken(f->cx, &f->words, "the");
    at_add_number(f->cx, &f->words, word, strlen(word), AT_ORDINAL);
    if (!behind) at_add_spoken(f->cx, &f->words, "of");
    return take(f, i, 1);
}

/* 500 BC, AD 70: letters */
static int64_t read_era(forms *f, int64_t i)
{
    static const char *const eras[][2] = {
        {"BC", "B.C"}, {"AD", "A.D"}, {"BCE", "B C E"}, {"CE", "C.E"}};
    const char *word = word_at(f, i), *before = word_before(f, i), *next = next_word(f, i);
    bool number = (before && isdigit((unsigned char)*before)) || is_digits(next) ||
                  (before && strcmp(before, "century") == 0);
    for (size_t k = 0; number && k < AT_COUNT(eras); k++) {
        if (strcmp(word, eras[k][0]) != 0) continue;
        at_add_spoken(f->cx, &f->words, eras[k][1]);
        return take(f, i, 1);
    }
    return 0;
}

/* ---- numbers of several pieces */

/* The pieces from i on as they were written, so far as `size` has room. */
static void join(const forms *f, int64_t i, char *out, size_t size)
{
    *out = 0;
    for (; i < f->p->count; i++) {
        const at_speech_piece *p = &f->p->items[i];
        if (strlen(out) + strlen(p->text) + 2 > size || p->paragraph || p->words) break;
        strcat(out, p->text);
        if (p->space) strcat(out, " ");
    }
}

/* "(555) 123-4567" */
static int64_t read_telephone(forms *f, int64_t i)
{
    char text[64];
    const char *first = f->p->items[i].text;
    if (f->p->items[i].words || !(isdigit((unsigned char)*first) || *first == '+' || *first == '('))
        return 0;
    static const char *const counts[] = {"page", "pages",   "pp.",   "lines",
                                         "from", "between", "years", NULL};
    join(f, i, text, sizeof text);
    if (at_is_listed(word_before(f, i), counts)) return 0;
    size_t size = at_add_spoken_telephone(f->cx, &f->words, text), at = 0;
    for (int64_t k = i; size && k < f->p->count; k++) { /* must end where a piece does */
        at += strlen(f->p->items[k].text);
        if (at == size) return take(f, i, k - i + 1);
        at += f->p->items[k].space;
        if (at > size) break;
    }
    return 0;
}

/* "5 km", "$5 million", "3:30 pm", "20 °C", "USD 5" */
static int64_t read_amount(forms *f, int64_t i)
{
    static const char *const scales[] = {"hundred", "thousand", "million",
                                         "billion", "trillion", NULL};
    static const char *const codes[] = {"USD", "EUR", "GBP", NULL};
    const char *word = word_at(f, i), *next = next_word(f, i);
    size_t n = strlen(word);
    if (!next) return 0;
    bool money = (unsigned char)*word >= 0x80 || strchr(word, '$'),
         scale = at_is_listed(next, scales);
    bool code = at_is_listed(word, codes) && isdigit((unsigned char)*next);
    if (!code && (!isdigit((unsigned char)word[n - 1]) || isdigit((unsigned char)*next))) return 0;
    if (!code && !(isdigit((unsigned char)*word) || strchr("-+.$", *word) || money)) return 0;
    if (scale && !money) return 0;
    bool time = strchr(word, ':') != NULL;
    size_t size = strlen(next); /* "6 ft." */
    if (size > 2 && next[size - 1] == '.' && !memchr(next, '.', size - 1)) size--;
    char *token = at_format(f->cx, "%s%s%.*s", word, time ? "" : " ", (int)size, next);
    bool fine = token && at_add_spoken_token(f->cx, &f->words, token, f->american);
    at_free(token);
    return fine ? take(f, i, 2) : 0;
}

/* "3 1/4": three and one quarter */
static int64_t read_mixed(forms *f, int64_t i)
{
    const char *word = word_at(f, i), *next = next_word(f, i);
    at_text part = {0};
    if (!is_digits(word) || !next) return 0;
    bool fine = at_add_spoken_fraction(f->cx, &part, next, true);
    if (fine) {
        at_add_number(f->cx, &f->words, word, strlen(word), AT_CARDINAL);
        at_add_spoken(f->cx, &f->words, "and");
        at_add_spoken(f->cx, &f->words, part.data);
    }
    at_text_free(&part);
    return fine ? take(f, i, 2) : 0;
}

/* ---- single words */

/* "US" among words that are no capitals, "AT&T", ".NET", "#word" */
static int64_t read_letters(forms *f, int64_t i)
{
    static const char *const letters[] = {"US", "IT", "ID", NULL};
    const char *word = word_at(f, i), *sign = strchr(word, '&');
    size_t n = strlen(word);
    bool upper = n < 8;
    for (const char *c = word; *c; c++) upper = upper && (isupper((unsigned char)*c) || *c == '&');
    const char *before = word_before(f, i), *next = next_word(f, i);
    bool shouted = (before && strlen(before) > 1 && isupper((unsigned char)before[1])) ||
                   (next && strlen(next) > 1 && isupper((unsigned char)next[1]));
    if (upper && sign && sign > word && sign[1]) {
        for (const char *c = word; *c; c++)
            at_add_spoken(f->cx, &f->words, *c == '&' ? "and" : (char[]){*c, 0});
    } else if (upper && !shouted && at_is_listed(word, letters)) {
        at_add_spoken(f->cx, &f->words, (char[]){word[0], '.', word[1], 0});
    } else if (n > 1 && *word == '.' && isalpha((unsigned char)word[1])) {
        at_add_spoken(f->cx, &f->words, "dot");
        at_add_spoken(f->cx, &f->words, word + 1);
    } else if (n > 1 && *word == '#' && isalpha((unsigned char)word[1])) {
        at_add_spoken(f->cx, &f->words, "hashtag");
        at_add_spoken(f->cx, &f->words, word + 1);
    } else if (n == 2 && word[1] == '#' && *word >= 'A' && *word <= 'G') {
        at_add_spoken(f->cx, &f->words, (char[]){*word, 0});
        at_add_spoken(f->cx, &f->words, "sharp");
    } else {
        return 0;
    }
    return take(f, i, 1);
}

static int64_t read_token(forms *f, int64_t i)
{
    const char *word = word_at(f, i), *symbol = at_english_symbol(word);
    unsigned char first = (unsigned char)*word;
    if (at_is_address(word, strlen(word)))
        at_add_spoken_address(f->cx, &f->words, word);
    else if (symbol)
        at_add_spoken(f->cx, &f->words, symbol);
    else if (*word == '\'' && isdigit((unsigned char)word[1])) /* '90s */
        return at_add_spoken_token(f->cx, &f->words, word + 1, f->american) ? take(f, i, 1) : 0;
    else if (strchr(word, '/') && at_add_unit(f->cx, &f->words, word, false, true))
        return take(f, i, 1);
    else if (!(isdigit(first) || strchr("-+.#$UACEG", first) || first >= 0x80) ||
             !at_add_spoken_token(f->cx, &f->words, word, f->american))
        return 0;
    return take(f, i, 1);
}

/* ---- flags of numbers */

static bool is_number_word(const char *word)
{
    static const char *const others[] = {"ten", "eleven", "twelve", NULL};
    static const char *const digits[] = {"one", "two",   "three", "four", "five",
                                         "six", "seven", "eight", "nine", NULL};
    size_t n = strcspn(word, " ");
    char one[16] = "";
    if (n < sizeof one) memcpy(one, word, n);
    return at_is_listed(one, others) || at_is_listed(one, digits) || at_ends_with(one, "teen") ||
           (at_ends_with(one, "ty") && n > 4);
}

/* Whether "and" belongs before the words at `at`: behind a hundred, or behind a thousand or more
   where no hundred follows. */
static bool takes_and(const char *before, const char *at)
{
    static const char *const scales[] = {"thousand", "million", "billion", "trillion", NULL};
    if (!is_number_word(at)) return false;
    if (strcmp(before, "hundred") == 0) return true;
    if (!at_is_listed(before, scales)) return false;
    const char *second = strchr(at, ' ');
    return !second || (strncmp(second, " hundred", 8) != 0 && !strstr(second, "thousand"));
}

static void apply_flags(at_context *cx, at_speech_piece *p)
{
    at_text out = {0};
    char *rest = p->words, *word, before[16] = "";
    for (bool first = true; (word = strsep(&rest, " ")); first = false) {
        bool a = first && rest && (p->flags & AT_NUMBER_A) && strcmp(word, "one") == 0;
        at_add_spoken(cx, &out, a ? "/ə" : word);
        snprintf(before, sizeof before, "%.15s", word);
        if (!rest || !takes_and(before, rest)) continue;
        if (p->flags & AT_NUMBER_AND)
            at_add_spoken(cx, &out, "and");
        else if (p->flags & AT_NUMBER_N)
            at_text_print(cx, &out, "/ən");
    }
    at_free(p->words);
    p->words = out.data;
}

bool at_english_forms(at_context *cx, at_speech_pieces *pieces, bool american)
{
    static int64_t (*const readers[])(forms *, int64_t) = {
        read_day, read_mixed,        read_amount,  read_roman,
        read_era, read_abbreviation, read_letters, read_token};
    forms f = {cx, pieces, american, {0}};
    for (int64_t i = 0, taken; i < pieces->count && at_ok(cx); i += taken) {
        taken = read_telephone(&f, i);
        for (size_t k = 0; !taken && k < AT_COUNT(readers) && word_at(&f, i); k++) {
            at_text_free(&f.words);
            taken = readers[k](&f, i);
        }
        at_text_free(&f.words);
        at_speech_piece *p = &pieces->items[i];
        if (taken && p->flags && p->words) apply_flags(cx, p);
        taken = AT_MAX(taken, 1);
    }
    return at_ok(cx);
}
