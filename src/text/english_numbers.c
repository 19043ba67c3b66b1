#include "text/english_numbers.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 18 };

static const char *const small[] = {"zero",    "one",     "two",       "three",    "four",
                                    "five",    "six",     "seven",     "eight",    "nine",
                                    "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
static const char *const tens[] = {"",      "",      "twenty",  "thirty", "forty",
                                   "fifty", "sixty", "seventy", "eighty", "ninety"};
static const char *const ordinals[] = {
    "zeroth",     "first",     "second",    "third",       "fourth",     "fifth",     "sixth",
    "seventh",    "eighth",    "ninth",     "tenth",       "eleventh",   "twelfth",   "thirteenth",
    "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"};

static void add(at_context *cx, at_text *out, const char *word)
{
    if (out->size && out->data[out->size - 1] != ' ') at_text_add(cx, out, " ", 1);
    at_text_add(cx, out, word, strlen(word));
}

/* The last word of a number as the ordinal has it: "twenty" -> "twentieth". */
static void add_last(at_context *cx, at_text *out, const char *word, at_number_kind kind)
{
    char changed[32];
    size_t n = strlen(word);
    if (kind != AT_ORDINAL) {
        add(cx, out, word);
        return;
    }
    if (word[n - 1] == 'y')
        snprintf(changed, sizeof changed, "%.*sieth", (int)(n - 1), word);
    else
        snprintf(changed, sizeof changed, "%sth", word);
    add(cx, out, changed);
}

static void add_below_hundred(at_context *cx, at_text *out, unsigned value, at_number_kind kind)
{
    if (value < 20) {
        add(cx, out, kind == AT_ORDINAL ? ordinals[value] : small[value]);
        return;
    }
    if (value % 10 == 0) {
        add_last(cx, out, tens[value / 10], kind);
        return;
    }
    add(cx, out, tens[value / 10]);
    add(cx, out, kind == AT_ORDINAL ? ordinals[value % 10] : small[value % 10]);
}

static void add_value(at_context *cx, at_text *out, uint64_t value, at_number_kind kind)
{
    static const struct {
        uint64_t value;
        const char *name;
    } groups[] = {{1000000000000000ull, "quadrillion"},
                  {1000000000000ull, "trillion"},
                  {1000000000ull, "billion"},
                  {1000000ull, "million"},
                  {1000ull, "thousand"},
                  {100ull, "hundred"}};
    if (value == 0) add_below_hundred(cx, out, 0, kind);
    for (size_t i = 0; i < AT_COUNT(groups); i++) {
        uint64_t many = value / groups[i].value;
        if (!many) continue;
        value %= groups[i].value;
        add_value(cx, out, many, AT_CARDINAL);
        add_last(cx, out, groups[i].name, value ? AT_CARDINAL : kind);
    }
    if (value) add_below_hundred(cx, out, (unsigned)value, kind);
}

static void add_year(at_context *cx, at_text *out, unsigned year)
{
    unsigned high = year / 100, low = year % 100;
    if (high == 0 || (high % 10 == 0 && low < 10) || high >= 100) {
        add_value(cx, out, year, AT_CARDINAL);
        return;
    }
    add_value(cx, out, high, AT_CARDINAL);
    if (low == 0) {
        add(cx, out, "hundred");
        return;
    }
    if (low < 10) add(cx, out, "oh");
    add_value(cx, out, low, AT_CARDINAL);
}

void at_add_digits(at_context *cx, at_text *out, const char *digits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isdigit((unsigned char)digits[i])) add(cx, out, small[digits[i] - '0']);
}

void at_add_number(at_context *cx, at_text *out, const char *digits, size_t count,
                   at_number_kind kind)
{
    uint64_t value = 0;
    if (count > MOST_DIGITS || (count > 1 && digits[0] == '0' && kind != AT_ORDINAL)) {
        at_add_digits(cx, out, digits, count);
        return;
    }
    for (size_t i = 0; i < count; i++) value = value * 10 + (uint64_t)(digits[i] - '0');
    if (kind == AT_YEAR)
        add_year(cx, out, (unsigned)value);
    else
        add_value(cx, out, value, kind);
}

/* ---- tokens */

static size_t digits_of(const char *text)
{
    size_t n = 0;
    while (isdigit((unsigned char)text[n])) n++;
    return n;
}

/* "1,234,567" or "1234": its digits to `out`; how much of the text they are, 0: none */
static size_t take_whole(const char *text, char out[MOST_DIGITS + 64], size_t *count)
{
    size_t first = digits_of(text), at = first;
    if (!first || first > 64) return 0;
    memcpy(out, text, first);
    *count = first;
    while (first <= 3 && text[at] == ',' && digits_of(text + at + 1) == 3 && *count + 3 <= 64) {
        memcpy(out + *count, text + at + 1, 3);
        *count += 3;
        at += 4;
    }
    return at;
}

static void add_fraction(at_context *cx, at_text *out, const char *text, size_t count)
{
    add(cx, out, "point");
    at_add_digits(cx, out, text, count);
}

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

