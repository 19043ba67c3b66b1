#include "text/english_tokens.h"
#include "text/english_numbers.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 64, MOST_TOKEN = 100 };

bool at_is_listed(const char *word, const char *const *list)
{
    for (; word && *list; list++)
        if (strcmp(word, *list) == 0) return true;
    return false;
}

static size_t digits_of(const char *text)
{
    size_t n = 0;
    while (isdigit((unsigned char)text[n])) n++;
    return n;
}

/* "1,234,567" or "1234": its digits to `out`; how much of the text they are, 0: none */
static size_t take_whole(const char *text, char out[MOST_DIGITS], size_t *count)
{
    size_t first = digits_of(text), at = first;
    if (!first || first > MOST_DIGITS) return 0;
    memcpy(out, text, first);
    *count = first;
    while (first <= 3 && text[at] == ',' && digits_of(text + at + 1) == 3 &&
           *count + 3 <= MOST_DIGITS) {
        memcpy(out + *count, text + at + 1, 3);
        *count += 3;
        at += 4;
    }
    return at;
}

static void add_decimals(at_context *cx, at_text *out, const char *text, size_t count)
{
    at_add_spoken(cx, out, "point");
    at_add_digits(cx, out, text, count);
}

/* ---- dates and times */

const char *const at_english_months[] = {"January",  "February", "March",  "April",     "May",
                                         "June",     "July",     "August", "September", "October",
                                         "November", "December", NULL};

static bool add_date(at_context *cx, at_text *out, int year, int month, int day)
{
    char digits[12];
    if (month < 1 || month > 12 || day < 1 || day > 31) return false;
    at_add_spoken(cx, out, at_english_months[month - 1]);
    snprintf(digits, sizeof digits, "%d", day);
    at_add_number(cx, out, digits, strlen(digits), AT_ORDINAL);
    snprintf(digits, sizeof digits, "%d", year);
    at_add_number(cx, out, digits, strlen(digits), strlen(digits) == 4 ? AT_YEAR : AT_CARDINAL);
    return true;
}

/* 2024-05-12, 5/12/2024, 5/12/24, 12.5.2024 */
static bool add_any_date(at_context *cx, at_text *out, const char *token, bool american)
{
    int a, b, c, end = 0;
    if (sscanf(token, "%4d-%2d-%2d%n", &a, &b, &c, &end) == 3 && !token[end] && end >= 8 && a > 999)
        return add_date(cx, out, a, b, c);
    if (sscanf(token, "%2d/%2d/%4d%n", &a, &b, &c, &end) == 3 && !token[end] &&
        (c > 999 || (c < 100 && token[end - 3] == '/'))) {
        int year = c > 999 ? c : c < 50 ? 2000 + c : 1900 + c;
        return add_date(cx, out, year, american ? a : b, american ? b : a);
    }
    return sscanf(token, "%2d.%2d.%4d%n", &a, &b, &c, &end) == 3 && !token[end] && c > 999 &&
           add_date(cx, out, c, b, a);
}

/* "am", "p.m.": A.M., P.M.; NULL for others */
static const char *half_day(const char *text)
{
    static const char *const names[] = {"am", "a.m.", "a.m", "AM", "A.M.", "A.M",
                                        "pm", "p.m.", "p.m", "PM", "P.M.", "P.M"};
    for (size_t i = 0; i < AT_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) return i < 6 ? "A.M" : "P.M";
    return NULL;
}

/* 7:05, 15:30, 3:30pm, 1:02:33 */
static bool add_time(at_context *cx, at_text *out, const char *token)
{
    size_t hours = digits_of(token);
    if (!hours || hours > 2 || token[hours] != ':') return false;
    const char *minutes = token + hours + 1, *end = minutes + 2;
    if (digits_of(minutes) != 2 || minutes[0] > '5') return false;
    bool seconds = end[0] == ':' && digits_of(end + 1) == 2 && end[1] <= '5' && !end[3];
    const char *half = half_day(end);
    if (*end && !half && !seconds) return false;
    if (token[0] == '0' && hours == 2) token++, hours--;
    at_add_number(cx, out, token, hours, AT_CARDINAL);
    if (minutes[0] != '0' || minutes[1] != '0' || seconds) {
        if (minutes[0] == '0') at_add_spoken(cx, out, "oh");
        bool oh = minutes[0] == '0';
        at_add_number(cx, out, minutes + oh, 2 - oh, AT_CARDINAL);
    } else if (!half) {
        at_add_spoken(cx, out, atoi(token) <= 12 && atoi(token) > 0 ? "o'clock" : "hundred");
    }
    if (seconds)
        at_add_number(cx, out, end + 1 + (end[1] == '0'), 2 - (end[1] == '0'), AT_CARDINAL);
    if (half) at_add_spoken(cx, out, half);
    return true;
}

