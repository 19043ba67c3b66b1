"""The hard list: what tokenizers disagree about. Each entry is text; LONG is built from a part and a
count, so that fixtures stay small."""

STRINGS = [
    "", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", " \n ", "\u00a0", "\u3000", "\u200b",
    "a", "A", " a", "a ", " a ", "  a  b  ", "a\tb", "a\nb", "a\r\nb", "a \n b", "a\u00a0b", "a\u3000b",
    "a\u2028b\u2029c", "a\u0085b", "a\u180eb", "a\u1680b", "a\u2000b\u200ac\u202fd\u205fe", "a\u200bb\u200cc\u200dd",
    "a\ufeffb", "\ufeffabc", "\u0000", "a\u0000b", "\u0001\u0002\u0007\u0008\u000b\u000c\u000e\u001b\u001f", "\u007f\u0080\u0085\u009f",
    "a\u00adb", "\u200e\u200fabc\u202eabc", "\u2060\u2066x\u2069", "\ue000\uf8ff", "\ufffd\ufffe\uffff", "\U0010ffff",
    "hello world", "Hello, World!", "HELLO WORLD", "the quick brown fox jumps over the lazy dog",
    "The Quick  Brown   Fox", "a photo of a cat wearing a hat, highly detailed, 4k", "don't can't I'll we've they're he'd I'm it's",
    "DON'T CAN'T I'LL WE'VE", "rock'n'roll 'tis 's 't 're", "it\u2019s \u201cquoted\u201d \u2018text\u2019 \u2014 dash \u2013 en\u2026",
    "semi-final state-of-the-art e-mail", "under_score __init__ snake_case_word", "camelCase PascalCase XMLHttpRequest",
    "!", "!!", "!!!", "! ! !", "wow! really!? yes!!", "#hashtag @mention $100 50% ^ & * ( ) [ ] { } < > / \\ | ~ `",
    "...", ". . .", "a.b.c", "www.example.com/path?q=1&r=2#frag", "user@example.org", "C:\\path\\to\\file", "``quoted''",
    "0", "1", "12", "123", "1234", "1234567890", "1 2 3", "3.14159", "1,234,567.89", "1e-10", "0x1F", "2024-01-31T12:34:56Z", "100%", "\u00bd \u00b2 \u2167 \u0663\u0664 \u096a \uff11\uff12",
    "\u0661\u0662\u0663abc", "x\u00b2+y\u00b2", "1\u20442", "No. 5", "a1b2c3", "7up 4k 1080p",
    "caf\u00e9", "cafe\u0301", "CAF\u00c9", "na\u00efve r\u00e9sum\u00e9", "\u00c5ngstr\u00f6m \u212bngstrom A\u030angstrom", "stra\u00dfe STRASSE \u1e9e", "\u0130stanbul \u0131\u015f\u0131k", "\u01c5 \u01c6 \u01f2",
    "o\u0302\u0323 o\u0323\u0302 \u1ed9", "a\u0301\u0302\u0303\u0304\u0305", "\u0301\u0301abc", "\u1e69 s\u0323\u0307 s\u0307\u0323", "\ufb01nd \ufb02ow \ufb03", "\u210c\u2124 \u2460 \u3392 \u2122 \u00ae \u00a9",
    "\uff21\uff22\uff23 \uff41\uff42\uff43 \uff01\uff1f", "\uff76\uff9e\uff77\uff9e", "\u304b\u3099 \u304c", "\u1100\u1161\u11a8 \uac01", "\u0f73 \u0f71\u0f72", "\u03c3\u03c2\u03a3 \u039f\u0394\u039f\u03a3",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u0628\u0650\u0633\u0652\u0645\u0650 \u0627\u0644\u0644\u0651\u064e\u0647\u0650",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u1006\u103d\u1031", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u1c92",
    "\u4f60\u597d\u4e16\u754c", "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u4e2d\u6587abc\u6df7\u5408123", "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8", "\u6771\u4eac\u30bf\u30ef\u30fc \u3072\u3089\u304c\u306a", "\u30e9\u30fc\u30e1\u30f3\u3092\u98df\u3079\u308b", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4",
    "\U00020000\U0002a6d6 \U0002f800", "\uf900\ufa0e", "\u3400\u4dbf\u9fff", "Ti\u1ebfng Vi\u1ec7t", "T\u00fcrk\u00e7e \u011f\u00fc\u015f", "\u0141\u00f3d\u017a \u017b\u00f3\u0142w", "\u12a0\u121b\u122d\u129b",
    "\U0001f600", "\U0001f600\U0001f601\U0001f602", "a \U0001f431 cat", "\u2764 \u2764\ufe0f \u2764\ufe0e", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd \U0001f44d\U0001f3ff", "\U0001f1fa\U0001f1f8\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3 #\ufe0f\u20e3", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f9d1\U0001f3fb\u200d\U0001f4bb x", "\u00a9\ufe0f\u2122\ufe0f", "text\U0001f600text", "\U0001fae0 \U0001fab7",
    "\U0001d49c\U0001d4d0 \U0001d7d8 \U0001f130\U0001f170", "\u24b6\u24d0 \u2160\u2170 \u2070\u2080", "\u00aa\u00ba\u02b0\u1d43", "\u2190\u2191 \u2200\u2203 \u222b \u221a2 \u2260 \u2264", "\u250c\u2500\u2510\u2502\u2588\u2591", "\u2581", "\u2581\u2581a \u2581b", "a\u2581b", " \u2581 ", "\u0120\u010a\u0100", "\u266a\u266b \u2603 \u2605",
    "<|startoftext|>", "<|endoftext|>", "a <|endoftext|> b", "A<|ENDOFTEXT|>B", "<|startoftext|>a cat<|endoftext|>", "<s>", "</s>", "a</s>b", " </s> ", "<pad>", "<unk>", "x<unk>y", "<pad><pad>a", "[CLS]", "[SEP] [MASK] [PAD] [UNK]", "a [MASK] b", "a[MASK]b", "[mask]", "<bos><eos>", "<extra_id_0>", "a <extra_id_1> b<extra_id_99>", "<extra_id_100>", "<|begin_of_text|>hi<|eot_id|>", "<|im_start|>user\nhi<|im_end|>", "<0x41>", "<0x0A><0xFF>", "<mask>  <mask>", "</w>", "cat</w>", "##ing", "a ##b",
    "<added>", "an <added> one", "unadded<added>added", "NewWord newword NEWWORD newwords", "a newword b", "xnewword", " <strip> ", "a  <strip>  b", "a<strip>b",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaftskapit\u00e4n", "(a:1.2), [b], ((c)) AND d | e",
    "def f(x):\n    return x * 2\n\n\nclass A:\n\tpass\n", "  leading", "trailing  ", "\n leading newline", "trailing newline\n", "tab\t\ttab", "mixed \t \n \u00a0 \u3000 spaces", "a  \n\n  b\n \n c", "x \u0300y", "e\u0301\u200d\u0301",
    "\u32ff \uab69 \U0001fbf1\U0001f16c", "a\u2e4fb a\u07fdb a\u08cab a\u1734b",
    "a dog on a red background", "a red heart on a blue background", "smiling face with sunglasses, yellow background", "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua.",
]

# (part, how often)
LONG = [("a", 20000), ("ab cd ", 4000), ("\u4f60\u597d", 4000), ("\U0001f600", 3000), ("o\u0302\u0323", 3000), (" ", 5000), ("!", 5000), ("don't stop, it's 2024 ", 1500), ("0123456789", 1500), ("\n", 3000)]
