#include "cli/options.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct given {
    const cli_option *option;
    const char *text;
    double number;
    uint64_t whole; /* CLI_SEED, CLI_CHOICE (the index) */
} given;

struct cli_arguments {
    const cli_verb *verb;
    int given_count, operand_count;
    given *given;          /* in the order of the command line */
    const char **operands; /* pointers into argv */
};

const cli_verb *cli_verb_of(const char *name)
{
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        if (strcmp((*v)->name, name) == 0) return *v;
    return NULL;
}

const cli_option *cli_next_option(const cli_verb *verb, const cli_option *after)
{
    bool next = !after;
    for (const cli_group *g = verb->groups; g < verb->groups + CLI_GROUPS && g->options; g++)
        for (const cli_option *o = g->options; o->name; o++) {
            if (next) return o;
            next = o == after;
        }
    return NULL;
}

int cli_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("atelier: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return CLI_WRONG;
}

/* ---- values: strict, the whole text and nothing but it */

static bool read_whole(const char *text, long long *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || digits[strspn(digits, "0123456789")]) return false;
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return !errno;
}

static bool read_seed(const char *text, uint64_t *out)
{
    if (!*text || text[strspn(text, "0123456789")]) return false;
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return !errno;
}

static bool read_number(const char *text, double *out)
{
    char *end;
    if (!*text || text[strspn(text, "0123456789+-.eE")]) return false; /* no nan, inf, 0x, blanks */
    *out = strtod(text, &end);
    return !*end && isfinite(*out);
}

/* text among "a|b|c[:N]". */
static bool read_choice(const char *choices, const char *text, uint64_t *index)
{
    size_t size = strcspn(text, ":");
    bool numbered = text[size] == ':';
    *index = 0;
    for (const char *c = choices;; (*index)++) {
        size_t length = strcspn(c, "|["), all = strcspn(c, "|");
        bool same = length == size && strncmp(c, text, size) == 0;
        long long n;
        if (same && (!numbered || (all > length && read_whole(text + size + 1, &n) && n >= 0)))
            return true;
        if (!c[all]) return false;
        c += all + 1;
    }
}

static bool is_utf8(const char *text)
{
    utf8proc_int32_t code;
    utf8proc_ssize_t n;
    for (; *text; text += n)
        if ((n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &code)) <= 0) return false;
    return true;
}

static int wrong_range(const cli_option *o, const char *text)
{
    return cli_wrong("--%s: %s is out of range (%.10g to %.10g)", o->name, text, o->low, o->high);
}

/* Checks g->text as o says; CLI_DONE, or CLI_WRONG after saying why. */
static int read_value(const cli_option *o, given *g)
{
    long long whole;
    switch (o->kind) {
    case CLI_FLAG:
        return CLI_DONE;
    case CLI_TEXT:
        if (is_utf8(g->text)) return CLI_DONE;
        return cli_wrong("--%s: the text is not UTF-8", o->name);
    case CLI_FILE:
    case CLI_WORD:
        if (*g->text) return CLI_DONE;
        return cli_wrong("--%s: the value is empty (give %s)", o->name, o->value);
    case CLI_CHOICE:
        if (read_choice(o->value, g->text, &g->whole)) return CLI_DONE;
        return cli_wrong("--%s: '%s' is not one of %s", o->name, g->text, o->value);
    case CLI_SEED:
        if (read_seed(g->text, &g->whole)) return CLI_DONE;
        return cli_wrong("--%s: '%s' is not a whole number from 0 to %llu", o->name, g->text,
                         (unsigned long long)UINT64_MAX);
    case CLI_WHOLE:
        if (!read_whole(g->text, &whole))
            return cli_wrong("--%s: '%s' is not a whole number", o->name, g->text);
        g->number = (double)whole;
        break;
    case CLI_NUMBER:
        if (!read_number(g->text, &g->number))
            return cli_wrong("--%s: '%s' is not a number", o->name, g->text);
        break;
    }
    return g->number >= o->low && g->number <= o->high ? CLI_DONE : wrong_range(o, g->text);
}

/* ---- parsing */

static const cli_option *find(const cli_verb *verb, const char *name, size_t size)
{
    for (const cli_option *o = NULL; (o = cli_next_option(verb, o));)
        if (strlen(o->name) == size && strncmp(o->name, name, size) == 0) return o;
    return NULL;
}

static int wrong_option(const cli_verb *verb, const char *name, size_t size)
{
    const char *names[128];
    int count = 0;
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)size, name);
    for (const cli_option *o = NULL; (o = cli_next_option(verb, o)) && count < 127;)
        names[count++] = o->name;
    names[count] = NULL;
    const char *meant = cli_nearest(typed, names);
    if (meant) return cli_wrong("--%s: unknown option (did you mean --%s?)", typed, meant);
    return cli_wrong("--%s: unknown option (see atelier %s --help)", typed, verb->name);
}

