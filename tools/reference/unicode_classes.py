#!/usr/bin/env python3
"""The character classes of the `tokenizers` library that come from old tables (unicode_categories: Unicode 8;
unicode_normalization_alignments: Unicode 10), asked of the library itself: src/text/unicode_classes.c.

    python tools/reference/unicode_classes.py > src/text/unicode_classes.c; clang-format -i src/text/unicode_classes.c
"""
from tokenizers import normalizers, pre_tokenizers

bert = lambda **on: normalizers.BertNormalizer(**{**dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False), **on})
clean, strip, accents, punctuation = bert(clean_text=True), bert(strip_accents=True), normalizers.StripAccents(), pre_tokenizers.Punctuation()
CLASSES = {
    "punctuation": lambda c: len(punctuation.pre_tokenize_str(c + "a")) == 2,
    "nonspacing": lambda c: strip.normalize_str("a" + c + "a") == "aa",
    "combining": lambda c: accents.normalize_str("a" + c + "a") == "aa",
    "cleaned": lambda c: clean.normalize_str("a" + c + "a") == "aa",
}


def ranges(test):
    found = []
    for c in range(0x110000):
        if 0xd800 <= c < 0xe000 or not test(chr(c)):
            continue
        if found and found[-1][1] in (c - 1, 0xd7ff if c == 0xe000 else c - 1):
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


print("/* Written by tools/reference/unicode_classes.py, which says what it is. */\n#include \"text/unicode_classes.h\"\n")
for name, test in CLASSES.items():
    rows = ranges(test)
    print(f"const at_range at_{name}_ranges[] = {{" + ", ".join(f"{{0x{a:x}, 0x{b:x}}}" for a, b in rows) + "};")
    print(f"const size_t at_{name}_count = AT_COUNT(at_{name}_ranges);\n")
