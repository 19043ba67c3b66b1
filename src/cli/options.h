/* The command line as tables. A verb is described once, here declared; parsing, --help, the man
   page and the shell completions are all read off that description. */
#ifndef AT_CLI_OPTIONS_H
#define AT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_WRONG = 2 }; /* exit codes */

typedef enum cli_kind {
    CLI_FLAG,   /* takes no value */
    CLI_TEXT,   /* UTF-8, may be empty */
    CLI_FILE,   /* a path, not empty */
    CLI_WORD,   /* a name, not empty */
    CLI_CHOICE, /* one of `value`, which is "a|b|c"; "c[:N]" also takes "c:7" */
    CLI_WHOLE,  /* a whole number in [low, high] */
    CLI_SEED,   /* a whole number from 0 to 2^64 - 1 */
    CLI_NUMBER, /* a finite number in [low, high] */
} cli_kind;

typedef struct cli_option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* the short form, or 0 */
    cli_kind kind;
    const char *value;    /* what --help calls the value; the choices of a CLI_CHOICE */
    const char *help;     /* one sentence without capital and full stop */
    const char *fallback; /* the default in words; NULL: none worth saying */
    double low, high;
    bool repeats;
} cli_option;

typedef struct cli_group {
    const char *title;
    const cli_option *options;
} cli_group;

typedef struct cli_arguments cli_arguments;

enum { CLI_GROUPS = 10 };

typedef struct cli_verb {
    const char *name;
    const char *operands;         /* "[PROMPT]", as --help shows them */
    cli_kind operand_kind;        /* CLI_TEXT or CLI_FILE */
    int least, most;              /* how many operands */
    const char *summary;          /* one line */
    const char *text;             /* paragraphs for --help and the man page, parted by \n */
    const char *const *examples;  /* pairs: what it does, the command; NULL-terminated */
    cli_group groups[CLI_GROUPS]; /* unused ones are empty */
    int (*run)(const cli_arguments *arguments);
} cli_verb;

extern const cli_verb *const cli_verbs[]; /* NULL-terminated (verbs.c) */
const cli_verb *cli_verb_of(const char *name);

/* Options of every verb, and of those that open a model. */
extern const cli_option cli_everywhere[], cli_model_options[];

/* Parses what follows the verb. On an error: says it on standard error and returns NULL. */
cli_arguments *cli_parse(const cli_verb *verb, int argc, char **argv);
void cli_arguments_free(cli_arguments *arguments);

/* What was given; the last one counts. A name that the verb does not have is a mistake in the
   program: it counts as not given. */
bool cli_given(const cli_arguments *arguments, const char *name);
const char *cli_text(const cli_arguments *arguments, const char *name, const char *fallback);
/* Every one of an option that repeats, in the order given: the first `most` of them go to texts
   (NULL with 0). How many there are. */
int cli_texts(const cli_arguments *arguments, const char *name, const char **texts, int most);
int cli_whole(const cli_arguments *arguments, const char *name, int fallback);
uint64_t cli_seed(const cli_arguments *arguments, const char *name, uint64_t fallback);
double cli_number(const cli_arguments *arguments, const char *name, double fallback);
int cli_choice(const cli_arguments *arguments, const char *name, int fallback); /* its index */

int cli_operands(const cli_arguments *arguments, const char *const **operands);
const cli_verb *cli_verb_parsed(const cli_arguments *arguments);

/* Walks the options of a verb group by group: for (o = NULL; (o = cli_next_option(verb, o));). */
const cli_option *cli_next_option(const cli_verb *verb, const cli_option *after);

/* "atelier: what: why (what to do)" and a newline on standard error; returns CLI_WRONG. */
int cli_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Of these words (NULL-terminated) the one that a mistyped one may have meant, or NULL. */
const char *cli_nearest(const char *word, const char *const *words);

/* ---- written from the tables (help.c, manual.c, completion.c) */
void cli_print_usage(FILE *out);
void cli_print_help(FILE *out, const cli_verb *verb);
void cli_print_manual(FILE *out);
void cli_print_bash(FILE *out);
void cli_print_zsh(FILE *out);

#endif
