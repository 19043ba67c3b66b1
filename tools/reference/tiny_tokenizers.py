"""Tokenizers small enough for a fixture, trained on the sentences below: CLIP's byte pairs and T5's unigram pieces.

`clip(folder)` and `t5(folder)` leave the oldest form that is found on the hub (vocab.json + merges.txt; spiece.model);
with `fast=True` the tokenizer.json that transformers writes, and nothing else to read.
"""

import json
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import pre_tokenizers
from transformers import BertTokenizer, CLIPTokenizer, GemmaTokenizer, LlamaTokenizer, T5TokenizerFast

CORPUS = """a red heart on a blue background
the quick brown fox jumps over the lazy dog, twice; don't they?
a watercolour painting of a small house beside the river in autumn, soft light, highly detailed
portrait photograph of an old sailor, 85mm, f/1.8, film grain
an astronaut riding a horse on the moon (1969), black and white
three green apples, two yellow pears and 10 cherries in a bowl: still life
blurry, low quality, text, watermark, extra fingers
a city street at night with neon signs and rain, seen from above
a golden dragon made of paper, folded by hand, studio lighting
the sea, the sea! a boat's sail, we're lost, I've been there, she'll come, I'm here, he'd say""".splitlines()
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+"  # CLIP's, for the letters that the sentences have


def byte_pairs(merges):
    """The most frequent pair first, equal ones in the alphabet's order (the library's own trainer breaks ties by chance)."""
    words = Counter(tuple(w[:-1]) + (w[-1] + "</w>",) for line in CORPUS for w in re.findall(SPLIT, line.lower()))
    pairs = []
    while len(pairs) < merges:
        counts = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pairs.append(best)
        words = Counter({merged(word, best): count for word, count in words.items()})
    return pairs


def merged(word, pair):
    out, i = [], 0
    while i < len(word):
        step = 2 if word[i:i + 2] == pair else 1
        out.append("".join(word[i:i + step]))
        i += step
    return tuple(out)


def clip(folder, merges, length, fast=False, pad=None):
    """pad: other than the end; published second encoders of XL and SD3 have "!"."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = byte_pairs(merges)
    words = alphabet + [c + "</w>" for c in alphabet] + ["".join(pair) for pair in pairs]
    words += ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(words)) == len(words)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in pairs), "utf-8")
    special = {"bos_token": words[-2], "eos_token": words[-1], "unk_token": words[-1], "pad_token": pad or words[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, "do_lower_case": True,
         "add_prefix_space": False, "errors": "replace", **special}, indent=1) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n")
    if fast:
        rewrite(CLIPTokenizer, folder)
    return len(words)


def t5(folder, pieces, length, rule, fast=False):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        corpus = Path(work) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS), "utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{work}/spiece", vocab_size=pieces, model_type="unigram",
            normalization_rule_name=rule, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>",
            eos_piece="</s>", unk_piece="<unk>", hard_vocab_limit=False, num_threads=1, minloglevel=2)
        # The trainer's own arguments, this machine's paths among them, are of no use to a reader.
        model = sentencepiece_model_pb2.ModelProto.FromString(Path(f"{work}/spiece.model").read_bytes())
        model.trainer_spec.ClearField("input")
        model.trainer_spec.ClearField("model_prefix")
        (folder / "spiece.model").write_bytes(model.SerializeToString(deterministic=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "T5Tokenizer", "model_max_length": length, "extra_ids": 0, "eos_token": "</s>",
         "pad_token": "<pad>", "unk_token": "<unk>"}, indent=1) + "\n")
    if fast:
        rewrite(T5TokenizerFast, folder)
    return len(model.pieces)


def rewrite(cls, folder):
    with tempfile.TemporaryDirectory() as work:
        cls.from_pretrained(folder).save_pretrained(work)
        shutil.rmtree(folder)
        folder.mkdir()
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (Path(work) / name).exists():
                shutil.copy(Path(work) / name, folder / name)
    path = folder / "tokenizer_config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("is_local", "local_files_only")}
    path.write_text(json.dumps(config, indent=1) + "\n")


CHINESE = "一个宇航员在骑马画红色的心，蓝天白云下有三只小猫。模糊低质量"


def bert(folder, length, fast=False):
    """Words of the sentences, their pieces, and Chinese characters, which always stand alone."""
    words = Counter(w for line in CORPUS for w in re.findall(r"[a-z]+|[0-9]+|[^\sa-z0-9]", line.lower()))
    known = sorted(words, key=lambda w: (-words[w], w))[:40]
    letters = sorted({c for w in words for c in w})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHINESE), *known, *letters]
    vocabulary = list(dict.fromkeys(vocabulary)) + [f"##{c}" for c in letters if c.isalnum()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{w}\n" for w in vocabulary), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": length}, indent=1) + "\n")
    if fast:
        rewrite(BertTokenizer, folder)
    return len(vocabulary)


def byte_pair_pieces(path, pieces, **options):
    """A sentencepiece file of byte pairs with byte fallback."""
    with tempfile.TemporaryDirectory() as work:
        corpus = Path(work) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS + [CHINESE]), "utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{work}/tokenizer", vocab_size=pieces, model_type="bpe", byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, minloglevel=2,
            character_coverage=1.0, hard_vocab_limit=False, **options)
        shutil.copy(Path(work) / "tokenizer.model", path)


def save_fast(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("is_local", "local_files_only")}
    path.write_text(json.dumps(config, indent=1) + "\n")


def gemma(folder, pieces, keep=False):
    """tokenizer.json alone, as Gemma's folders have it; padding on the left, as published. keep: tokenizer.model too"""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        model = Path(work) / "tokenizer.model"
        byte_pair_pieces(model, pieces, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
                         bos_piece="<bos>", eos_piece="<eos>")
        Path(work, "tokenizer_config.json").write_text(json.dumps(
            {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": False}))
        tokenizer = GemmaTokenizer.from_pretrained(work)
        tokenizer.padding_side = "left"
        save_fast(tokenizer, folder)
        if keep:
            shutil.copy(model, folder)
    return len(tokenizer)


def llama(folder, pieces):
    """As Pile-T5 has it, AuraFlow's text encoder: an end, no beginning, padding by <s>."""
    folder.mkdir(parents=True, exist_ok=True)
    byte_pair_pieces(folder / "tokenizer.model", pieces)
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, "add_eos_token": True, "pad_token": "<s>",
         "padding_side": "right"}))
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    save_fast(tokenizer, folder)
    return len(tokenizer)
