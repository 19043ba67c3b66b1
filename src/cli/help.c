/* --help, from the tables. */
#include "cli/options.h"
#include <atelier/context.h>
#include <string.h>

enum { WIDTH = 80, COLUMN = 27 };

/* text in lines of WIDTH columns, the cursor being at column `indent`, where all lines begin. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
    int at = indent;
    for (size_t word; word = strcspn(text, " \n"), *text; text += word + (text[word] != 0)) {
        bool first = at == indent;
        if (!first && at + 1 + (int)word > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        at += fprintf(out, "%s%.*s", first ? "" : " ", (int)word, text);
        if (text[word] == '\n') {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        }
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const cli_option *o)
{
    char left[128], right[1024];
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    int size = snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->value ? " " : "",
                        o->value ? o->value : "");
    int n = snprintf(right, sizeof right, "%s", o->help);
    if (o->repeats)
        n += snprintf(right + n, sizeof right - (size_t)n, "; may be given more than once");
    if (o->fallback)
        n += snprintf(right + n, sizeof right - (size_t)n, " (default: %s)", o->fallback);
    fputs(left, out);
    if (size > COLUMN - 2)
        fprintf(out, "\n%*s", COLUMN, "");
    else
        fprintf(out, "%*s", COLUMN - size, "");
    print_wrapped(out, right, COLUMN);
}

void cli_print_help(FILE *out, const cli_verb *verb)
{
    fprintf(out, "Usage: atelier %s [OPTIONS] %s\n\n", verb->name, verb->operands);
    print_wrapped(out, verb->text, 0);
    for (const cli_group *g = verb->groups; g < verb->groups + CLI_GROUPS && g->options; g++) {
        fprintf(out, "\n%s:\n", g->title);
        for (const cli_option *o = g->options; o->name; o++) print_option(out, o);
    }
    if (verb->examples) fputs("\nExamples:\n", out);
    for (const char *const *e = verb->examples; e && *e; e += 2)
        fprintf(out, "  # %s\n  %s\n", e[0], e[1]);
}

void cli_print_usage(FILE *out)
{
    fprintf(
        out,
        "atelier %s: open generative models, without Python\n\nUsage: atelier VERB [OPTIONS]\n\n",
        at_version());
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        fprintf(out, "  %-12s%s\n", (*v)->name, (*v)->summary);
    fputs("\natelier VERB --help shows every option of a verb; atelier --version the version;\n"
          "atelier --man the manual page; atelier --completion bash|zsh a completion script.\n",
          out);
}
