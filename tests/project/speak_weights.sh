#!/bin/sh
# What Kokoro says with its real weights is what Whisper hears: SOURCE BUILD.
set -eu
atelier=$2/atelier home=${ATELIER_HOME:-${HOME:-/nonexistent}/.cache/atelier}
if [ ! -d "$home/kokoro" ] || [ ! -d "$home/whisper-tiny.en" ]; then
    echo "skipped: no real weights (tools/weights/get.py whisper-tiny.en kokoro)"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
words="good morning the weather is fine today"
"$atelier" speak "$words." --voice "$home/kokoro/voices_ja.npz/jf_alpha" --language en-us -q -o said.wav
heard=$("$atelier" transcribe -m whisper-tiny.en --beam 1 -q said.wav | tr -d '[:punct:]' | tr '[:upper:]' '[:lower:]')
if [ "$heard" != "$words" ]; then
    echo "speak_weights.sh: said \"$words\", heard \"$heard\""
    exit 1
fi
