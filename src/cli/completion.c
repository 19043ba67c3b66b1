/* Completion for bash and zsh, from the same tables as --help. */
#include "cli/options.h"
#include <string.h>

/* "auto|cpu|cuda[:N]" as words: auto cpu cuda. */
static void print_choices(FILE *out, const char *choices)
{
    for (const char *c = choices; *c; c++) {
        if (*c == '[')
            c += strcspn(c, "]");
        else
            fputc(*c == '|' ? ' ' : *c, out);
    }
}

static void print_bash_verb(FILE *out, const cli_verb *verb)
{
    fprintf(out, "    %s)\n        case $before in\n", verb->name);
    for (const cli_option *o = NULL; (o = cli_next_option(verb, o));) {
        if (o->kind == CLI_FLAG) continue;
        fputs("        ", out);
        if (o->letter) fprintf(out, "-%c | ", o->letter);
        fprintf(out, "--%s) ", o->name);
        if (o->kind == CLI_CHOICE) {
            fputs("COMPREPLY=($(compgen -W '", out);
            print_choices(out, o->value);
            fputs("' -- \"$word\")) ;;\n", out);
        } else if (o->kind == CLI_FILE) {
            fputs("COMPREPLY=($(compgen -f -- \"$word\")) ;;\n", out);
        } else {
            fputs("COMPREPLY=() ;;\n", out);
        }
    }
    fputs("        *) COMPREPLY=($(compgen -W '", out);
    for (const cli_option *o = NULL; (o = cli_next_option(verb, o));)
        fprintf(out, "--%s ", o->name);
    fprintf(out, "' -- \"$word\")%s) ;;\n        esac\n        ;;\n",
            verb->operand_kind == CLI_FILE ? " $(compgen -f -- \"$word\")" : "");
}

void cli_print_bash(FILE *out)
{
    fputs("# bash completion for atelier\n_atelier()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '",
          out);
    for (const cli_verb *const *v = cli_verbs; *v; v++) fprintf(out, "%s ", (*v)->name);
    fputs("--help --version' -- \"$word\"))\n        return\n    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          out);
    for (const cli_verb *const *v = cli_verbs; *v; v++) print_bash_verb(out, *v);
    fputs("    esac\n}\ncomplete -F _atelier atelier\n", out);
}

/* Inside single quotes of zsh's _arguments: no brackets, colons or quotes. */
static void print_zsh_text(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *c))
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
    }
}

static void print_zsh_option(FILE *out, const cli_option *o, const char *dashes, const char *name)
{
    fprintf(out, "        '%s%s%s%s[", o->repeats ? "*" : "", dashes, name,
            o->kind == CLI_FLAG    ? ""
            : *dashes && dashes[1] ? "="
                                   : "+");
    print_zsh_text(out, o->help);
    fputc(']', out);
    if (o->kind != CLI_FLAG) {
        fputc(':', out);
        print_zsh_text(out, o->value);
        fputc(':', out);
        if (o->kind == CLI_FILE) fputs("_files", out);
        if (o->kind == CLI_CHOICE) {
            fputc('(', out);
            print_choices(out, o->value);
            fputc(')', out);
        }
    }
    fputs("' \\\n", out);
}

void cli_print_zsh(FILE *out)
{
    fputs("#compdef atelier\n_atelier()\n{\n    local -a verbs\n    verbs=(\n", out);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        fprintf(out, "        '%s:", (*v)->name);
        print_zsh_text(out, (*v)->summary);
        fputs("'\n", out);
    }
    fputs("    )\n    if ((CURRENT == 2)); then\n        _describe verb verbs\n        return\n"
          "    fi\n    local verb=$words[2]\n    shift words\n    ((CURRENT--))\n"
          "    case $verb in\n",
          out);
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        fprintf(out, "    %s)\n        _arguments -s \\\n", (*v)->name);
        for (const cli_option *o = NULL; (o = cli_next_option(*v, o));) {
            if (o->letter) print_zsh_option(out, o, "-", (char[]){o->letter, 0});
            print_zsh_option(out, o, "--", o->name);
        }
        fprintf(out, "        '*:%s:%s'\n        ;;\n",
                (*v)->operand_kind == CLI_FILE ? "file" : "text",
                (*v)->operand_kind == CLI_FILE ? "_files" : "");
    }
    fputs("    esac\n}\n_atelier \"$@\"\n", out);
}
