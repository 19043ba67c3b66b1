#!/bin/sh
# shellcheck disable=SC2015  # fail is what both are for
# atelier transcribe from outside, with a tiny random model: formats, files, bad sound, Ctrl-C.
# transcribe.sh SOURCE BUILD
set -u
source=$1
build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
model=$source/tests/fixtures/pipelines/whisper
speech=$source/tests/fixtures/audio/jfk.opus

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

transcribe() {
    "$build/atelier" transcribe -q -m "$model" --beam 1 --temperature 0 "$@"
}

transcribe "$speech" >plain.txt 2>err || {
    grep -q "built without FFmpeg" err && exit 77
    fail "transcribe: $(cat err)"
}
[ -s plain.txt ] || fail "no text"

transcribe --format txt -o out.txt "$speech" || fail "txt"
cmp -s plain.txt out.txt || fail "a file has other text than standard output"
transcribe --format srt -o out.srt "$speech" || fail "srt"
sed -n 1p out.srt | grep -qx 1 || fail "srt: no number"
sed -n 2p out.srt | grep -qxE '[0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3} --> [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}' ||
    fail "srt: $(sed -n 2p out.srt)"
[ "$(sed -n 3p out.srt)" = "$(sed -n 1p plain.txt)" ] || fail "srt: another text"
transcribe --format vtt "$speech" >out.vtt || fail "vtt"
[ "$(sed -n 1p out.vtt)" = WEBVTT ] && [ -z "$(sed -n 2p out.vtt)" ] || fail "vtt: $(head -n 2 out.vtt)"
sed -n 3p out.vtt | grep -qxE '[0-9]{2}:[0-9]{2}\.[0-9]{3} --> [0-9]{2}:[0-9]{2}\.[0-9]{3}' ||
    fail "vtt: $(sed -n 3p out.vtt)"
transcribe --format json --timestamps word "$speech" >out.json || fail "json"
for key in text language duration segments start end avg_logprob no_speech_prob words word; do
    grep -q "\"$key\":" out.json || fail "json: no $key"
done
transcribe --json "$speech" "$speech" >two.json || fail "--json"
[ "$(grep -c '"language":' two.json)" -eq 2 ] || fail "--json of two recordings"

# Several: each to its own file in a folder; one that cannot be heard does not stop the others.
mkdir texts
cp "$speech" other.opus
printf 'RIFF' >four.wav
transcribe --format srt -o texts "$speech" four.wav other.opus 2>err && fail "several with a bad one: exit code 0"
[ "$(cat err)" = "$(transcribe four.wav 2>&1)" ] || fail "several: said: $(cat err)"
cmp -s texts/jfk.srt out.srt && cmp -s texts/other.srt out.srt && [ ! -e texts/four.srt ] ||
    fail "several: $(ls texts)"
transcribe --json four.wav "$speech" >two.json 2>err && fail "--json with a bad one: exit code 0"
grep -q '"error":.*four.wav' two.json && grep -q '"language":' two.json || fail "--json: $(cat two.json)"
transcribe "$speech" "$speech" >both.txt && cat plain.txt plain.txt | cmp -s - both.txt || fail "two to standard output"
rm -rf out.* plain.txt both.txt two.json err texts

# refuse CODE PATTERN ARGUMENT...: one line, and no file.
refuse() {
    code=$1
    pattern=$2
    shift 2
    transcribe -o out.txt "$@" >out 2>err
    got=$?
    [ "$got" -eq "$code" ] || fail "$*: exit code $got"
    # shellcheck disable=SC2254  # a pattern
    case $(cat err) in
    $pattern) ;;
    *) fail "$*: said: $(cat err)" ;;
    esac
    [ "$(wc -l <err)" -eq 1 ] && [ ! -s out ] && [ ! -e out.txt ] || fail "$*: left something"
    rm -f out err
}

: >empty.mp3
head -c 300 "$speech" >cut.opus
printf 'RIFF' >four.wav
refuse 1 'atelier: empty.mp3: *' empty.mp3
refuse 1 'atelier: cut.opus: *' cut.opus
refuse 1 'atelier: four.wav: *' four.wav
refuse 1 'atelier: none.mp3: *' none.mp3
refuse 1 'atelier: *config.json: not sound*' "$model/config.json"
refuse 1 'atelier: xx: not a language of this model' --language xx "$speech"
refuse 2 'atelier: --temperature: *' --temperature 0,2 "$speech"
refuse 2 'atelier: --output: out.txt: several recordings need a folder*' "$speech" "$speech"
refuse 1 'atelier: ./jfk.txt: the text of * and of * would go there' -o . "$speech" "$speech"
refuse 2 'atelier: --format: *' --format doc "$speech"
transcribe --format srt "$speech" "$speech" >out 2>err
[ $? -eq 2 ] && [ ! -s out ] || fail "subtitles of two on standard output: $(cat err)"
rm -f out err

# What is there of a damaged recording is written, and one line says what is not.
head -c 13000 "$speech" >half.opus
"$build/atelier" transcribe -m "$model" --beam 1 --temperature 0 half.opus >out 2>err || fail "half: $(cat err)"
[ -s out ] && [ "$(grep -c 'warning: half.opus: damaged, cut off after [0-9.]* s$' err)" -eq 1 ] ||
    fail "half: said: $(cat err)"
rm -f out err

# Ctrl-C: nothing is left of the file.
"$build/atelier" transcribe -q -m "$model" --beam 64 -o out.txt "$speech" "" 2>/dev/null &
wait $! && fail "two recordings for one file"
"$build/atelier" transcribe -q -m "$model" --beam 64 -o out.txt "$speech" 2>err &
sleep 0.3
kill -INT $! 2>/dev/null && wait $! && grep -q cancelled err && fail "cancelled, and fine"
[ -z "$(find . -name '.*out*')" ] || fail "left $(find . -name '.*out*')"
exit "$failures"