/* ---- amounts of money */

static const struct {
    const char *sign, *one, *many, *part, *parts;
} currencies[] = {{"$", "dollar", "dollars", "cent", "cents"},
                  {"£", "pound", "pounds", "penny", "pence"},
                  {"€", "euro", "euros", "cent", "cents"},
                  {"¥", "yen", "yen", NULL, NULL},
                  {"₹", "rupee", "rupees", "paisa", "paise"},
                  {"₽", "ruble", "rubles", NULL, NULL},
                  {"₩", "won", "won", NULL, NULL},
                  {"₿", "bitcoin", "bitcoins", NULL, NULL},
                  {"₺", "lira", "lira", NULL, NULL},
                  {"₴", "hryvnia", "hryvnias", NULL, NULL},
                  {"₪", "shekel", "shekels", NULL, NULL},
                  {"₱", "peso", "pesos", NULL, NULL},
                  {"฿", "baht", "baht", NULL, NULL},
                  {"US$", "U.S dollar", "U.S dollars", "cent", "cents"},
                  {"A$", "Australian dollar", "Australian dollars", "cent", "cents"},
                  {"C$", "Canadian dollar", "Canadian dollars", "cent", "cents"},
                  {"USD", "U.S dollar", "U.S dollars", "cent", "cents"},
                  {"EUR", "euro", "euros", "cent", "cents"},
                  {"GBP", "pound", "pounds", "penny", "pence"}};

/* What is said of an amount: whole and fraction are digits. */
static void add_money(at_context *cx, at_text *out, size_t currency, const char *whole,
                      size_t count, const char *fraction, size_t parts, const char *scale)
{
    bool one = count == 1 && whole[0] == '1', none = count == 1 && whole[0] == '0';
    bool cents = parts == 2 && !scale && currencies[currency].part && strncmp(fraction, "00", 2);
    if (!none || !cents) {
        at_add_number(cx, out, whole, count, AT_CARDINAL);
        if (parts && !cents && (parts != 2 || strncmp(fraction, "00", 2)))
            add_decimals(cx, out, fraction, parts), one = false;
        if (scale) at_add_spoken(cx, out, scale), one = false;
        at_add_spoken(cx, out, one ? currencies[currency].one : currencies[currency].many);
    }
    if (!cents) return;
    if (!none) at_add_spoken(cx, out, "and");
    if (fraction[0] == '0') fraction++, parts--;
    at_add_number(cx, out, fraction, parts, AT_CARDINAL);
    bool penny = parts == 1 && fraction[0] == '1';
    at_add_spoken(cx, out, penny ? currencies[currency].part : currencies[currency].parts);
}

/* Which currency a token begins with, and how long its sign is; AT_COUNT(currencies): none. */
static size_t currency_of(const char *token, size_t *size)
{
    for (size_t i = 0; i < AT_COUNT(currencies); i++) {
        *size = strlen(currencies[i].sign);
        if (strncmp(token, currencies[i].sign, *size) == 0) return i;
    }
    return AT_COUNT(currencies);
}

static const char *scale_of(const char *text, size_t *size)
{
    static const char *const scales[][2] = {
        {" thousand", "thousand"}, {" million", "million"}, {" billion", "billion"},
        {" trillion", "trillion"}, {" hundred", "hundred"}, {"bn", "billion"},
        {"tn", "trillion"},        {"k", "thousand"},       {"K", "thousand"},
        {"m", "million"},          {"M", "million"},        {"b", "billion"},
        {"B", "billion"},          {"T", "trillion"}};
    for (size_t i = 0; i < AT_COUNT(scales); i++) {
        *size = strlen(scales[i][0]);
        if (strncmp(text, scales[i][0], *size) == 0 && !isalnum((unsigned char)text[*size]))
            return scales[i][1];
    }
    *size = 0;
    return NULL;
}

