/* Prompt syntaxes. The values are what A1111's and ComfyUI's own parsers give for these texts. */
#include "base/base.h"
#include "text/prompt_syntax.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct expected {
    const char *text;
    double value;
} expected;

typedef bool (*reader)(at_context *cx, const char *text, at_prompt_list *out);

static void reads(reader read, const char *text, const expected *wanted, int count)
{
    at_context *cx = at_context_new(NULL);
    at_prompt_list list = {0};
    assert_true(read(cx, text, &list));
    for (int i = 0; i < count && i < list.count; i++) {
        if (strcmp(list.items[i].text, wanted[i].text) != 0)
            fail_msg("%s: %d is \"%s\", not \"%s\"", text, i, list.items[i].text, wanted[i].text);
        if (list.items[i].value != wanted[i].value)
            fail_msg("%s: %d weighs %.17g", text, i, list.items[i].value);
    }
    assert_int_equal(list.count, count);
    at_prompt_list_free(&list);
    at_context_free(cx);
}

#define expect(read, text, ...)                                              \
    do {                                                                     \
        const expected wanted_[] = {__VA_ARGS__};                            \
        reads(read, text, wanted_, (int)(sizeof wanted_ / sizeof *wanted_)); \
    } while (0)

static void test_weights_a1111(void **state)
{
    reader read = at_prompt_weights_a1111;
    (void)state;
    expect(read, "normal text", {"normal text", 1});
    expect(read, "", {"", 1});
    expect(read, "an (important) word", {"an ", 1}, {"important", 1.1}, {" word", 1});
    expect(read, "(unbalanced", {"unbalanced", 1.1});
    expect(read, "un)balanced]:", {"un)balanced]:", 1});
    expect(read, "\\(literal\\] \\\\ \\", {"(literal] \\ ", 1});
    expect(read, "(unnecessary)(parens)", {"unnecessaryparens", 1.1});
    expect(read, "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", {"a ", 1},
           {"house", 1.5730000000000004}, {" ", 1.1}, {"on", 1}, {" a ", 1.1}, {"hill", 0.55},
           {", sun, ", 1.1}, {"sky", 1.4641000000000006}, {".", 1.1});
    expect(read, "(a: 1.5 ) (b:-.5)", {"a", 1.5}, {" ", 1}, {"b", -0.5});
    expect(read, "a BREAK b BREAKS", {"a", 1}, {"BREAK", -1}, {"b BREAKS", 1});
    expect(read, "a\u3000BREAK\u00a0b\u3001BREAK\uff0cc", {"a", 1}, {"BREAK", -1}, {"b\u3001", 1},
           {"BREAK", -1}, {"\uff0cc", 1});
    expect(read, "\u6771BREAK BREAK\u00bd", {"\u6771BREAK BREAK\u00bd", 1});
    expect(read, "(a:\u20031.5\u2003)", {"a", 1.5});
    expect(read, "a BREAK\xc2 b", {"a", 1}, {"BREAK", -1}, {"\xc2 b", 1});
    expect(read, "(a BREAK b:1.2)", {"a", 1.2}, {"BREAK", -1.2}, {"b", 1.2});
    expect(read, "12:30) (ratio 16:9)", {"12:30) ", 1}, {"ratio 16", 9});
}

static void test_weights_comfy(void **state)
{
    reader read = at_prompt_weights_comfy;
    (void)state;
    expect(read, "a (b) ((c:1.5)) [d]", {"a ", 1}, {"b", 1.1}, {" ", 1}, {"c", 1.5}, {" [d]", 1});
    expect(read, "(a (b:0.5) c:1.2)", {"a ", 1.2}, {"b", 0.5}, {" c", 1.2});
    expect(read, "\\(a\\) (b", {"(a) ", 1}, {"(b", 1});
    expect(read, "a) (b) c", {"a) (b) c", 1});
    expect(read, "(:2)", {":2", 1.1});
}

static void test_and(void **state)
{
    reader read = at_prompt_split_and;
    (void)state;
    expect(read, "a cat", {"a cat", 1});
    expect(read, "a :1.2 AND b AND c : -0.5 ", {"a", 1.2}, {" b", 1}, {" c", -0.5});
    expect(read, "BAND AND_ x:", {"BAND AND_ x:", 1});
    expect(read, "AND", {"", 1}, {"", 1});
}

static void stages_after(const char *text, int before, const char *wanted)
{
    char got[1024] = "";
    at_context *cx = at_context_new(NULL);
    at_prompt_list list = {0};
    assert_true(at_prompt_schedule(cx, text, 10, before, &list));
    for (int i = 0; i < list.count; i++) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%d:%s", i ? "/" : "", list.items[i].step,
                 list.items[i].text);
    }
    assert_string_equal(got, wanted);
    at_prompt_list_free(&list);
    at_context_free(cx);
}

