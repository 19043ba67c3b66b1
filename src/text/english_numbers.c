#include "text/english_numbers.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MOST_DIGITS = 18 }; /* that are read as one number */

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

void at_add_spoken(at_context *cx, at_text *out, const char *word)
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
        at_add_spoken(cx, out, word);
        return;
    }
    if (word[n - 1] == 'y')
        snprintf(changed, sizeof changed, "%.*sieth", (int)(n - 1), word);
    else
        snprintf(changed, sizeof changed, "%sth", word);
    at_add_spoken(cx, out, changed);
}

static void add_below_hundred(at_context *cx, at_text *out, unsigned value, at_number_kind kind)
{
    if (value < 20) {
        at_add_spoken(cx, out, kind == AT_ORDINAL ? ordinals[value] : small[value]);
        return;
    }
    if (value % 10 == 0) {
        add_last(cx, out, tens[value / 10], kind);
        return;
    }
    at_add_spoken(cx, out, tens[value / 10]);
    at_add_spoken(cx, out, kind == AT_ORDINAL ? ordinals[value % 10] : small[value % 10]);
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
        at_add_spoken(cx, out, "hundred");
        return;
    }
    if (low < 10) at_add_spoken(cx, out, "oh");
    add_value(cx, out, low, AT_CARDINAL);
}

void at_add_digits(at_context *cx, at_text *out, const char *digits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isdigit((unsigned char)digits[i])) at_add_spoken(cx, out, small[digits[i] - '0']);
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