/* "$5", "$2.5M", "$5 million", "-$5", "$5/month", "5€" */
static bool add_amount(at_context *cx, at_text *out, const char *token)
{
    char digits[MOST_DIGITS];
    size_t count = 0, size, parts = 0;
    bool minus = token[0] == '-' || strncmp(token, "−", 3) == 0;
    if (minus) token += token[0] == '-' ? 1 : 3;
    size_t currency = currency_of(token, &size);
    bool before = currency < AT_COUNT(currencies);
    if (before) token += size;
    while (before && *token == ' ') token++;
    size_t whole = take_whole(token, digits, &count);
    if (!whole) return false;
    token += whole;
    const char *fraction = token + 1;
    if (token[0] == '.' && (parts = digits_of(fraction)) > 0) token += 1 + parts;
    const char *scale = scale_of(token, &size);
    token += size;
    if (!before) {
        while (*token == ' ') token++;
        currency = currency_of(token, &size);
        if (currency == AT_COUNT(currencies)) return false;
        token += size;
    }
    bool each = token[0] == '/' && isalpha((unsigned char)token[1]);
    for (const char *c = token + 1; each && *c; c++) each = isalpha((unsigned char)*c);
    if (*token && !each) return false;
    if (minus) at_add_spoken(cx, out, "minus");
    add_money(cx, out, currency, digits, count, fraction, parts, scale);
    if (!each) return true;
    at_add_spoken(cx, out, "per");
    if (!at_add_unit(cx, out, token + 1, true, false)) at_add_spoken(cx, out, token + 1);
    return true;
}

/* ---- units */

static const struct {
    const char *sign, *one, *many;
    bool apart;
} units[] = {{"%", "percent", "percent", true},
             {"‰", "per mille", "per mille", true},
             {"km", "kilometer", "kilometers", true},
             {"m", "meter", "meters", true},
             {"cm", "centimeter", "centimeters", true},
             {"mm", "millimeter", "millimeters", true},
             {"μm", "micrometer", "micrometers", true},
             {"nm", "nanometer", "nanometers", true},
             {"kg", "kilogram", "kilograms", true},
             {"g", "gram", "grams", true},
             {"mg", "milligram", "milligrams", true},
             {"μg", "microgram", "micrograms", true},
             {"t", "ton", "tons", true},
             {"l", "liter", "liters", true},
             {"L", "liter", "liters", true},
             {"ml", "milliliter", "milliliters", true},
             {"mL", "milliliter", "milliliters", true},
             {"cl", "centiliter", "centiliters", true},
             {"ha", "hectare", "hectares", true},
             {"mph", "mile per hour", "miles per hour", true},
             {"kmh", "kilometer per hour", "kilometers per hour", true},
             {"kph", "kilometer per hour", "kilometers per hour", true},
             {"mi", "mile", "miles", true},
             {"yd", "yard", "yards", true},
             {"ft", "foot", "feet", true},
             {"in", "inch", "inches", false},
             {"lb", "pound", "pounds", true},
             {"lbs", "pound", "pounds", true},
             {"oz", "ounce", "ounces", true},
             {"gal", "gallon", "gallons", true},
             {"tsp", "teaspoon", "teaspoons", true},
             {"tbsp", "tablespoon", "tablespoons", true},
             {"h", "hour", "hours", true},
             {"hr", "hour", "hours", true},
             {"hrs", "hour", "hours", true},
             {"min", "minute", "minutes", true},
             {"mins", "minute", "minutes", true},
             {"sec", "second", "seconds", true},
             {"secs", "second", "seconds", true},
             {"s", "second", "seconds", false},
             {"ms", "millisecond", "milliseconds", true},
             {"Hz", "hertz", "hertz", true},
             {"kHz", "kilohertz", "kilohertz", true},
             {"MHz", "megahertz", "megahertz", true},
             {"GHz", "gigahertz", "gigahertz", true},
             {"KB", "kilobyte", "kilobytes", true},
             {"kB", "kilobyte", "kilobytes", true},
             {"MB", "megabyte", "megabytes", true},
             {"GB", "gigabyte", "gigabytes", true},
             {"TB", "terabyte", "terabytes", true},
             {"Mbps", "megabit per second", "megabits per second", true},
             {"Gbps", "gigabit per second", "gigabits per second", true},
             {"W", "watt", "watts", true},
             {"kW", "kilowatt", "kilowatts", true},
             {"MW", "megawatt", "megawatts", true},
             {"kWh", "kilowatt hour", "kilowatt hours", true},
             {"V", "volt", "volts", true},
             {"mA", "milliamp", "milliamps", true},
             {"mAh", "milliamp hour", "milliamp hours", true},
             {"dB", "decibel", "decibels", true},
             {"Pa", "pascal", "pascals", true},
             {"hPa", "hectopascal", "hectopascals", true},
             {"kPa", "kilopascal", "kilopascals", true},
             {"psi", "pound per square inch", "pounds per square inch", true},
             {"rpm", "revolution per minute", "revolutions per minute", true},
             {"J", "joule", "joules", true},
             {"kJ", "kilojoule", "kilojoules", true},
             {"cal", "calorie", "calories", true},
             {"kcal", "kilocalorie", "kilocalories", true},
             {"px", "pixel", "pixels", true},
             {"Ω", "ohm", "ohms", true},
             {"¢", "cent", "cents", true},
             {"°", "degree", "degrees", true},
             {"°C", "degree Celsius", "degrees Celsius", true},
             {"°F", "degree Fahrenheit", "degrees Fahrenheit", true},
             {"°N", "degree north", "degrees north", true},
             {"°S", "degree south", "degrees south", true},
             {"°E", "degree east", "degrees east", true},
             {"°W", "degree west", "degrees west", true},
             {"x", "time", "times", false},
             {"×", "time", "times", false},
             {"M", "million", "million", false},
             {"bn", "billion", "billion", true},
             {"+", "plus", "plus", false}};

