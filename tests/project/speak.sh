#!/bin/sh
# atelier speak from outside: SOURCE BUILD. The tiny model of the fixtures, a voice of zeros.
set -eu
source=$1 atelier=$2/atelier
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cp -r "$source/tests/fixtures/networks/kokoro_tiny" model
mkdir model/voices
head -c 960 /dev/zero > model/voices/one.bin
fail() { echo "speak.sh: $*" >&2; exit 1; }

# what is said, and where it goes
"$atelier" speak "na ma." -m model --voice one --phonemes -o said.wav --json > said.json
grep -q '"chunks":	1' said.json || fail "no chunk: $(cat said.json)"
[ "$(head -c 4 said.wav)" = RIFF ] || fail "no WAV"
"$atelier" speak "na ma." -m model --voice one --phonemes -o again.wav -q
cmp -s said.wav again.wav || fail "the same command gives other samples"
printf 'na ma.' | "$atelier" speak --file - -m model --voice one --phonemes -o piped.wav -q
cmp -s said.wav piped.wav || fail "standard input says something else"

# wrong: CODE, what the line must say, arguments
wrong() {
    code=$1 says=$2
    shift 2
    set +e
    "$atelier" speak "$@" > out.txt 2> err.txt
    got=$?
    set -e
    [ "$got" = "$code" ] || fail "$*: exit $got, not $code: $(cat err.txt)"
    [ "$(grep -c '^atelier: ' err.txt)" = 1 ] || fail "$*: $(cat err.txt)"
    grep -q -- "$says" err.txt || fail "$*: $(cat err.txt)"
    [ ! -e none.wav ] || fail "$*: left a file behind"
}
wrong 2 "no text" -m model -o none.wav
wrong 2 "unknown suffix" "na" -m model -o none.txt
wrong 2 "--speed" "na" -m model --speed 9 -o none.wav
wrong 2 "cannot both" "na" --file said.json -m model -o none.wav
wrong 1 "no such file, folder or model" "na" -m nowhere -o none.wav
wrong 1 "no such voice" "na" -m model --voice two --phonemes -o none.wav
wrong 1 "nothing to say" "..." -m model --voice one --phonemes -o none.wav
wrong 1 "no folder" "na" -m model --voice one --phonemes -o nowhere/none.wav
wrong 1 "no such language\|espeak-ng" "na" -m model --voice one --language xx -o none.wav
wrong 1 "cannot be turned" "na" -m model --voice one --language ja -o none.wav
head -c 1000000 /dev/zero | tr '\0' '.' > marks.txt
wrong 1 "nothing to say" --file marks.txt -m model --voice one --phonemes -o none.wav
printf 'n\0a\0 \0m\0a\0.\0' > utf16.txt
wrong 1 "not UTF-8" --file utf16.txt -m model --voice one --language it -o none.wav
set -- *part-*
[ -e "$1" ] && fail "a part of a file is left"
exit 0
