#!/usr/bin/env python3
"""Tokenizers: tests/fixtures/tokenizers/.

folders/NAME          a tiny trained tokenizer as its class saves it, or in its older files only
folders.json          for each: its class and size, special ids, and for each of the hard strings the ids
                      with special tokens, without, cut to 16 and padded, and the decoded text without and with
                      special tokens (hexadecimal); long: [count, FNV-1a of the ids as u32]. A list that another folder
                      has too is that folder's name.
strings.json          the hard strings as hexadecimal UTF-8, and the long ones as [part, count]
emoji.json            the same for the embedded model, "old" from vocab.json + merges.txt and spiece.model only
stages.json           every normalizer, pre-tokenizer and decoder in many settings, see stages()
models.json           models, post-processors and added tokens at their edges
invalid.json          bytes that are not UTF-8 and what Python's errors="replace" makes of them

    python tools/reference/tokenizer_fixtures.py [--only-emoji]
"""
import argparse, collections, json, os, shutil, tempfile, unicodedata
import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
import transformers
from transformers import AutoTokenizer
from tokenizer_strings import LONG, STRINGS

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = [s for s in STRINGS if "\0" not in s] * 2 + """
A photo of a cat wearing a red hat on a blue background, highly detailed. The quick brown fox jumps over the lazy dog.
A dog and a cat are sitting on the table. It's raining; they don't know what they're doing, but we'll see.
a painting of a fox in the style of an old master, smiling face, heart, star, sun, moon, tree, house, car, fish
In 2024 there were 1234 people, 56 % of them in 3 cities. Numbers: 1 22 333 4444 55555.
Der schnelle braune Fuchs springt über den faulen Hund. Le renard brun saute par-dessus le chien paresseux.
Быстрая коричневая лиса прыгает через ленивую собаку. 你好世界 这是一个测试 今天天气很好 日本語のテストです。
""".strip().split("\n") * 20
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))


def fnv(ids):
    h = 0xcbf29ce484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001b3 % 2 ** 64
    return f"{h:016x}"


def bpe_files(out, vocab, merges, config):
    """vocab.json + merges.txt, the older form."""
    os.makedirs(out)
    write(os.path.join(out, "vocab.json"), vocab)
    with open(os.path.join(out, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    write(os.path.join(out, "tokenizer_config.json"), config)


def train(normalizer, pre, size, symbols, join):
    """Pair merging, the most frequent pair first; the library's own trainers break ties by chance.
    symbols: a word to its first tokens; join: two tokens to theirs."""
    words = collections.Counter(w for line in CORPUS for w, _ in pre.pre_tokenize_str(normalizer.normalize_str(line) if normalizer else line))
    words = [(symbols(w), n) for w, n in sorted(words.items())]
    tokens, merges = sorted({t for w, _ in words for t in w}), []
    while len(tokens) < size:
        pairs = collections.Counter()
        for w, n in words:
            for pair in zip(w, w[1:]):
                pairs[pair] += n
        (a, b), count = max(pairs.items(), key=lambda x: (x[1], x[0]))
        if count < 2:
            break
        merges.append((a, b))
        tokens += [join(a, b)] if join(a, b) not in tokens else []
        for w, _ in words:
            i = 0
            while i < len(w) - 1:
                if (w[i], w[i + 1]) == (a, b):
                    w[i:i + 2] = [join(a, b)]
                i += 1
    return tokens, merges


def trained_bpe(pre, size=700, normalizer=None, suffix=""):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens, merges = train(normalizer, pre, size, lambda w: [*w[:-1], w[-1] + suffix], lambda a, b: a + b)
    return {t: i for i, t in enumerate(dict.fromkeys(alphabet + tokens))}, merges


def clip_vocab(size=900):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False)])
    norm = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    _, merges = trained_bpe(pre, size, norm, "</w>")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = list(dict.fromkeys(alphabet + [c + "</w>" for c in alphabet] + [a + b for a, b in merges]))
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {w: i for i, w in enumerate(words)}
    return vocab, [(a, b) for a, b in merges if a in vocab and b in vocab]


