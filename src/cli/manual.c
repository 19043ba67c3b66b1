/* The manual page, atelier(1), from the same tables as --help. */
#include "cli/options.h"
#include <atelier/context.h>
#include <string.h>

/* Text as roff takes it: no control lines, hyphens that can be copied. */
static void print_text(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n')) fputs("\\&", out);
        if (*c == '-')
            fputs("\\-", out);
        else if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '\n')
            fputs("\n.PP\n", out);
        else
            fputc(*c, out);
    }
}

static void print_bold(FILE *out, const char *before, const char *name)
{
    fputs("\\fB", out);
    print_text(out, before);
    print_text(out, name);
    fputs("\\fR", out);
}

static void print_option(FILE *out, const cli_option *o)
{
    fputs(".TP\n", out);
    if (o->letter) {
        print_bold(out, "-", (char[]){o->letter, 0});
        fputs(", ", out);
    }
    print_bold(out, "--", o->name);
    if (o->value) {
        fputs(" \\fI", out);
        print_text(out, o->value);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    print_text(out, o->help);
    if (o->repeats) fputs("; may be given more than once", out);
    if (o->fallback) {
        fputs(" (default: ", out);
        print_text(out, o->fallback);
        fputc(')', out);
    }
    fputs(".\n", out);
}

static void print_verb(FILE *out, const cli_verb *verb)
{
    fputs(".SH ATELIER ", out);
    for (const char *c = verb->name; *c; c++) fputc(*c >= 'a' && *c <= 'z' ? *c - 32 : *c, out);
    fputs("\n\\fBatelier ", out);
    print_text(out, verb->name);
    fputs("\\fR [\\fIOPTIONS\\fR] ", out);
    print_text(out, verb->operands);
    fputs("\n.PP\n", out);
    print_text(out, verb->text);
    fputc('\n', out);
    for (const cli_group *g = verb->groups; g < verb->groups + CLI_GROUPS && g->options; g++) {
        if (g->options == cli_everywhere) continue;
        fputs(".SS ", out);
        print_text(out, g->title);
        fputc('\n', out);
        for (const cli_option *o = g->options; o->name; o++) print_option(out, o);
    }
    for (const char *const *e = verb->examples; e && *e; e += 2) {
        fputs(".PP\n", out);
        print_text(out, e[0]);
        fputs(":\n.PP\n.RS 4\n.EX\n", out);
        print_text(out, e[1]);
        fputs("\n.EE\n.RE\n", out);
    }
}

void cli_print_manual(FILE *out)
{
    fprintf(out, ".TH ATELIER 1 \"\" \"atelier %s\" \"User Commands\"\n", at_version());
    fputs(".SH NAME\natelier \\- open generative models, without Python\n"
          ".SH SYNOPSIS\n\\fBatelier\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR] [\\fIOPERANDS\\fR]\n"
          ".SH DESCRIPTION\n",
          out);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        fputs(".TP\n", out);
        print_bold(out, "", (*v)->name);
        fputc('\n', out);
        print_text(out, (*v)->summary);
        fputs(".\n", out);
    }
    fputs(".PP\nOptions are written \\fB\\-\\-name value\\fR or \\fB\\-\\-name=value\\fR; "
          "\\fB\\-\\-\\fR ends them.\n",
          out);
    for (const cli_verb *const *v = cli_verbs; *v; v++) print_verb(out, *v);
    fputs(".SH OPTIONS OF EVERY VERB\n", out);
    for (const cli_option *o = cli_everywhere; o->name; o++) print_option(out, o);
    fputs(".SH EXIT STATUS\n0: done. 1: the work failed. 2: the command line is wrong.\n"
          ".SH ENVIRONMENT\n"
          ".TP\n\\fBATELIER_HOME\\fR\nwhere models of one\\(aqs own lie, and in its folder "
          "\\fImodels\\fR (default: \\fI~/.cache/atelier\\fR).\n"
          ".TP\n\\fBHF_HOME\\fR, \\fBHF_HUB_CACHE\\fR, \\fBHF_ENDPOINT\\fR, \\fBHF_TOKEN\\fR, "
          "\\fBHF_HUB_OFFLINE\\fR\nthe hub, as for huggingface_hub: where what is pulled lies, "
          "whom to ask, with which token, and not to ask.\n"
          ".TP\n\\fBATELIER_CPU\\fR\n\\fBgeneric\\fR, \\fBavx2\\fR, \\fBavx512\\fR or "
          "\\fBneon\\fR: the processor\\(aqs kernels to use instead of the best.\n",
          out);
}
