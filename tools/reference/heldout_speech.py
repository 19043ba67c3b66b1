#!/usr/bin/env python3
"""atelier transcribe beside faster-whisper on recordings that no test has: the prompts of Debian's
asterisk-core-sounds-{en,fr,es,ru}-wav (people reading known sentences, 8 kHz), strung together with silences.

    apt-get download asterisk-core-sounds-{en,fr}{,-wav}; for each: dpkg-deb -x PACKAGE FOLDER
    python tools/reference/heldout_speech.py ATELIER FOLDER [--model base] [--recordings 2] [--seed 5]

Prints for each recording and number of beams both word error rates, whether the words are the same, and how far the
times of words lie apart (median, 95 %, most; seconds).
"""
import argparse
import gzip
import json
import random
import re
import subprocess
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import soundfile
from faster_whisper import WhisperModel

SECONDS = 45  # of a recording


def sentences(folder, language):
    """(file, text) of all prompts of six words and more."""
    names = folder / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    voices = sorted((folder / "usr/share/asterisk/sounds").glob(f"{language}_*"))
    if not names.exists() or not voices:
        return []
    found = []
    for line in gzip.open(names, "rt", errors="replace"):
        m = re.match(r"\s*([\w/.-]+)\s*:\s*(.+)", line)
        path = voices[0] / f"{m[1]}.wav" if m else None
        if path and path.exists() and len(m[2].split()) >= 6 and not re.search(r"[\[\]<>()*#]", m[2]):
            found.append((path, m[2].strip()))
    return found


def recordings(folder, language, count, draw):
    """(samples, rate, text), each with pauses and now and then four seconds of silence."""
    items = sentences(folder, language)
    draw.shuffle(items)
    for _ in range(count):
        parts, text, seconds = [], [], 0
        while items and seconds < SECONDS:
            path, words = items.pop()
            sound, rate = soundfile.read(path)
            parts += [sound, np.zeros(int(rate * draw.choice([.4, .8, 4.0])))]
            text.append(words)
            seconds += (len(parts[-2]) + len(parts[-1])) / rate
        if parts:
            yield np.concatenate(parts), rate, " ".join(text)


def words(text):
    return re.sub(r"[^\w\s']", " ", unicodedata.normalize("NFKC", text).lower()).split()


def error_rate(reference, heard):
    reference, heard = words(reference), words(heard)
    row = list(range(len(heard) + 1))
    for i, a in enumerate(reference, 1):
        corner, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1] / len(reference)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("atelier")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="base")
    parser.add_argument("--recordings", type=int, default=2)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--precision", default="f32")
    args = parser.parse_args()
    own = Path.home() / f".cache/atelier/whisper-{args.model}"
    peer = WhisperModel(str(own), device="cpu", compute_type="float32", cpu_threads=2)
    draw = random.Random(args.seed)
    for language in ["en"] if args.model.endswith(".en") else ["en", "fr", "es", "ru"]:
        for n, (sound, rate, text) in enumerate(recordings(args.folder, language, args.recordings, draw)):
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                soundfile.write(file.name, sound, rate)
                for beams in (1, 5):
                    theirs = list(peer.transcribe(file.name, beam_size=beams, language=language, word_timestamps=True)[0])
                    ours = json.loads(subprocess.run(
                        [args.atelier, "transcribe", "-q", "-m", own, "--precision", args.precision, "--language", language,
                         "--beam", str(beams), "--format", "json", "--timestamps", "word", file.name],
                        capture_output=True, text=True, check=True).stdout)
                    a = [(w["word"], w["start"], w["end"]) for s in ours["segments"] for w in s["words"]]
                    b = [(w.word, w.start, w.end) for s in theirs for w in s.words]
                    same = [x[0].strip() for x in a] == [y[0].strip() for y in b]
                    apart = np.array([max(abs(x[1] - y[1]), abs(x[2] - y[2])) for x, y in zip(a, b)]) if same else [np.nan]
                    print(f"{args.model} {language}{n} {len(sound) / rate:.0f} s, beam {beams}: ours "
                          f"{error_rate(text, ours['text']):.3f}, theirs {error_rate(text, ' '.join(s.text for s in theirs)):.3f}, "
                          f"{'the same' if same else 'other'} words, apart {np.median(apart):.2f} {np.quantile(apart, .95):.2f} "
                          f"{np.max(apart):.2f}", flush=True)


if __name__ == "__main__":
    main()