static int unit_of(const char *sign, size_t size, bool apart)
{
    for (size_t i = 0; i < AT_COUNT(units); i++)
        if (strlen(units[i].sign) == size && memcmp(sign, units[i].sign, size) == 0 &&
            (units[i].apart || !apart))
            return (int)i;
    return -1;
}

/* "km", "km^2", "m2"; each: behind "per", where the power comes last */
static bool add_simple_unit(at_context *cx, at_text *out, const char *sign, size_t size, bool one,
                            bool apart, bool each)
{
    char power = size > 1 && (sign[size - 1] == '2' || sign[size - 1] == '3') ? sign[size - 1] : 0;
    if (power) size -= size > 2 && sign[size - 2] == '^' ? 2 : 1;
    int unit = unit_of(sign, size, apart || (power && !each));
    if (unit < 0) return false;
    if (power && !each) at_add_spoken(cx, out, power == '2' ? "square" : "cubic");
    at_add_spoken(cx, out, one ? units[unit].one : units[unit].many);
    if (power && each) at_add_spoken(cx, out, power == '2' ? "squared" : "cubed");
    return true;
}

bool at_add_unit(at_context *cx, at_text *out, const char *sign, bool one, bool apart)
{
    const char *slash = strchr(sign, '/'), *half = half_day(sign);
    size_t before = out->size, n = strlen(sign);
    if (half) at_add_spoken(cx, out, half);
    if (half || !slash) return half || add_simple_unit(cx, out, sign, n, one, apart, false);
    if (add_simple_unit(cx, out, sign, (size_t)(slash - sign), one, apart, false)) {
        at_add_spoken(cx, out, "per");
        slash++;
        if (add_simple_unit(cx, out, slash, strlen(slash), true, false, true)) return true;
    }
    out->size = before;
    return false;
}

/* ---- plain numbers, with what they count */

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

static bool is_ordinal_end(const char *end)
{
    return strcmp(end, "st") == 0 || strcmp(end, "nd") == 0 || strcmp(end, "rd") == 0 ||
           strcmp(end, "th") == 0;
}

/* "1.2.3" from its first full stop on */
static bool add_version(at_context *cx, at_text *out, const char *end)
{
    for (size_t n; end[0] == '.' && (n = digits_of(end + 1)) > 0; end += 1 + n) {
        at_add_spoken(cx, out, "dot");
        at_add_number(cx, out, end + 1, n, AT_CARDINAL);
    }
    return !*end;
}

