/* SHA-256 and SHA-1, as sha256sum and sha1sum have them. */
#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *data, size_t size, const char *expected)
{
    char digits[65];
    at_sha256(data, size, digits);
    assert_string_equal(digits, expected);
}

static void test_lengths(void **state)
{
    (void)state;
    char a[200];
    memset(a, 'a', sizeof a);
    check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(a, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    check(a, 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    check(a, 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
    check(a, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    check(a, 65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");
    check(a, 119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb");
    check(a, 120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c");
    check(a, 200, "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5");
}

static void test_pieces(void **state)
{
    (void)state;
    static const char *const digests[] = {
        [AT_SHA256] = "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5",
        [AT_SHA1] = "e61cfffe0d9195a525fc6cf06ca2d77119c24a40"};
    char a[200], digits[65];
    memset(a, 'a', sizeof a);
    for (at_hash_kind kind = AT_SHA256; kind <= AT_SHA1; kind++)
        for (size_t piece = 1; piece <= 200; piece++) {
            at_hash hash;
            at_hash_begin(&hash, kind);
            for (size_t i = 0; i < sizeof a; i += piece)
                at_hash_add(&hash, a + i, AT_MIN(piece, sizeof a - i));
            at_hash_end(&hash, digits);
            assert_string_equal(digits, digests[kind]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths),
                                       cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