def sentencepiece_model(path, **options):
    with tempfile.TemporaryDirectory() as tmp:
        if "fold" in options:
            options["normalization_rule_tsv"] = normalization_rules(os.path.join(tmp, "rules.tsv"), options.pop("fold"))
        spm.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_prefix=os.path.join(tmp, "m"),
                                       hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
        model = sentencepiece_model_pb2.ModelProto()
        with open(os.path.join(tmp, "m.model"), "rb") as f:
            model.ParseFromString(f.read())
        for field in ("model_prefix", "input"):
            model.trainer_spec.ClearField(field)
        model.normalizer_spec.ClearField("normalization_rule_tsv")  # paths of this machine
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(model.SerializeToString(deterministic=True))


def normalization_rules(path, fold):
    """A small charsmap over the characters of the hard list, composed pairs included; the embedded model has a whole one."""
    rules = {}
    for text in STRINGS:
        for i, c in enumerate(text):
            for part in (c, text[i:i + 2], text[i:i + 3]):
                if len(part) > 1 and not all(unicodedata.combining(x) for x in part[1:]):
                    continue
                new = unicodedata.normalize("NFKC", part)
                new = new.casefold() if fold else new
                new = " " if c in "\t\n\r\u200b\u00ad\ufeff\u2028" else "" if c in "\u0001\u007f" else new
                if new != part and "\0" not in part:
                    rules[part] = new
    with open(path, "w") as f:
        for part, new in sorted(rules.items()):
            f.write(" ".join(f"{ord(c):X}" for c in part) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n")
    return path


def resave(source, out, files):
    """The same tokenizer as its class saves it: tokenizer.json and tokenizer_config.json only."""
    AutoTokenizer.from_pretrained(source).save_pretrained(out)
    for name in os.listdir(out):
        if name not in files:
            os.remove(os.path.join(out, name))
    path = os.path.join(out, "tokenizer_config.json")
    value = json.load(open(path))
    write(path, {k: v for k, v in value.items() if k != "vocab_file"})  # a path of this machine


JSON_ONLY = ("tokenizer.json", "tokenizer_config.json")


def make_folders(out):
    f = lambda name: os.path.join(out, name)
    vocab, merges = trained_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))
    vocab["<|endoftext|>"] = len(vocab)
    bpe_files(f("gpt2_old"), vocab, merges, {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024})
    resave(f("gpt2_old"), f("gpt2"), JSON_ONLY)
    bpe_files(f("gpt2_space"), vocab, merges, {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "pad_token": "<pad>"})
    roberta = {**vocab, **{t: len(vocab) + i for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}}
    bpe_files(f("roberta_old"), roberta, merges, {"tokenizer_class": "RobertaTokenizer", "mask_token": {
        "__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}})

    vocab, merges = clip_vocab()
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    bpe_files(f("clip_old"), vocab, merges, {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special})
    write(f("clip_old/special_tokens_map.json"), {
        k: {"content": v, "lstrip": False, "normalized": k != "pad_token", "rstrip": False, "single_word": False} for k, v in special.items()})
    resave(f("clip_old"), f("clip"), JSON_ONLY)
    tokens = {str(vocab[t]): {"content": t, "lstrip": False, "normalized": n, "rstrip": False, "single_word": False, "special": True}
              for t, n in (("!", False), ("<|startoftext|>", True), ("<|endoftext|>", True))}
    bpe_files(f("clip_pad"), vocab, merges, {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "added_tokens_decoder": tokens, **special, "pad_token": "!"})
    write(f("clip_pad/special_tokens_map.json"), {"pad_token": "a", "mask_token": "cat", "additional_special_tokens": ["dog"]})  # not read

    vocab, merges = trained_bpe(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tok = Tokenizer(models.BPE({**vocab, "Ġsupercali": len(vocab)}, merges, ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens(names)
    tok.add_tokens([AddedToken("<added>", single_word=True), AddedToken("newword", normalized=True), AddedToken("<strip>", lstrip=True, rstrip=True)])
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", special_tokens=[(names[0], tok.token_to_id(names[0]))])])
    os.makedirs(f("llama3"))
    tok.save(f("llama3/tokenizer.json"), pretty=False)
    write(f("llama3/tokenizer_config.json"), {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": names[0], "eos_token": names[2], "pad_token": names[1], "padding_side": "left", "truncation_side": "left", "model_max_length": 1000000000000000019884624838656})
    old = json.loads(tok.to_str())  # merges as strings, as files before 0.20 have them
    old["model"]["merges"] = [" ".join(m) for m in old["model"]["merges"]]
    write(f("llama3_strings/tokenizer.json"), old)
    write(f("llama3_strings/tokenizer_config.json"), {"tokenizer_class": "LlamaTokenizer", "bos_token": names[0], "eos_token": names[2], "pad_token": names[1]})
    bpe_files(f("qwen2_old"), {**vocab, **{t: len(vocab) + i for i, t in enumerate(names)}}, merges,
              {"tokenizer_class": "Qwen2Tokenizer", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    resave(f("qwen2_old"), f("qwen2"), JSON_ONLY)

    bpe = dict(model_type="bpe", vocab_size=700, byte_fallback=True, character_coverage=0.98, split_digits=True,
               allow_whitespace_only_pieces=True, remove_extra_whitespaces=False, normalization_rule_name="identity")
    sentencepiece_model(f("llama_old/tokenizer.model"), unk_id=0, bos_id=1, eos_id=2, pad_id=-1, **bpe)
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": True, "model_max_length": 4096}
    write(f("llama_old/tokenizer_config.json"), config)
    resave(f("llama_old"), f("llama"), JSON_ONLY)
    shutil.copytree(f("llama_old"), f("llama_new_old"))
    write(f("llama_new_old/tokenizer_config.json"), {**config, "legacy": False, "add_eos_token": True, "pad_token": "<unk>"})
    sentencepiece_model(f("gemma_old/tokenizer.model"), pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", bos_piece="<bos>",
                        eos_piece="<eos>", user_defined_symbols=["<mask>", "<start_of_turn>", "\n\n", "\t"], **bpe)
    write(f("gemma_old/tokenizer_config.json"), {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": False})
    resave(f("gemma_old"), f("gemma"), JSON_ONLY)
    os.makedirs(f("spm_plain"))
    shutil.copy(f("gemma_old/tokenizer.model"), f("spm_plain"))
    write(f("spm_plain/tokenizer_config.json"), {"tokenizer_class": "TokenizersBackend"})

    unigram = dict(model_type="unigram", vocab_size=600, character_coverage=0.99)
    t5 = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", fold=False, **unigram)
    sentencepiece_model(f("t5_old/spiece.model"), **t5)
    write(f("t5_old/tokenizer_config.json"), {"tokenizer_class": "T5Tokenizer", "model_max_length": 512, "extra_ids": 100})
    resave(f("t5_old"), f("t5"), JSON_ONLY)
    os.makedirs(f("t5_bare"))
    shutil.copy(f("t5_old/spiece.model"), f("t5_bare"))
    write(f("t5_bare/tokenizer_config.json"), {"tokenizer_class": "T5TokenizerFast", "extra_ids": 3, "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>"]})
    value = json.load(open(f("t5/tokenizer.json")))  # as transformers 4 wrote mT5
    value["normalizer"] = {"type": "Sequence", "normalizers": [value["normalizer"], {"type": "Strip", "strip_left": False, "strip_right": True},
                                                              {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}
    value["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    write(f("mt5/tokenizer.json"), value)
    write(f("mt5/tokenizer_config.json"), {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
    value = json.loads(json.dumps(value))
    value["model"]["byte_fallback"] = True
    value["model"]["vocab"] += [[f"<0x{b:02X}>", 0.0] for b in range(256)]
    value["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    write(f("unigram_bytes/tokenizer.json"), value)
    sentencepiece_model(f("albert_old/spiece.model"), pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"], fold=True, **unigram)
    write(f("albert_old/tokenizer_config.json"), {"tokenizer_class": "AlbertTokenizer", "mask_token": {
        "__type": "AddedToken", "content": "[MASK]", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}})
    resave(f("albert_old"), f("albert"), JSON_ONLY)

    for name, lower in (("bert", True), ("bert_cased", False)):
        normalizer, pre = normalizers.BertNormalizer(lowercase=lower), pre_tokenizers.BertPreTokenizer()
        words, _ = train(normalizer, pre, 1000, lambda w: [w[0], *("##" + c for c in w[1:])], lambda a, b: a + b[2:])
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + words[3:]  # not all characters, so that some words are unknown
        os.makedirs(f(name + "_old"))
        with open(f(name + "_old/vocab.txt"), "w", encoding="utf-8") as out_file:
            out_file.write("".join(w + "\n" for w in words))
        write(f(name + "_old/tokenizer_config.json"), {"tokenizer_class": "BertTokenizer", "do_lower_case": lower, "model_max_length": 77})
        resave(f(name + "_old"), f(name), JSON_ONLY)

    normalizer, pre = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), pre_tokenizers.Whitespace()
    words = collections.Counter(w for line in CORPUS for w, _ in pre.pre_tokenize_str(normalizer.normalize_str(line)))
    words = ["[UNK]", "[PAD]"] + sorted(words, key=lambda w: (-words[w], w))[:300]
    tok = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tok.normalizer, tok.pre_tokenizer = normalizer, pre
    tok.add_tokens([AddedToken("NewWord", normalized=True), AddedToken("<added>", single_word=True, normalized=False), AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False),
                    AddedToken("\u24b6", normalized=False), AddedToken("new", normalized=False), AddedToken("newword a", normalized=True)])
    tok.enable_padding(pad_id=tok.token_to_id("[PAD]"), pad_token="[PAD]")
    os.makedirs(f("wordlevel"))
    tok.save(f("wordlevel/tokenizer.json"), pretty=False)


def expected(tok):
    """tok: a transformers tokenizer; only its backend is used where the class does not matter."""
    def ids(text, **options):
        return tok(text, **options).input_ids
    padded = tok.pad_token is not None
    cut = dict(truncation=True, max_length=16, **({"padding": "max_length"} if padded else {}))
    result = {"class": type(tok).__name__, "size": len(tok), "pad": tok.pad_token_id if padded else -1,
              "bos": -1 if tok.bos_token_id is None else tok.bos_token_id, "eos": -1 if tok.eos_token_id is None else tok.eos_token_id,
              "max_length": tok.model_max_length if tok.model_max_length < 1e9 else 0,
              "ids": [ids(s) for s in STRINGS], "plain": [ids(s, add_special_tokens=False) for s in STRINGS], "cut": [ids(s, **cut) for s in STRINGS]}
    decode = tok.backend_tokenizer.decode
    result["text"] = [decode(i, skip_special_tokens=True).encode("utf-8").hex() for i in result["ids"]]
    result["kept"] = [decode(i, skip_special_tokens=False).encode("utf-8").hex() for i in result["ids"]]
    long_ids = [ids(part * count) for part, count in LONG]
    result["long"] = [[len(i), fnv(i)] for i in long_ids]
    return result


NORMALIZERS = [
    {"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")] + [
    {"type": "Strip", "strip_left": a, "strip_right": b} for a in (True, False) for b in (True, False)] + [
    {"type": "BertNormalizer", "clean_text": c, "handle_chinese_chars": h, "strip_accents": s, "lowercase": l}
    for c, h, s, l in ((True, True, None, True), (True, True, None, False), (False, True, True, False), (True, False, False, True))] + [
    {"type": "Replace", "pattern": {"Regex": r}, "content": c} for r, c in
    ((r"\s+", " "), (r"\s", "_"), (r"\S+", "x"), (r" {2,}", "▁"), (r"[\p{L}]+", "L"), (r"\p{N}", "#"), (r"[^\w\s]", "?"), (r"\W", "."), (r"\bt", "T"), (r"\Bo\B", "0"),
     (r"^a", "<"), (r".$", ">"), (r"(?i:THE|A)", "~"), (r"a*", "-"), (r"[[:punct:]]", "P"), (r"\h+", "H"), (r"(?<=a)b", "B"), (r"[\S&&[^a]]" if False else r"[^\S\n]", "S"), (r"\u4f60", "Y"), (r"(?m:a.b)", "M"), (r"a.b", "D"), (r"(.)\1", "R"), (r"\d{,2}x", "Q"))] + [
    {"type": "Replace", "pattern": {"String": s}, "content": c} for s, c in ((" ", "▁"), ("a", ""), ("``", '"'), (".", "!"))] + [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    {"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]}]
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
PRE_TOKENIZERS = [
    {"type": t} for t in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")] + [
    {"type": "ByteLevel", "add_prefix_space": a, "trim_offsets": True, "use_regex": u} for a in (True, False) for u in (True, False)] + [
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": p, "split": s} for p in ("always", "first", "never") for s in (True, False)] + [
    {"type": "Punctuation", "behavior": b} for b in BEHAVIORS] + [
    {"type": "Digits", "individual_digits": i} for i in (True, False)] + [
    {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "FixedLength", "length": 3}] + [
    {"type": "Split", "pattern": {"Regex": r"\s|a"}, "behavior": b, "invert": i} for b in BEHAVIORS for i in (True, False)] + [
    {"type": "Split", "pattern": {"String": " "}, "behavior": b, "invert": False} for b in BEHAVIORS] + [
    {"type": "Split", "pattern": {"Regex": r}, "behavior": "Isolated", "invert": False} for r in (LLAMA3, CLIP, O200K, r"\w+", r"(?=a)", r"\p{Han}|\p{Hiragana}", r"\d", r"[\x20-\x7e]+", r"\R|\X"[:2], r"[0-9][0-9]?")] + [
    {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]},
    {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated", "invert": False}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}]},
    {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Isolated"}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}]
DECODERS = [
    None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "Fuse"}, {"type": "ByteFallback"},
    {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Replace", "pattern": {"Regex": "[ab]"}, "content": "x"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Strip", "content": "a", "start": 2, "stop": 0},
    {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}]
DECODED = [["▁a", "▁b", "c", "▁", "d"], ["a</w>", "b", "c</w>"], ["un", "##believ", "##able", ".", "do", "not", "n't", "'", "s", "##"], ["<0xE4>", "<0xBD>", "<0xA0>", "x", "<0xFF>", "<0x41>", "<0x+1>", "<0x4g>"],
           ["Ġhello", "Ġworld", "Ã", "©", "ä½", "x▁"], ["h", "h", "<pad>", "h", "|", "a", "a", "<pad>", "|", "|"], ["aab", "aa", "ba"], [" a", " ", "b ", "é"], ["a"], []]


def stages():
    """The cut text shows in the ids: the model knows every character, and every character at the end of a word as
    another token (end_of_word_suffix "|"), and merges nothing."""
    texts = STRINGS[::2] + ["  both  ends  ", "a-b--c-", "-a", "aXbXa", "the cat sat on the mat", "abba aab bb", "12x 3x x", "a\nb a\n"]
    pieces, characters = [], {"?"}
    def cut(n, p):
        tok = Tokenizer(models.BPE())
        value = json.loads(tok.to_str())
        value["normalizer"], value["pre_tokenizer"] = n, p
        tok = Tokenizer.from_str(json.dumps(value))
        rows = []
        for s in texts:
            s = tok.normalizer.normalize_str(s) if n and s else s
            rows.append(s)
            words = [w for w, _ in tok.pre_tokenizer.pre_tokenize_str(s)] if p and s else [s]
            characters.update(c for w in words for c in w)
    for n in NORMALIZERS:
        cut(n, None)
    for p in PRE_TOKENIZERS:
        cut(None, p)
    vocab = sorted(c for c in characters if c != "\0")
    vocab = {w: i for i, w in enumerate(vocab + [c + "|" for c in vocab])}
    model = {"type": "BPE", "dropout": None, "unk_token": "?", "continuing_subword_prefix": None, "end_of_word_suffix": "|",
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []}
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None, "model": model}
    cases = []
    for key, values in (("normalizer", NORMALIZERS), ("pre_tokenizer", PRE_TOKENIZERS)):
        for value in values:
            tok = Tokenizer.from_str(json.dumps({**base, key: value}))
            cases.append({key: value, "ids": [tok.encode(t).ids for t in texts]})
    words = sorted({w for row in DECODED for w in row})
    level = {**base, "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "a"}}
    decoded = []
    for value in DECODERS:
        tok = Tokenizer.from_str(json.dumps({**level, "decoder": value}))
        rows = [[words.index(w) for w in row] for row in DECODED]
        rows = [r for r in rows if r or value is None or value["type"] not in ("BPEDecoder",)]  # panics there
        decoded.append({"decoder": value, "ids": rows, "text": [tok.decode(r).encode().hex() for r in rows]})
    return {"texts": [t.encode("utf-8").hex() for t in texts], "tokenizer": base, "cases": cases, "level": level, "decoders": decoded}


def model_cases():
    """Models and post-processors at their edges, in tokenizers of a few tokens."""
    ids = lambda words: {w: i for i, w in enumerate(words)}
    byte = [f"<0x{b:02X}>" for b in range(256)]
    bpe = lambda words, merges, **o: {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **o, "vocab": ids(words), "merges": merges}
    unigram = lambda pieces, **o: {"type": "Unigram", "unk_id": 0, "byte_fallback": False, **o, "vocab": pieces}
    letters = ["?", "a", "b", "c", "ab", "bc", "abc"]
    merges = [["a", "b"], ["b", "c"], ["ab", "c"]]
    around = [["<s>", 1], ["</s>", 2]]
    template = lambda *items: {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}} if i == "$A" else {"SpecialToken": {"id": i, "type_id": 0}} for i in items],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                               "special_tokens": {"x": {"id": "x", "ids": [7, 8], "tokens": ["x", "y"]}, "z": {"id": "z", "ids": [9], "tokens": ["z"]}}}
    level = {"type": "WordLevel", "vocab": ids(["?", "a", "b"]), "unk_token": "?"}
    cases = [
        dict(model=bpe(letters, merges)), dict(model=bpe(letters, merges[::-1])), dict(model=bpe(letters, [["b", "c"], ["a", "b"], ["b", "c"], ["ab", "c"]])),
        dict(model=bpe(letters, merges, unk_token="?")), dict(model=bpe(letters, merges, unk_token="?", fuse_unk=True)), dict(model=bpe(letters, merges, ignore_merges=True)),
        dict(model=bpe([*letters, "xabcx"], merges, ignore_merges=True)), dict(model=bpe([*letters, *byte], merges, byte_fallback=True)),
        dict(model=bpe([*letters, *byte[:128]], merges, byte_fallback=True, unk_token="?")), dict(model=bpe([*letters, *byte[:128]], merges, byte_fallback=True, unk_token="?", fuse_unk=True)),
        dict(model=bpe(["?", "a", "b", "##a", "##b", "ab", "##ab"], [["a", "##b"], ["##a", "##b"]], continuing_subword_prefix="##", unk_token="?")),
        dict(model=bpe(["?", "a", "b", "a</w>", "b</w>", "ab</w>"], [["a", "b</w>"]], end_of_word_suffix="</w>", unk_token="?")),
        dict(model=unigram([["?", 0], ["a", 8], ["ab", -4], ["abc", -9], ["c", -1]])), dict(model=unigram([["?", 0], ["a", -5], ["x", -5], ["ax", -30], ["\u00e9\u4f60", -200], ["b", -6]])),
        dict(model=unigram([["?", 0], ["a", -1], ["b", -1], ["ab", -2], ["a", -3]])), dict(model=unigram([["?", -1], ["", -1], ["a", -1], ["aa", -2], ["aaa", -3]])),
        dict(model=unigram([["?", 0], *[[b, 0] for b in byte], ["a", -1]], byte_fallback=True)), dict(model=unigram([["?", 0], *[[b, 0] for b in byte[:128]], ["a", -1]], byte_fallback=True)),
        dict(model={"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 4, "vocab": ids(["?", "a", "ab", "##b", "##bc", "##c", "abca"])}),
        dict(model={"unk_token": "?", "continuing_subword_prefix": "", "max_input_chars_per_word": 100, "vocab": ids(["?", "a", "ab", "c"])}),
        dict(model={"vocab": ids(["?", "a", "abc"]), "unk_token": "?"}), dict(model={"vocab": [["?", 0], ["a", -1]], "unk_id": 0}),
        dict(model=level, post_processor={"type": "BertProcessing", "cls": around[0], "sep": around[1]}), dict(model=level, post_processor={"type": "RobertaProcessing", "cls": around[0], "sep": around[1], "trim_offsets": True, "add_prefix_space": True}),
        dict(model=level, post_processor=template("x", "$A", "z", "z")), dict(model=level, post_processor=template("$A")), dict(model=level, post_processor={"type": "Sequence", "processors": [template("x", "$A"), {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]}),
    ]
    added = lambda content, **o: {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False, **o}
    lists = [[added("ab"), added("abc"), added("b")], [added("ab", single_word=True), added("b")], [added("ab", lstrip=True)], [added("ab", rstrip=True), added("c", lstrip=True)], [added(" ab "), added("b", lstrip=True, rstrip=True)],
             [added("AB", normalized=True)], [added("AB"), added("ab", normalized=True, special=True)], [added("A B", normalized=True), added("a")], [added("\u00e9", normalized=True), added("e")]]
    cases += [dict(model=level, added_tokens=l, normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}]}, pre_tokenizer={"type": "Whitespace"}) for l in lists]
    texts = ["", "abc", "abcabc", "aabbcc", "abab", "xabcx", "a\u00e9b", "a\u4f60\u00e9\u00e9c", "ax", "axb", "\u00e9\u4f60", "aaaaa", "a b", "abcd", "  ab  c", "AB ab Ab", "xab", "ab-ab", "A B a b", "e\u0301 \u00e9 e", "ab ab c", "abca", "\u00e9a\u4f60a"]
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
    rows = []
    for case in cases:
        tok = Tokenizer.from_str(json.dumps({**base, **case}))
        rows.append({"tokenizer": {**base, **case}, "ids": [tok.encode(t).ids for t in texts]})
    return {"texts": [t.encode("utf-8").hex() for t in texts], "cases": rows}


INVALID = [b"\xff", b"a\xffb", b"\xc3", b"\xc3(", b"\xe4\xbd", b"\xe4\xbda", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf0\x9f\x98x", b"\xf4\x90\x80\x80",
           b"\xc0\x80", b"\x80\x80", b"\xe0\x80\x80", b"\xf8\x88\x80\x80\x80", b"ok\xe2\x82 \xe2\x82\xac"]


def share_lists(results):
    """The older form mostly gives the same: name the folder that has the list."""
    names = list(results)
    for n, name in enumerate(names):
        for other in names[:n]:
            r = results[name]
            r.update({k: other for k, v in r.items() if isinstance(v, list) and v == results[other][k]})
    return results


def folders(out):
    return {name: expected(AutoTokenizer.from_pretrained(os.path.join(out, name))) for name in sorted(os.listdir(out))}


def emoji(folder):
    """The embedded model's tokenizers, also in their older files."""
    results = {}
    with tempfile.TemporaryDirectory() as tmp:
        for name, files in (("tokenizer", ("vocab.json", "merges.txt")), ("tokenizer_2", ("spiece.model",))):
            source, older = os.path.join(folder, name), os.path.join(tmp, name)
            results["new/" + name] = expected(AutoTokenizer.from_pretrained(source))
            os.makedirs(older)
            for f in files + ("tokenizer_config.json",):
                shutil.copy(os.path.join(source, f), older)
            results["old/" + name] = expected(AutoTokenizer.from_pretrained(older))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(HERE, "../../tests/fixtures/tokenizers"))
    parser.add_argument("--emoji", default=os.path.join(HERE, "../../models/emoji"), help="the embedded model's folder")
    parser.add_argument("--only-emoji", action="store_true", help="the embedded model's tokenizers have changed: write emoji.json only")
    a = parser.parse_args()
    transformers.logging.set_verbosity_error()
    write(os.path.join(a.out, "emoji.json"), share_lists(emoji(a.emoji)))
    if a.only_emoji:
        return
    shutil.rmtree(os.path.join(a.out, "folders"), ignore_errors=True)
    make_folders(os.path.join(a.out, "folders"))
    write(os.path.join(a.out, "strings.json"), {"strings": [s.encode("utf-8").hex() for s in STRINGS], "long": [[p.encode("utf-8").hex(), n] for p, n in LONG]})
    write(os.path.join(a.out, "stages.json"), stages())
    write(os.path.join(a.out, "models.json"), model_cases())
    write(os.path.join(a.out, "invalid.json"), [[b.hex(), b.decode("utf-8", "replace").encode("utf-8").hex()] for b in INVALID])
    write(os.path.join(a.out, "folders.json"), share_lists(folders(os.path.join(a.out, "folders"))))


if __name__ == "__main__":
    main()