static bool add_plain(at_context *cx, at_text *out, const char *token)
{
    char digits[MOST_DIGITS];
    size_t count = 0, parts = 0;
    bool negative = token[0] == '-' || strncmp(token, "−", 3) == 0;
    if (negative) token += token[0] == '-' ? 1 : 3;
    if (token[0] == '#' && isdigit((unsigned char)token[1]))
        at_add_spoken(cx, out, "number"), token++;
    if (negative) at_add_spoken(cx, out, "minus");
    size_t whole = take_whole(token, digits, &count);
    const char *end = token + whole;
    if (!whole && token[0] != '.') return false;
    bool one = count == 1 && digits[0] == '1', space = false;
    bool plural = strcmp(end, "s") == 0 || strcmp(end, "'s") == 0;
    bool year = whole == 4 && !negative && digits[0] != '0' && (!*end || plural);
    bool ordinal = is_ordinal_end(end);
    if (whole)
        at_add_number(cx, out, digits, count, year ? AT_YEAR : ordinal ? AT_ORDINAL : AT_CARDINAL);
    if (ordinal) return true;
    if (end[0] == '.' && (parts = digits_of(end + 1)) > 0) {
        if (end[1 + parts] == '.') return whole && add_version(cx, out, end);
        add_decimals(cx, out, end + 1, parts);
        end += 1 + parts;
        one = false;
    } else if (!whole) {
        return false;
    }
    if (plural) make_plural(cx, out);
    if (!*end || plural) return true;
    while (*end == ' ') end++, space = true;
    return at_add_unit(cx, out, end, one, space);
}

/* A number, or an amount of something. */
static bool add_number(at_context *cx, at_text *out, const char *token)
{
    size_t before = out->size;
    if (add_amount(cx, out, token)) return true;
    out->size = before;
    if (add_plain(cx, out, token)) return true;
    out->size = before;
    return false;
}

/* ---- two numbers */

/* Digits on both sides of a sign and nothing else; *second: the others. */
static bool split_at(const char *token, char sign, size_t *first, const char **second)
{
    *first = digits_of(token);
    *second = token + *first + 1;
    size_t n = *first && token[*first] == sign ? digits_of(*second) : 0;
    return n && !(*second)[n];
}

static void add_part(at_context *cx, at_text *out, const char *digits, bool many)
{
    size_t n = digits_of(digits);
    if (n == 1 && digits[0] == '2') {
        at_add_spoken(cx, out, many ? "halves" : "half");
    } else if (n == 1 && digits[0] == '4') {
        at_add_spoken(cx, out, many ? "quarters" : "quarter");
    } else {
        at_add_number(cx, out, digits, n, AT_ORDINAL);
        if (many) make_plural(cx, out);
    }
}

bool at_add_spoken_fraction(at_context *cx, at_text *out, const char *token, bool mixed)
{
    size_t first;
    const char *second;
    if (!split_at(token, '/', &first, &second) || first > 3 || strlen(second) > 4) return false;
    int above = atoi(token), below = atoi(second);
    bool common = below > 1 && token[0] != '0' && second[0] != '0';
    if (!common || (above >= below && (below > 10 || above > 20 || above == below)) ||
        (above == 9 && below == 11)) { /* 24/7, 50/50, 9/11 */
        if (mixed) return false;
        at_add_number(cx, out, token, first, AT_CARDINAL);
        at_add_number(cx, out, second, strlen(second), AT_CARDINAL);
        return true;
    }
    bool one = above == 1;
    if (mixed && one)
        at_add_spoken(cx, out, second[0] == '8' || below == 11 || below == 18 ? "an" : "a");
    else
        at_add_number(cx, out, token, first, AT_CARDINAL);
    add_part(cx, out, second, !one);
    return true;
}

/* 10-15, $10-15, 10-15%, 9:30-11:00, 1990-95 */
static bool add_range(at_context *cx, at_text *out, const char *token)
{
    char left[MOST_TOKEN];
    const char *dash = strchr(token + (*token != 0), '-');
    size_t n = dash ? (size_t)(dash - token) : sizeof left, sign;
    if (n + 8 >= sizeof left || strchr(dash + 1, '-')) return false;
    memcpy(left, token, n);
    left[n] = 0;
    size_t currency = currency_of(left, &sign);
    const char *right = dash + 1;
    if (currency < AT_COUNT(currencies) && isdigit((unsigned char)*right)) { /* $10-15 */
        if (!add_plain(cx, out, left + sign)) return false;
        at_add_spoken(cx, out, "to");
        if (strlen(right) + sign >= sizeof left) return false;
        strcpy(left + sign, right);
        return add_amount(cx, out, left);
    }
    if (!isdigit((unsigned char)*right) && currency_of(right, &sign) == AT_COUNT(currencies))
        return false;
    if (!add_time(cx, out, left) && !add_number(cx, out, left)) return false;
    at_add_spoken(cx, out, "to");
    return add_time(cx, out, right) || add_number(cx, out, right);
}