static bool add_date(at_context *cx, at_text *out, int year, int month, int day)
{
    char digits[12];
    if (month < 1 || month > 12 || day < 1 || day > 31) return false;
    add(cx, out, months[month - 1]);
    snprintf(digits, sizeof digits, "%d", day);
    at_add_number(cx, out, digits, strlen(digits), AT_ORDINAL);
    snprintf(digits, sizeof digits, "%d", year);
    at_add_number(cx, out, digits, strlen(digits), strlen(digits) == 4 ? AT_YEAR : AT_CARDINAL);
    return true;
}

/* 2024-05-12, 5/12/2024, 12.5.2024 */
static bool add_any_date(at_context *cx, at_text *out, const char *token, bool american)
{
    int a, b, c, end = 0;
    if (sscanf(token, "%4d-%2d-%2d%n", &a, &b, &c, &end) == 3 && !token[end] && end >= 8 && a > 999)
        return add_date(cx, out, a, b, c);
    if (sscanf(token, "%2d/%2d/%4d%n", &a, &b, &c, &end) == 3 && !token[end] && c > 999)
        return add_date(cx, out, c, american ? a : b, american ? b : a);
    return sscanf(token, "%2d.%2d.%4d%n", &a, &b, &c, &end) == 3 && !token[end] && c > 999 &&
           add_date(cx, out, c, b, a);
}

/* 7:05, 15:30 */
static bool add_time(at_context *cx, at_text *out, const char *token)
{
    size_t hours = digits_of(token);
    if (!hours || hours > 2 || token[hours] != ':') return false;
    const char *minutes = token + hours + 1;
    if (digits_of(minutes) != 2 || minutes[2] || minutes[0] > '5') return false;
    if (token[0] == '0' && hours == 2) token++, hours--;
    at_add_number(cx, out, token, hours, AT_CARDINAL);
    if (minutes[0] == '0' && minutes[1] == '0') {
        if (atoi(token) <= 12 && atoi(token) > 0)
            add(cx, out, "o'clock");
        else
            add(cx, out, "hundred");
    } else {
        if (minutes[0] == '0') add(cx, out, "oh");
        at_add_number(cx, out, minutes[0] == '0' ? minutes + 1 : minutes, minutes[0] == '0' ? 1 : 2,
                      AT_CARDINAL);
    }
    return true;
}

static const struct {
    const char *sign, *one, *many, *part, *parts;
} currencies[] = {{"$", "dollar", "dollars", "cent", "cents"},
                  {"£", "pound", "pounds", "penny", "pence"},
                  {"€", "euro", "euros", "cent", "cents"},
                  {"¥", "yen", "yen", NULL, NULL},
                  {"₹", "rupee", "rupees", "paisa", "paise"}};

/* What is said of an amount: whole and fraction are digits. */
static void add_money(at_context *cx, at_text *out, size_t currency, const char *whole,
                      size_t count, const char *fraction, size_t parts, const char *scale)
{
    bool one = count == 1 && whole[0] == '1', none = count == 1 && whole[0] == '0';
    bool cents = parts == 2 && !scale && currencies[currency].part && strncmp(fraction, "00", 2);
    if (!none || !cents) {
        at_add_number(cx, out, whole, count, AT_CARDINAL);
        if (parts && !cents && (parts != 2 || strncmp(fraction, "00", 2)))
            add_fraction(cx, out, fraction, parts), one = false;
        if (scale) add(cx, out, scale), one = false;
        add(cx, out, one ? currencies[currency].one : currencies[currency].many);
    }
    if (!cents) return;
    if (!none) add(cx, out, "and");
    if (fraction[0] == '0') fraction++, parts--;
    at_add_number(cx, out, fraction, parts, AT_CARDINAL);
    bool penny = parts == 1 && fraction[0] == '1';
    add(cx, out, penny ? currencies[currency].part : currencies[currency].parts);
}

static bool add_amount(at_context *cx, at_text *out, const char *token)
{
    static const char *const scales[][2] = {
        {"k", "thousand"},       {"K", "thousand"},         {"m", "million"},
        {"M", "million"},        {"bn", "billion"},         {"b", "billion"},
        {"B", "billion"},        {"tn", "trillion"},        {"T", "trillion"},
        {" hundred", "hundred"}, {" thousand", "thousand"}, {" million", "million"},
        {" billion", "billion"}, {" trillion", "trillion"}};
    char digits[MOST_DIGITS + 64];
    size_t count = 0, currency = AT_COUNT(currencies), parts = 0;
    const char *fraction = "", *scale = NULL;
    for (size_t i = 0; i < AT_COUNT(currencies); i++)
        if (strncmp(token, currencies[i].sign, strlen(currencies[i].sign)) == 0) currency = i;
    if (currency == AT_COUNT(currencies)) return false;
    token += strlen(currencies[currency].sign);
    size_t whole = take_whole(token, digits, &count);
    if (!whole) return false;
    token += whole;
    if (token[0] == '.' && (parts = digits_of(token + 1)) > 0) {
        fraction = token + 1;
        token += 1 + parts;
    }
    for (size_t i = 0; i < AT_COUNT(scales) && *token && !scale; i++)
        if (strcmp(token, scales[i][0]) == 0) scale = scales[i][1];
    if (*token && !scale) return false;
    add_money(cx, out, currency, digits, count, fraction, parts, scale);
    return true;
}