static void stages(const char *text, const char *wanted)
{
    stages_after(text, 0, wanted);
}

/* A second pass of 10 steps behind one of 20. */
static void test_second_schedule(void **state)
{
    (void)state;
    stages_after("[a:b:0.4]", 20, "10:b");
    stages_after("[a:b:1.0]", 20, "10:b");
    stages_after("[a:b:1.4]", 20, "3:a/10:b"); /* (1.4 - 1) * 10 is less than 4 for A1111 too */
    stages_after("[a:b:1.5]", 20, "5:a/10:b");
    stages_after("[a:b:2.5]", 20, "10:a");
    stages_after("[a:b:8][c:23]", 20, "3:b/10:bc");
    stages_after("[a|b][c:d:1.15]", 20, "1:ac/2:bd/3:ad/4:bd/5:ad/6:bd/7:ad/8:bd/9:ad/10:bd");
}

static void test_schedule(void **state)
{
    (void)state;
    stages("test", "10:test");
    stages("a [b:3]", "3:a /10:a b");
    stages("a [b: 0.3 ]", "3:a /10:a b");
    stages("a [b::3]", "3:a b/10:a ");
    stages("a [[[b]]:2]", "2:a /10:a [[b]]");
    stages("[(a:2):3]", "3:/10:(a:2)");
    stages("a [b : c : 1] d", "1:a b  d/10:a  c  d");
    stages("a[b:[c:d:2]:1]e", "1:abe/2:ace/10:ade");
    stages("a [unbalanced", "10:a [unbalanced");
    stages("((a][:b:c [d:3]", "3:((a][:b:c /10:((a][:b:c d");
    stages("[a:b]", "10:[a:b]");
    stages("[a:b:c:0.5]", "10:[a:b:c:0.5]");
    stages("a | b [c:3]", "10:a | b [c:3]"); /* a bar on its own: all of it is text */
    stages("[c:3]\\", "10:[c:3]\\");
    stages("[a:b:0]", "10:b");
    stages("[a:b:1.0]", "10:a");
    stages("[x|(y:1.1)|]", "1:x/2:(y:1.1)/3:/4:x/5:(y:1.1)/6:/7:x/8:(y:1.1)/9:/10:x");
    stages("\\[a:b:3\\]", "10:\\[a:b:3\\]");
}

static void test_loras(void **state)
{
    (void)state;
    at_context *cx = at_context_new(NULL);
    at_prompt_list found = {0};
    char *rest = at_prompt_take_loras(
        cx, "a <lora:x:0.5> b<lora:y><lora:z:0.2:0.7> <lora:w:unet=2:te=3> <hypernet:h:1> <3 <b:>",
        &found);
    assert_string_equal(rest, "a  b   <3 <b:>");
    assert_int_equal(found.count, 4);
    assert_string_equal(found.items[0].text, "x");
    assert_true(found.items[0].value == 0.5 && found.items[0].value_2 == 0.5);
    assert_true(found.items[1].value == 1 && found.items[1].value_2 == 1);
    assert_true(found.items[2].value == 0.7 && found.items[2].value_2 == 0.2);
    assert_true(found.items[3].value == 2 && found.items[3].value_2 == 3);
    at_free(rest);
    at_prompt_list_free(&found);
    at_context_free(cx);
}

/* Plain text is never taken for anything else. */
static void test_plain(void **state)
{
    static const char *const plain[] = {
        "a cat (sitting)", "at (12:30) o'clock", "(ratio 16:9)", "BREAK AND enter", "[sic] (a|b)",
        "((deep))",        "a <3 b: 1.5)",       "(1:1.5)",      "\\(a:1.5\\)",     "x:0.5",
    };
    static const char *const meant[] = {"(a:1.3)",  "a (b: 0.8)", "[a:b:0.4]",
                                        "[a::0.5]", "<lora:x:1>", "((é:1.1))"};
    (void)state;
    for (size_t i = 0; i < AT_COUNT(plain); i++)
        if (at_prompt_is_a1111(plain[i])) fail_msg("%s", plain[i]);
    for (size_t i = 0; i < AT_COUNT(meant); i++)
        if (!at_prompt_is_a1111(meant[i])) fail_msg("%s", meant[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_a1111),
        cmocka_unit_test(test_weights_comfy),
        cmocka_unit_test(test_and),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_second_schedule),
        cmocka_unit_test(test_loras),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