/* One option at argv[*at], its value perhaps at the next place. */
static int parse_option(cli_arguments *a, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *value = NULL;
    const cli_option *o = NULL;
    if (word[1] == '-') {
        size_t size = strcspn(word + 2, "=");
        o = find(a->verb, word + 2, size);
        if (!o) return wrong_option(a->verb, word + 2, size);
        if (word[2 + size]) value = word + 2 + size + 1;
    } else {
        while ((o = cli_next_option(a->verb, o)) && o->letter != word[1]) continue;
        if (!o) return cli_wrong("%s: unknown option (see atelier %s --help)", word, a->verb->name);
        if (word[2]) value = word + 2;
    }
    if (o->kind == CLI_FLAG && value) return cli_wrong("--%s: takes no value", o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (*at + 1 >= argc) return cli_wrong("--%s: needs a value (%s)", o->name, o->value);
        value = argv[++*at];
    }
    given *g = &a->given[a->given_count++];
    *g = (given){.option = o, .text = value};
    return read_value(o, g);
}

static int check_operands(const cli_arguments *a)
{
    const cli_verb *verb = a->verb;
    if (a->operand_count < verb->least)
        return cli_wrong("%s: needs %s (see atelier %s --help)", verb->name, verb->operands,
                         verb->name);
    if (a->operand_count > verb->most)
        return cli_wrong("%s: '%s' is one too many (%s)", verb->name, a->operands[verb->most],
                         verb->operand_kind == CLI_TEXT ? "put the words in quotes"
                                                        : "one at a time");
    for (int i = 0; i < a->operand_count; i++)
        if (verb->operand_kind == CLI_TEXT && !is_utf8(a->operands[i]))
            return cli_wrong("%s: the text is not UTF-8", verb->operands);
    return CLI_DONE;
}

cli_arguments *cli_parse(const cli_verb *verb, int argc, char **argv)
{
    cli_arguments *a = calloc(1, sizeof *a);
    if (a) {
        a->verb = verb;
        a->given = calloc((size_t)argc + 1, sizeof *a->given);
        a->operands = calloc((size_t)argc + 1, sizeof *a->operands);
    }
    int code = CLI_DONE;
    if (!a || !a->given || !a->operands) code = cli_wrong("out of memory");
    bool options = true;
    for (int i = 0; i < argc && !code; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1])
            code = parse_option(a, argc, argv, &i);
        else
            a->operands[a->operand_count++] = argv[i];
    }
    if (!code && !cli_given(a, "help")) code = check_operands(a);
    if (!code) return a;
    cli_arguments_free(a);
    return NULL;
}

void cli_arguments_free(cli_arguments *a)
{
    if (!a) return;
    free(a->given);
    free(a->operands);
    free(a);
}

/* ---- asking */

static const given *last(const cli_arguments *a, const char *name)
{
    for (int i = a->given_count - 1; i >= 0; i--)
        if (strcmp(a->given[i].option->name, name) == 0) return &a->given[i];
    return NULL;
}

bool cli_given(const cli_arguments *a, const char *name)
{
    return last(a, name) != NULL;
}

const char *cli_text(const cli_arguments *a, const char *name, const char *fallback)
{
    const given *g = last(a, name);
    return g ? g->text : fallback;
}

int cli_texts(const cli_arguments *a, const char *name, const char **texts, int most)
{
    int count = 0;
    for (int i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].option->name, name) != 0) continue;
        if (count < most) texts[count] = a->given[i].text;
        count++;
    }
    return count;
}

int cli_whole(const cli_arguments *a, const char *name, int fallback)
{
    const given *g = last(a, name);
    return g ? (int)g->number : fallback;
}

uint64_t cli_seed(const cli_arguments *a, const char *name, uint64_t fallback)
{
    const given *g = last(a, name);
    return g ? g->whole : fallback;
}

double cli_number(const cli_arguments *a, const char *name, double fallback)
{
    const given *g = last(a, name);
    return g ? g->number : fallback;
}

int cli_choice(const cli_arguments *a, const char *name, int fallback)
{
    const given *g = last(a, name);
    return g ? (int)g->whole : fallback;
}

int cli_operands(const cli_arguments *a, const char *const **operands)
{
    *operands = (const char *const *)a->operands;
    return a->operand_count;
}

const cli_verb *cli_verb_parsed(const cli_arguments *a)
{
    return a->verb;
}

/* Letters to change, add or leave out to make b of a (Levenshtein), for short words. */
static int distance(const char *a, const char *b)
{
    int row[65];
    size_t n = strlen(b);
    if (n > 64) return 64;
    for (size_t j = 0; j <= n; j++) row[j] = (int)j;
    for (size_t i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int add = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < add ? change : add;
        }
    }
    return row[n];
}

const char *cli_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    int least = 3; /* up to two mistakes */
    size_t size = strlen(word);
    for (; *words; words++) {
        int d = size > 2 && strncmp(*words, word, size) == 0 ? 1 : distance(word, *words);
        if (d < least && d < (int)strlen(*words)) {
            least = d;
            best = *words;
        }
    }
    return best;
}
