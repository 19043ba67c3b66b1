"""tests/fixtures/tokenizers/clip_merges.json: ids of the tokenizers in models/tokenizers, whose vocabulary follows from
the merges: bytes, bytes at a word's end, what the merges make, start and end."""

import json
import shutil
import tempfile
from pathlib import Path

from transformers import CLIPTokenizer

from common import FIXTURES, write_json

FOLDER = FIXTURES.parents[1] / "models" / "tokenizers"
TEXTS = ["a photo of a cat, trending on artstation", "A CAFÉ — naïve 😀 emoji!!! 12345 don't",
         "!!! wow ! <|endoftext|> x <|startoftext|>", "", "日本語のテキスト 中文", "a  b\t\nc _under_score_ #tag @me 3.14",
         "é e\u0301 ﬁ Ω K ß", "jekyll and a very long text " * 12]


def vocabulary():
    shown = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    tokens = [chr(b) for b in shown] + [chr(256 + i) for i in range(len(hidden))]
    tokens += [t + "</w>" for t in tokens]
    tokens += [line.replace(" ", "") for line in (FOLDER / "clip/merges.txt").read_text().splitlines()[1:]]
    return tokens + ["<|startoftext|>", "<|endoftext|>"]


def ids_of(name):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / name / "merges.txt", folder)
        config = json.loads((FOLDER / name / "tokenizer_config.json").read_text())
        del config["vocabulary_from_merges"]
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        (Path(folder) / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary())}))
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        return [tokenizer(t, padding="max_length", max_length=77, truncation=True).input_ids for t in TEXTS]


if __name__ == "__main__":
    assert len(vocabulary()) == 49408 and vocabulary()[320] == "a</w>" and vocabulary()[49405] == "jekyll</w>"
    write_json(FIXTURES / "tokenizers" / "clip_merges.json",
               {"texts": TEXTS, **{name: ids_of(name) for name in ("clip", "clip_2")}})
