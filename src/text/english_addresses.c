/* Addresses of the web and of mail, and telephone numbers, as they are read aloud. */
#include "text/english_numbers.h"
#include "text/english_tokens.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- addresses */

static const char *const schemes[] = {"https://", "http://", "ftp://", "mailto:"};

static size_t scheme_of(const char *text, size_t size)
{
    for (size_t i = 0; i < AT_COUNT(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (size > n && strncasecmp(text, schemes[i], n) == 0) return n;
    }
    return 0;
}

/* Ends of names that are hardly ever the word behind a full stop without a space. */
static bool is_domain_end(const char *text, size_t size)
{
    static const char *const ends[] = {
        "com", "org", "net",  "edu",  "gov",  "int",  "info", "io", "co", "ai",    "dev",
        "app", "biz", "blog", "shop", "site", "tech", "xyz",  "uk", "de", "fr",    "jp",
        "ru",  "ch",  "eu",   "nl",   "br",   "ca",   "cn",   "kr", "tv", "online"};
    for (size_t i = 0; i < AT_COUNT(ends); i++)
        if (strlen(ends[i]) == size && memcmp(text, ends[i], size) == 0) return true;
    return false;
}

static bool is_label(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* How much of the text is labels with full stops between, at least two; *last: where the last one
   begins. */
static size_t host_of(const char *text, size_t size, size_t *last)
{
    size_t at = 0, labels = 0;
    while (at < size && is_label(text[at])) {
        *last = at;
        while (at < size && is_label(text[at])) at++;
        labels++;
        if (at + 1 >= size || text[at] != '.' || !is_label(text[at + 1])) break;
        at++;
    }
    return labels > 1 ? at : 0;
}

bool at_is_address(const char *text, size_t size)
{
    size_t last = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] >= 127) return false;
    if (scheme_of(text, size)) return true;
    const char *sign = memchr(text, '@', size);
    if (sign) {
        size_t before = (size_t)(sign - text), behind = size - before - 1;
        for (size_t i = 0; i < before; i++)
            if (!is_label(text[i]) && text[i] != '.' && text[i] != '+') return false;
        return before > 0 && behind > 0 && host_of(sign + 1, behind, &last) == behind;
    }
    size_t host = host_of(text, size, &last);
    bool path = host == size || (host < size && strchr("/:?#", text[host]));
    return host && path &&
           (strncasecmp(text, "www.", 4) == 0 || is_domain_end(text + last, host - last));
}

/* Letters as one word, or one by one where they are no word: "html", "uk". */
static void add_letters(at_context *cx, at_text *out, const char *text, size_t size)
{
    bool vowels = false;
    for (size_t i = 0; i < size; i++) vowels = vowels || strchr("aeiouyAEIOUY", text[i]);
    bool spelled = !vowels || (size < 3 && strncmp(text, "co", size) != 0);
    if (!spelled) {
        at_text_print(cx, out, "%s%.*s", out->size ? " " : "", (int)size, text);
        return;
    }
    for (size_t i = 0; i < size; i++)
        at_add_spoken(cx, out, (char[]){(char)toupper((unsigned char)text[i]), 0});
}

void at_add_spoken_address(at_context *cx, at_text *out, const char *address)
{
    static const char *const signs[][2] = {
        {".", "dot"},           {"/", "slash"},   {"@", "at"},  {"-", "dash"}, {"_", "underscore"},
        {"?", "question mark"}, {"=", "equals"},  {"&", "and"}, {"#", "hash"}, {"~", "tilde"},
        {":", "colon"},         {"%", "percent"}, {"+", "plus"}};
    size_t n = strlen(address), at = scheme_of(address, n);
    if (n > at + 1 && address[n - 1] == '/') n--;
    while (at < n) {
        size_t next = at;
        if (isalpha((unsigned char)address[at])) {
            while (next < n && isalpha((unsigned char)address[next])) next++;
            add_letters(cx, out, address + at, next - at);
        } else if (isdigit((unsigned char)address[at])) {
            while (next < n && isdigit((unsigned char)address[next])) next++;
            if (next - at < 3 || next - at == 4)
                at_add_number(cx, out, address + at, next - at,
                              next - at == 4 ? AT_YEAR : AT_CARDINAL);
            else
                at_add_digits(cx, out, address + at, next - at);
        } else {
            for (size_t i = 0; i < AT_COUNT(signs); i++)
                if (address[at] == signs[i][0][0]) at_add_spoken(cx, out, signs[i][1]);
            next++;
        }
        at = next;
    }
}

/* ---- telephone numbers */

typedef struct groups {
    size_t begin[8], size[8]; /* of digits */
    char before[8];           /* what stands before each: one of " -.)" or 0 */
    int count;
    size_t digits, end;
    bool plus;
} groups;

static bool take_groups(const char *text, groups *g)
{
    size_t at = 0;
    g->plus = text[0] == '+';
    at += g->plus;
    while (g->count < 8) {
        char before = 0;
        if (g->count && (text[at] == ')' || strchr(" -.", text[at]))) before = text[at];
        if (g->count && !before) break;
        size_t begin = at + (before != 0);
        if (before == ')' && text[begin] == ' ') begin++;
        if (text[begin] == '(') begin++;
        size_t size = strspn(text + begin, "0123456789");
        if (!size) break;
        g->begin[g->count] = begin;
        g->size[g->count] = size;
        g->before[g->count++] = before;
        g->digits += size;
        at = g->end = begin + size;
    }
    return g->count > 0;
}

static bool has_sizes(const groups *g, int from, const size_t *sizes, int count)
{
    if (g->count - from != count) return false;
    for (int i = 0; i < count; i++)
        if (g->size[from + i] != sizes[i]) return false;
    return true;
}

/* International ones, American ones, and those that begin with 0 where groups are apart. */
static bool is_telephone(const char *text, const groups *g)
{
    static const size_t american[] = {3, 3, 4};
    bool dots = false;
    for (int i = 0; i < g->count; i++) dots = dots || g->before[i] == '.';
    if (g->plus) return g->digits >= 8 && g->digits <= 15;
    if (has_sizes(g, 0, american, 3)) return true;
    if (has_sizes(g, 1, american, 3) && g->size[0] == 1) return true;
    if (has_sizes(g, 0, american + 1, 2)) return g->before[1] == '-';
    bool zero = text[g->begin[0]] == '0' && g->size[0] >= 3 && g->count > 1 && !dots;
    for (int i = 1; i < g->count; i++) zero = zero && g->size[i] >= 2;
    return zero && g->digits >= 9 && g->digits <= 12;
}

size_t at_add_spoken_telephone(at_context *cx, at_text *out, const char *text)
{
    groups g = {0};
    if (!take_groups(text, &g)) return 0;
    while (g.count > 1 && !is_telephone(text, &g)) { /* what follows it may be another number */
        g.count--;
        g.digits -= g.size[g.count];
        g.end = g.begin[g.count - 1] + g.size[g.count - 1];
    }
    if (!is_telephone(text, &g)) return 0;
    if (g.plus) at_add_spoken(cx, out, "plus");
    for (int i = 0; i < g.count; i++) {
        const char *digits = text + g.begin[i];
        if (i) at_text_add(cx, out, ",", 1);
        if (i && g.size[i] == 3 && digits[0] != '0' && digits[1] == '0' && digits[2] == '0')
            at_add_number(cx, out, digits, 3, AT_CARDINAL);
        else
            at_add_digits(cx, out, digits, g.size[i]);
    }
    return g.end;
}
