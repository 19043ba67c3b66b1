"""tests/fixtures/phonemes/: what misaki's English lexicon and rules say for words, what num2words says for numbers, and
the lines of the lexicon (Apache-2.0, hexgrad) that they need."""

import importlib
import importlib.util
import json
import math
import sys
import types
from pathlib import Path

from num2words import num2words

from common import FIXTURES, write_json

for name in ("spacy", "spacy.util", "spacy.cli"):
    sys.modules.setdefault(name, types.ModuleType(name))
en = importlib.import_module("misaki.en")
spec = importlib.util.spec_from_file_location(
    "convert", Path(__file__).resolve().parents[1] / "weights" / "kokoro.py")
convert = importlib.util.module_from_spec(spec)
spec.loader.exec_module(convert)

WORDS = """hello Hello HELLO world cats boxes cities dog's dogs' James walked waited padded patted needed passed liked
stopped running sitting making hoping waiting picking the The to in a an am used by NASA USA OK U.S. e.g iPhone can't
don't I'm it's I can could have has by this there read lead live close record content wind tear object rebel abstract
houses axes bows graduate Mr. Mrs. Dr. vs % & + @ zebra's buzzed catching judged judges breathing bathed London
Siobhan xylophones quizzes unbelievable internationally played studied studies agreed freed bees better butter city
water twenty-one hundred point minus and O oh""".split()
NUMBERS = [0, 1, 7, 10, 13, 19, 20, 21, 30, 45, 99, 100, 101, 110, 999, 1000, 1001, 1234, 10000, 12345, 100000, 1000000,
           1234567, 2000000000, 987654321012, 10**15 + 5]
YEARS = [1066, 1500, 1800, 1905, 1999, 2000, 2001, 2010, 2024, 1900, 9999]


def main():
    folder = FIXTURES / "phonemes"
    cases, needed = [], set()
    for british in (False, True):
        lexicon = en.Lexicon(british)
        for word in WORDS:
            for after in (None, True, False):
                stress = None if word == word.lower() else lexicon.cap_stresses[int(word == word.upper())]
                tag = {"I": "PRP", "a": "DT", "by": "IN", "in": "IN", "vs": "IN"}.get(word.lower() if word != "I" else word, "XX")
                said = lexicon.get_word(word, tag, stress, en.TokenContext(after, False))[0]
                cases.append([british, word, {None: "nothing", True: "vowel", False: "consonant"}[after], said])
        for word in WORDS:
            base = word.lower()
            for form in {word, base, base.capitalize()}:
                for cut in range(5):
                    stem = form[:len(form) - cut] if cut else form
                    needed |= {stem, stem + "e", stem + "y", stem.rstrip("'"), stem + "'s"}
        needed |= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") | {"percent", "and", "plus", "at", "versus", "to", "used", "am"}
        gold = {k: v for k, v in lexicon_of(british, "gold").items() if k in needed}
        silver = {k: v for k, v in lexicon_of(british, "silver").items() if k in needed}
        path = folder / "lexicon" / f"en-{'gb' if british else 'us'}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(convert.lexicon(gold, silver))
    plain = lambda text: " ".join(text.replace("-", " ").replace(",", "").replace(" and ", " ").split())
    numbers = [[str(n), "cardinal", plain(num2words(n))] for n in NUMBERS]
    numbers += [[str(n), "ordinal", plain(num2words(n, to="ordinal"))] for n in NUMBERS]
    numbers += [[str(n), "year", plain(num2words(n, to="year"))] for n in YEARS]
    write_json(folder / "expected.json", {"words": cases, "numbers": numbers})


def lexicon_of(british, kind):
    path = Path(en.__file__).parent / "data" / f"{'gb' if british else 'us'}_{kind}.json"
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