static bool is_ordinal_end(const char *end)
{
    return strcmp(end, "st") == 0 || strcmp(end, "nd") == 0 || strcmp(end, "rd") == 0 ||
           strcmp(end, "th") == 0;
}

static const char *const units[][2] = {{"%", "percent"},
                                       {"km", "kilometers"},
                                       {"cm", "centimeters"},
                                       {"mm", "millimeters"},
                                       {"kg", "kilograms"},
                                       {"mg", "milligrams"},
                                       {"g", "grams"},
                                       {"m", "meters"},
                                       {"l", "liters"},
                                       {"ml", "milliliters"},
                                       {"mph", "miles per hour"},
                                       {"km/h", "kilometers per hour"},
                                       {"lb", "pounds"},
                                       {"lbs", "pounds"},
                                       {"oz", "ounces"},
                                       {"ft", "feet"},
                                       {"in", "inches"},
                                       {"Hz", "hertz"},
                                       {"kHz", "kilohertz"},
                                       {"MHz", "megahertz"},
                                       {"GHz", "gigahertz"},
                                       {"KB", "kilobytes"},
                                       {"MB", "megabytes"},
                                       {"GB", "gigabytes"},
                                       {"TB", "terabytes"},
                                       {"W", "watts"},
                                       {"kW", "kilowatts"},
                                       {"V", "volts"},
                                       {"°", "degrees"},
                                       {"°C", "degrees Celsius"},
                                       {"°F", "degrees Fahrenheit"},
                                       {"am", "A.M."},
                                       {"pm", "P.M."},
                                       {"AM", "A.M."},
                                       {"PM", "P.M."},
                                       {"x", "times"},
                                       {"k", "thousand"},
                                       {"K", "thousand"},
                                       {"M", "million"},
                                       {"bn", "billion"}};

/* What follows the digits of a plain number; false: not known. */
static bool add_end(at_context *cx, at_text *out, const char *end)
{
    if (!*end) return true;
    for (size_t i = 0; i < AT_COUNT(units); i++)
        if (strcmp(end, units[i][0]) == 0) {
            add(cx, out, units[i][1]);
            return true;
        }
    return false;
}

/* The last word in the plural: "nineteen nineties" */
static void make_plural(at_context *cx, at_text *out)
{
    if (out->size && out->data[out->size - 1] == 'y') {
        out->size--;
        at_text_add(cx, out, "ies", 3);
    } else if (out->size && out->data[out->size - 1] == 'x') {
        at_text_add(cx, out, "es", 2);
    } else {
        at_text_add(cx, out, "s", 1);
    }
}

static bool add_plain(at_context *cx, at_text *out, const char *token)
{
    char digits[MOST_DIGITS + 64];
    size_t count = 0, parts = 0;
    bool negative = token[0] == '-' || strncmp(token, "−", 3) == 0;
    if (negative) token += token[0] == '-' ? 1 : 3;
    if (token[0] == '#' && isdigit((unsigned char)token[1])) add(cx, out, "number"), token++;
    if (negative) add(cx, out, "minus");
    size_t whole = take_whole(token, digits, &count);
    if (!whole && token[0] != '.') return false;
    const char *end = token + whole;
    if (end[0] == '.' && (parts = digits_of(end + 1)) > 0) {
        const char *point = end;
        end += 1 + parts;
        if (end[0] == '.' && isdigit((unsigned char)end[1])) { /* 1.2.3 */
            at_add_number(cx, out, digits, count, AT_CARDINAL);
            for (; point[0] == '.' && (parts = digits_of(point + 1)) > 0; point += 1 + parts) {
                add(cx, out, "dot");
                at_add_number(cx, out, point + 1, parts, AT_CARDINAL);
            }
            return add_end(cx, out, point);
        }
        if (whole) at_add_number(cx, out, digits, count, AT_CARDINAL);
        add_fraction(cx, out, point + 1, parts);
        return add_end(cx, out, end);
    }
    if (!whole) return false;
    if (is_ordinal_end(end)) {
        at_add_number(cx, out, digits, count, AT_ORDINAL);
        return true;
    }
    bool plural = strcmp(end, "s") == 0 || strcmp(end, "'s") == 0;
    bool plain = !*end && whole == 4 && !negative, year = plain || (plural && whole == 4);
    at_add_number(cx, out, digits, count, year && digits[0] != '0' ? AT_YEAR : AT_CARDINAL);
    if (!plural) return add_end(cx, out, end);
    make_plural(cx, out);
    return true;
}

bool at_add_spoken_number(at_context *cx, at_text *out, const char *token, bool american)
{
    size_t before = out->size;
    if (add_any_date(cx, out, token, american)) return true;
    out->size = before;
    if (add_time(cx, out, token)) return true;
    out->size = before;
    if (add_amount(cx, out, token)) return true;
    out->size = before;
    if (add_plain(cx, out, token)) return true;
    out->size = before;
    if (out->data) out->data[before] = 0;
    return false;
}
