#!/bin/sh
# shellcheck disable=SC2015  # fail is what both are for
# atelier generate on the embedded model: files, metadata, JSON, Ctrl-C. Left out where it is not there.
# generate.sh SOURCE BUILD
set -u
build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
"$build/atelier" list | grep -q '(the default)$' || {
    echo "models/emoji is not there: left out"
    exit 77
}
failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# Same settings, same bytes; the seed stands in the name; quiet is quiet.
"$build/atelier" generate --seed 7 --steps 2 -q "a red heart" >out 2>err || fail "exit code $?: $(cat err)"
[ ! -s out ] && [ ! -s err ] || fail "--quiet wrote something"
"$build/atelier" generate --seed 7 --steps 2 -q -o again.png "a red heart" || fail "again"
cmp atelier-7.png again.png || fail "same settings, other bytes"
grep -aq 'Steps: 2, .*Seed: 7, Size: 128x128' again.png || fail "no parameters in the PNG"

# The stored command makes the same file again.
command=$(grep -a -o '"command":"[^"]*"' again.png | sed 's/^"command":"//; s/"$//')
echo "$command" | sed "s|^atelier|'$build/atelier'|; s/\$/ -q -o third.png/" >third.sh
sh third.sh && cmp again.png third.png || fail "the stored command: $command"

# Picture i is the one of seed + i, and the other formats.
"$build/atelier" generate --seed 6 --steps 2 -n 2 --json -o pair.png "a red heart" >json 2>err ||
    fail "two pictures: $(cat err)"
grep -q '"pair-1.png", "pair-2.png"' json || fail "names: $(cat json)"
grep -q '"peak_bytes":	[1-9]' json || fail "peak: $(cat json)"
cmp pair-2.png again.png || fail "picture 2 of seed 6 is not that of seed 7"
for suffix in jpg webp; do
    "$build/atelier" generate --seed 7 --steps 1 -q -o "heart.$suffix" "a red heart" &&
        [ -s "heart.$suffix" ] || fail "$suffix"
done

# Starting noise from a file: what was saved can be read; a file that is none is refused.
"$build/atelier" generate --seed 7 --steps 2 -q --save-latents l.safetensors -o l.png "a red heart" &&
    "$build/atelier" inspect l.safetensors | grep -q '\[1,16,16,16\]  latents' || fail "latents"
"$build/atelier" generate --latents again.png -q -o bad.png x 2>err && fail "noise from a picture"

# Ctrl-C: soon, exit code 1, nothing left behind.
mkdir work && cd work || exit 1
"$build/atelier" generate --steps 2000 "a red heart" 2>../err &
process=$!
sleep 1
started=$(date +%s%N)
kill -INT $process
wait $process
code=$?
[ $code -eq 1 ] || fail "Ctrl-C: exit code $code"
[ $((($(date +%s%N) - started) / 1000000)) -lt 1000 ] || fail "Ctrl-C took more than a second"
grep -q '^atelier: cancelled$' ../err || fail "Ctrl-C said: $(cat ../err)"
[ -z "$(ls -A)" ] || fail "Ctrl-C left behind $(ls -A)"

[ "$failures" -eq 0 ]
