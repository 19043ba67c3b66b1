/* atelier: one binary, one verb a job. */
#include "base/threads.h"
#include "cli/options.h"
#include <atelier/context.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_DONE;
    fputs("atelier: standard output: cannot be written\n", stderr);
    return CLI_FAILED;
}

/* What may stand in the place of a verb. */
static int run_other(int argc, char **argv)
{
    const char *word = argv[1], *value = argc > 2 ? argv[2] : "";
    const char *names[32];
    int count = 0;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        const cli_verb *verb = cli_verb_of(value);
        if (verb)
            cli_print_help(stdout, verb);
        else
            cli_print_usage(stdout);
    } else if (strcmp(word, "--version") == 0) {
        printf("atelier %s\n", at_version());
    } else if (strcmp(word, "--man") == 0) {
        cli_print_manual(stdout);
    } else if (strcmp(word, "--completion") == 0 && strcmp(value, "bash") == 0) {
        cli_print_bash(stdout);
    } else if (strcmp(word, "--completion") == 0 && strcmp(value, "zsh") == 0) {
        cli_print_zsh(stdout);
    } else if (strcmp(word, "--completion") == 0) {
        return cli_wrong("--completion: '%s' is not one of bash|zsh", value);
    } else {
        for (const cli_verb *const *v = cli_verbs; *v && count < 31; v++)
            names[count++] = (*v)->name;
        names[count] = NULL;
        const char *meant = cli_nearest(word, names);
        if (meant) return cli_wrong("%s: unknown verb (did you mean %s?)", word, meant);
        return cli_wrong("%s: unknown verb (see atelier --help)", word);
    }
    return written();
}

/* OpenMP's threads spin while they wait for work; where other programs want the cores too, a
   picture then takes a hundred times as long (measured: 0.15 s to 30 s). Passive waiting costs next
   to nothing, but its runtimes read the wish before main only: the program sets it and starts
   again. */
static void wait_passively(char **argv)
{
    char self[4096];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0 || setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
    self[size] = 0;
    at_unbind_thread();
    execv(self, argv); /* where that cannot be, it goes on spinning */
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        cli_print_usage(stderr);
        return CLI_WRONG;
    }
    const cli_verb *verb = cli_verb_of(argv[1]);
    if (!verb) return run_other(argc, argv);
    wait_passively(argv);
    cli_arguments *arguments = cli_parse(verb, argc - 2, argv + 2);
    if (!arguments) return CLI_WRONG;
    int code;
    if (cli_given(arguments, "help")) {
        cli_print_help(stdout, verb);
        code = written();
    } else {
        code = verb->run(arguments);
    }
    cli_arguments_free(arguments);
    return code;
}
