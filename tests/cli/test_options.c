/* The command line's parser: forms, strictness, suggestions, and what is written from its tables.
 */
#include "cli/options.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs the four above first */
#include <cmocka.h>

enum { MOST = 8 };

/* Parses the words (NULL-terminated) for generate; what it says on standard error goes to `said`.
 */
static cli_arguments *parse(char said[512], const char *const words[])
{
    static char copies[MOST][256];
    char *argv[MOST];
    int argc = 0, kept = dup(STDERR_FILENO);
    for (; words[argc]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    FILE *file = tmpfile();
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    cli_arguments *a = cli_parse(&cli_generate, argc, argv);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    said[fread(said, 1, 511, file)] = 0;
    fclose(file);
    return a;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_wrong(const char *message, const char *const words[])
{
    char said[512];
    cli_arguments *a = parse(said, words);
    assert_null(a);
    assert_string_equal(said, message);
}

static void test_forms(void **state)
{
    (void)state;
    char said[512];
    const char *const *operands;
    cli_arguments *a = parse(said, WORDS("--width", "64", "-H128", "--guidance=-1.5e1", "a fox"));
    assert_non_null(a);
    assert_string_equal(said, "");
    assert_int_equal(cli_whole(a, "width", 0), 64);
    assert_int_equal(cli_whole(a, "height", 0), 128);
    assert_true(cli_number(a, "guidance", 0) == -15.0);
    assert_int_equal(cli_whole(a, "steps", 7), 7);
    assert_false(cli_given(a, "steps"));
    assert_int_equal(cli_operands(a, &operands), 1);
    assert_string_equal(operands[0], "a fox");
    cli_arguments_free(a);
}

static void test_last_one_counts_and_dashes_end(void **state)
{
    (void)state;
    char said[512];
    const char *const *operands;
    cli_arguments *a = parse(said, WORDS("-n", "2", "-n", "3", "--negative=", "--", "--steps"));
    assert_non_null(a);
    assert_int_equal(cli_whole(a, "count", 0), 3);
    assert_string_equal(cli_text(a, "negative", NULL), "");
    assert_int_equal(cli_operands(a, &operands), 1);
    assert_string_equal(operands[0], "--steps");
    cli_arguments_free(a);
}

static void test_choices_and_seeds(void **state)
{
    (void)state;
    char said[512];
    cli_arguments *a = parse(
        said, WORDS("--device", "cuda:12", "--precision=bf16", "--seed", "18446744073709551615"));
    assert_non_null(a);
    assert_int_equal(cli_choice(a, "device", 0), 2);
    assert_int_equal(cli_choice(a, "precision", 0), 2);
    assert_true(cli_seed(a, "seed", 0) == UINT64_MAX);
    cli_arguments_free(a);
    expect_wrong("atelier: --device: 'cud' is not one of auto|cpu|cuda[:N]\n",
                 WORDS("--device", "cud"));
    expect_wrong("atelier: --device: 'cpu:1' is not one of auto|cpu|cuda[:N]\n",
                 WORDS("--device", "cpu:1"));
    expect_wrong("atelier: --precision: '' is not one of auto|f32|bf16|int8\n",
                 WORDS("--precision="));
}

static void test_numbers_are_strict(void **state)
{
    (void)state;
    expect_wrong("atelier: --width: '12x' is not a whole number\n", WORDS("-W", "12x"));
    expect_wrong("atelier: --width: ' 12' is not a whole number\n", WORDS("-W", " 12"));
    expect_wrong("atelier: --width: '' is not a whole number\n", WORDS("--width="));
    expect_wrong("atelier: --width: '99999999999999999999' is not a whole number\n",
                 WORDS("-W", "99999999999999999999"));
    expect_wrong("atelier: --width: 0 is out of range (1 to 65536)\n", WORDS("-W", "0"));
    expect_wrong("atelier: --width: 65537 is out of range (1 to 65536)\n", WORDS("-W65537"));
    expect_wrong("atelier: --guidance: 'nan' is not a number\n", WORDS("--guidance", "nan"));
    expect_wrong("atelier: --guidance: 'inf' is not a number\n", WORDS("--guidance", "inf"));
    expect_wrong("atelier: --guidance: '1e999' is not a number\n", WORDS("--guidance", "1e999"));
    expect_wrong("atelier: --guidance: '0x10' is not a number\n", WORDS("--guidance", "0x10"));
    expect_wrong("atelier: --seed: '-1' is not a whole number from 0 to 18446744073709551615\n",
                 WORDS("--seed", "-1"));
}

static void test_mistakes(void **state)
{
    (void)state;
    expect_wrong("atelier: --with: unknown option (did you mean --width?)\n",
                 WORDS("--with", "64"));
    expect_wrong("atelier: --zzz: unknown option (see atelier generate --help)\n",
                 WORDS("--zzz=1"));
    expect_wrong("atelier: -x: unknown option (see atelier generate --help)\n", WORDS("-x"));
    expect_wrong("atelier: --steps: needs a value (N)\n", WORDS("a fox", "--steps"));
    expect_wrong("atelier: --quiet: takes no value\n", WORDS("--quiet=yes"));
    expect_wrong("atelier: --output: the value is empty (give FILE)\n", WORDS("-o", ""));
    expect_wrong("atelier: generate: 'fox' is one too many (put the words in quotes)\n",
                 WORDS("a", "fox"));
    expect_wrong("atelier: [PROMPT]: the text is not UTF-8\n", WORDS("\xc3("));
    expect_wrong("atelier: --negative: the text is not UTF-8\n", WORDS("--negative", "\xff"));
}

static void test_repeated_options(void **state)
{
    (void)state;
    char said[512];
    const char *texts[2] = {NULL, NULL};
    cli_arguments *a = parse(said, WORDS("--lora", "a:0.5", "--lora=b", "--lora", "c"));
    assert_non_null(a);
    assert_int_equal(cli_texts(a, "lora", texts, 2), 3);
    assert_string_equal(texts[0], "a:0.5");
    assert_string_equal(texts[1], "b");
    assert_int_equal(cli_texts(a, "mask", NULL, 0), 0);
    cli_arguments_free(a);
}

/* Every option of every verb is in the help, the manual and both completions. */
static void test_written_from_the_tables(void **state)
{
    (void)state;
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        char *texts[4] = {0};
        size_t sizes[4];
        for (int i = 0; i < 4; i++) {
            FILE *out = open_memstream(&texts[i], &sizes[i]);
            if (i == 0) cli_print_help(out, *v);
            if (i == 1) cli_print_manual(out);
            if (i == 2) cli_print_bash(out);
            if (i == 3) cli_print_zsh(out);
            fclose(out);
        }
        for (const cli_option *o = NULL; (o = cli_next_option(*v, o));) {
            char plain[64];
            snprintf(plain, sizeof plain, "--%s", o->name);
            assert_non_null(strstr(texts[0], plain));
            assert_non_null(strstr(texts[2], plain));
            assert_non_null(strstr(texts[3], plain));
            assert_true(o->kind == CLI_FLAG || o->value);
            assert_true((o->kind != CLI_WHOLE && o->kind != CLI_NUMBER) || o->low < o->high);
        }
        for (const char *line = texts[0]; *line; line += strcspn(line, "\n") + 1)
            assert_true(strncmp(line, "  atelier", 9) == 0 || strcspn(line, "\n") <= 80);
        assert_non_null(strstr(texts[1], "\\-\\-max\\-sequence\\-length"));
        for (int i = 0; i < 4; i++) free(texts[i]);
    }
}

static void test_any_bytes_become_utf8(void **state)
{
    (void)state;
    char text[] = "a\xff\xc3\xa9\xe6\x97.png\xf0\x9f\xa6\x8a\xc3";
    cli_make_utf8(text);
    assert_string_equal(text, "a?\xc3\xa9??.png\xf0\x9f\xa6\x8a?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_last_one_counts_and_dashes_end),
        cmocka_unit_test(test_choices_and_seeds),
        cmocka_unit_test(test_numbers_are_strict),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_repeated_options),
        cmocka_unit_test(test_written_from_the_tables),
        cmocka_unit_test(test_any_bytes_become_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
