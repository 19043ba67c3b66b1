#!/usr/bin/env python3
"""Train the two tokenizers on the captions: a CLIP byte-pair tokenizer (vocab.json + merges.txt)
and a T5 sentencepiece unigram model (spiece.model, and tokenizer.json made from it)."""
import json, os, shutil
import sentencepiece as spm
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer, T5TokenizerFast
import emoji as D

LEN = 32
PAT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clip_tokenizer(corpus, out, size):
    tok = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                           normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PAT), behavior="removed", invert=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tok.train([corpus], trainers.BpeTrainer(vocab_size=size - 258, end_of_word_suffix="</w>", show_progress=False,
                                            initial_alphabet=alphabet))
    merges = [m.split(" ") if isinstance(m, str) else m for m in json.loads(tok.to_str())["model"]["merges"]]
    # CLIP's vocabulary: the 256 byte symbols, the same with </w>, one token per merge, bos, eos
    words = list(dict.fromkeys(alphabet + [c + "</w>" for c in alphabet] + [x + y for x, y in merges]))[:size - 2]
    words += ["<|startoftext|>", "<|endoftext|>"]
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    json.dump({w: i for i, w in enumerate(words)}, open(os.path.join(out, "vocab.json"), "w"), ensure_ascii=False)
    with open(os.path.join(out, "merges.txt"), "w") as f:
        f.write("#version: 0.2\n" + "".join(f"{x} {y}\n" for x, y in merges if {x, y, x + y} <= set(words)))
    special = {"bos_token": words[-2], "eos_token": words[-1], "unk_token": words[-1], "pad_token": words[-1]}
    json.dump({"tokenizer_class": "CLIPTokenizer", "model_max_length": LEN, "do_lower_case": True,
               "add_prefix_space": False, "errors": "replace", **special},
              open(os.path.join(out, "tokenizer_config.json"), "w"), indent=1)
    json.dump(special, open(os.path.join(out, "special_tokens_map.json"), "w"), indent=1)


def t5_tokenizer(corpus, out, size):
    shutil.rmtree(out, ignore_errors=True)      # an old tokenizer.json would be taken for the new one
    os.makedirs(out)
    spm.SentencePieceTrainer.train(
        input=corpus, model_prefix=os.path.join(out, "spiece"), vocab_size=size, model_type="unigram",
        character_coverage=1.0, normalization_rule_name="nmt_nfkc_cf", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", hard_vocab_limit=False, minloglevel=2,
        required_chars="abcdefghijklmnopqrstuvwxyz0123456789.,!-'")
    os.remove(os.path.join(out, "spiece.vocab"))
    T5TokenizerFast.from_pretrained(out, extra_ids=0, model_max_length=LEN).save_pretrained(os.path.join(out, "tmp"))
    shutil.copytree(os.path.join(out, "tmp"), out, dirs_exist_ok=True)
    shutil.rmtree(os.path.join(out, "tmp"))


def main():
    a = D.arguments(__doc__, False, data="data", out="run", clip_vocab=1600, t5_vocab=1500)
    corpus, dirs = os.path.join(a.data, "corpus.txt"), [os.path.join(a.out, n) for n in ("tokenizer", "tokenizer_2")]
    clip_tokenizer(corpus, dirs[0], a.clip_vocab)
    t5_tokenizer(corpus, dirs[1], a.t5_vocab)
    c, t = CLIPTokenizer.from_pretrained(dirs[0]), T5TokenizerFast.from_pretrained(dirs[1])
    sp = spm.SentencePieceProcessor(os.path.join(dirs[1], "spiece.model"))
    lines = [line.strip() for line in open(corpus)]
    print("sizes", len(c), len(t), "longest", *(max(len(x) for x in tok(lines).input_ids) for tok in (c, t)))
    lines += ["A Red Fox!", "  two   spaces ", "Émoji, 42 cats"]
    bad = [s for s in lines if t(s).input_ids != sp.encode(s) + [1]]
    print("lines where tokenizer.json and spiece.model differ:", len(bad), bad[:3])


if __name__ == "__main__":
    main()