/* 16:9, 4x4, 5'10" */
static bool add_pair(at_context *cx, at_text *out, const char *token)
{
    size_t first, n = strlen(token);
    const char *second;
    char plain[MOST_TOKEN];
    if (n >= sizeof plain) return false;
    strcpy(plain, token);
    bool inches = n > 1 && token[n - 1] == '"';
    if (inches) plain[--n] = 0;
    if (split_at(plain, '\'', &first, &second) && first < 3 && strlen(second) < 3) {
        at_add_number(cx, out, plain, first, AT_CARDINAL);
        at_add_spoken(cx, out, "foot");
        at_add_number(cx, out, second, strlen(second), AT_CARDINAL);
        return true;
    }
    char *times = strstr(plain, "×");
    if (times) { /* one byte, as x is */
        *times = 'x';
        memmove(times + 1, times + 2, strlen(times + 1));
    }
    const char *between = split_at(plain, ':', &first, &second) ? "to" : NULL;
    if (!between && split_at(plain, 'x', &first, &second))
        between = times && first < 3 ? "times" : "by";
    if (!between || inches) return false;
    at_add_number(cx, out, plain, first, first == 4 ? AT_YEAR : AT_CARDINAL);
    at_add_spoken(cx, out, between);
    n = strlen(second);
    at_add_number(cx, out, second, n, n == 4 ? AT_YEAR : AT_CARDINAL);
    return true;
}

/* 10^2, 10^-6 */
static bool add_power(at_context *cx, at_text *out, const char *token)
{
    size_t n = digits_of(token);
    if (!n || token[n] != '^' || !token[n + 1]) return false;
    const char *power = token + n + 1;
    at_add_number(cx, out, token, n, AT_CARDINAL);
    if (strcmp(power, "2") == 0 || strcmp(power, "3") == 0) {
        at_add_spoken(cx, out, *power == '2' ? "squared" : "cubed");
        return true;
    }
    at_add_spoken(cx, out, "to the power of");
    return power[strspn(power, "-0123456789")] == 0 && add_plain(cx, out, power);
}

bool at_add_spoken_token(at_context *cx, at_text *out, const char *token, bool american)
{
    size_t before = out->size;
    if (add_any_date(cx, out, token, american)) return true;
    out->size = before;
    if (add_time(cx, out, token)) return true;
    out->size = before;
    if (add_number(cx, out, token)) return true;
    if (at_add_spoken_fraction(cx, out, token, false)) return true;
    out->size = before;
    if (add_range(cx, out, token)) return true;
    out->size = before;
    if (add_pair(cx, out, token)) return true;
    out->size = before;
    if (add_power(cx, out, token)) return true;
    out->size = before;
    if (out->data) out->data[before] = 0;
    return false;
}

const char *at_english_symbol(const char *text)
{
    static const char *const symbols[][2] = {{"=", "equals"},
                                             {"<", "less than"},
                                             {">", "greater than"},
                                             {"≤", "less than or equal to"},
                                             {"≥", "greater than or equal to"},
                                             {"≠", "is not equal to"},
                                             {"≈", "approximately"},
                                             {"±", "plus or minus"},
                                             {"×", "times"},
                                             {"÷", "divided by"},
                                             {"√", "square root of"},
                                             {"∞", "infinity"},
                                             {"−", "minus"},
                                             {"°", "degrees"},
                                             {"§", "section"},
                                             {"¶", "paragraph"},
                                             {"©", "copyright"},
                                             {"®", "registered"},
                                             {"%", "percent"},
                                             {"&", "and"},
                                             {"+", "plus"},
                                             {"@", "at"},
                                             {"^", "to the power of"},
                                             {"$", "dollar"},
                                             {"£", "pound"},
                                             {"€", "euro"},
                                             {"#", "hash"},
                                             {"\\", "backslash"}};
    for (size_t i = 0; i < AT_COUNT(symbols); i++)
        if (strcmp(text, symbols[i][0]) == 0) return symbols[i][1];
    return NULL;
}
