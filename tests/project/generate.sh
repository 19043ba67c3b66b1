#!/bin/sh
# shellcheck disable=SC2015  # fail is what both are for
# atelier generate from outside, on a tiny random pipeline: files, settings stored, JSON, Ctrl-C; then
# the embedded model, where it is there. generate.sh SOURCE BUILD
set -u
source=$1
build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}
ln -s "$source/tests/fixtures/pipelines/flux_tiny_schnell" tiny
generate() { "$build/atelier" generate -m tiny -W 32 -H 48 --steps 2 "$@"; }

# Same settings, same bytes; the seed stands in the name; quiet is quiet.
generate --seed 7 -q "a red heart" >out 2>err || fail "exit code $?: $(cat err)"
[ ! -s out ] && [ ! -s err ] || fail "--quiet wrote something"
generate --seed 7 -q -o again.png "a red heart" || fail "again"
cmp atelier-7.png again.png || fail "same settings, other bytes"
generate --seed 8 -q -o other.png "a red heart" || fail "another seed"
cmp -s other.png again.png && fail "another seed, same bytes"
"$build/atelier" inspect again.png >out || fail "inspect: exit code $?"
grep -q '^again.png: picture, 32 x 48, 3 channels of 8 bits$' out || fail "inspect: $(cat out)"
grep -q '^Steps: 2, .*Seed: 7, Size: 32x48, Model: tiny, ' out || fail "parameters: $(cat out)"

# The stored command makes the same file again.
command=$(grep -o '"command":"[^"]*"' out | sed 's/^"command":"//; s/"$//')
echo "$command" | sed "s|^atelier|'$build/atelier'|; s/\$/ -q -o third.png/" >third.sh
sh third.sh && cmp again.png third.png || fail "the stored command: $command"

# Picture i is the one of seed + i; JSON says what was made.
generate --seed 6 -n 2 --json -o pair.png "a red heart" >json 2>err || fail "two: $(cat err)"
grep -q '"pair-1.png", "pair-2.png"' json || fail "names: $(cat json)"
grep -q '"seeds":.*\[6, 7\]' json || fail "seeds: $(cat json)"
grep -q '"peak_bytes":.[1-9]' json || fail "peak: $(cat json)"
ATELIER_CPU=generic generate --precision int8 --json -o c.png "a red heart" >c.json 2>err ||
    fail "plain C: $(cat err)"
grep -q '"precision":.*"f32"' c.json || fail "the precision that was used: $(cat c.json)"
grep -q 'precision int8: this processor has no arithmetic for it (generic: f32)' err ||
    fail "plain C has no int8: $(cat err)"
for key in load encode step decode total; do
    grep -q "\"$key\":.*[0-9]" json || fail "no time of $key: $(cat json)"
done
command=$(grep -o '"command":.*' json | sed 's/^"command":[^"]*"//; s/"$//')
echo "$command" | sed "s|^atelier|'$build/atelier'|; s/\$/ -q -o fourth.png/" >fourth.sh
sh fourth.sh && cmp pair-2.png fourth-2.png || fail "the command of the run: $command"
for suffix in jpg webp; do
    generate --seed 7 -q -o "heart.$suffix" "a red heart" && [ -s "heart.$suffix" ] || fail "$suffix"
done
for suffix in jpg webp; do
    "$build/atelier" inspect "heart.$suffix" | grep -q 'Seed: 7' || fail "$suffix has no settings"
done

# A LoRA changes the picture by its weight, and the picture says so; weight 0 changes nothing.
lora=$source/tests/fixtures/lora/pipeline.safetensors
generate --seed 7 -q -o lora.png --lora "$lora" "a red heart" || fail "a LoRA"
cmp -s lora.png again.png && fail "a LoRA changes nothing"
generate --seed 7 -q -o half.png --lora "$lora:0.3" --lora "$lora:0.7:1" "a red heart" || fail "two"
generate --seed 7 -q -o zero.png --lora "$lora:0" "a red heart" || fail "weight 0"
"$build/atelier" inspect half.png >out
grep -q '"loras":\[{"file":"[^"]*","weight":0.3},{"file":"[^"]*","weight":0.7,"text_weight":1}\]' out ||
    fail "settings: $(cat out)"
generate --seed 7 -q -o bad.png --lora "$source/tests/fixtures/lora/sd_peft.safetensors" x 2>err &&
    fail "a LoRA of another model"
grep -q '^atelier: .*sd_peft.safetensors: no layer of this model.*(.*, .*, .*)$' err || fail "said: $(cat err)"

# Latents: what was saved can be looked at; noise is taken from a file; a picture is no noise.
generate --seed 7 -q --save-latents l.safetensors -o l.png "a red heart" || fail "save latents"
"$build/atelier" inspect l.safetensors | grep -q '  \[1,[0-9]*,[0-9]*,[0-9]*\]  latents$' ||
    fail "latents: $("$build/atelier" inspect l.safetensors)"
generate --latents l.safetensors -q -o n.png "a red heart" || fail "noise from a file"
generate --latents again.png -q -o bad.png x 2>err && fail "noise from a picture"
[ ! -e bad.png ] || fail "bad.png is there"

# Sides that the model cannot have are rounded down, and not in silence.
generate -W 33 -o odd.png x 2>err || fail "a width of 33"
grep -q '^atelier: warning: size: 32 x 48, since this model takes multiples of ' err || fail "33: $(cat err)"

# What a model cannot do: exit code 1, a line that says why, no file.
mkdir work && cd work && ln -s ../tiny tiny || exit 1
generate -W 1 -o x.png x 2>../err && fail "a width of 1"
grep -q '^atelier: [^ ]' ../err && [ "$(wc -l <../err)" -eq 1 ] || fail "width 1: $(cat ../err)"
generate --sampler nonsense -o x.png x 2>../err && fail "a sampler that is none"
for model in sd_tiny sd3_tiny hunyuan_tiny_1_2; do
    "$build/atelier" generate -m "$source/tests/fixtures/pipelines/$model" --sampler "DDIM CFG++" -q -o x.png x 2>../err
    [ $? -eq 1 ] && grep -q '^atelier: --sampler DDIM CFG++: not one' ../err || fail "$model, no sampler: $(cat ../err)"
done
"$build/atelier" generate -m "$source/tests/fixtures/pipelines/sd_tiny" --init "$source/tests/fixtures/pipelines/sd_tiny/init.png" \
    --sampler heunpp2 -q -o x.png x 2>../err && fail "a sampler of all steps, from a picture"
grep -q 'goes through all of its steps' ../err || fail "heunpp2: $(cat ../err)"
generate --sampler euler_cfg_pp -o x.png x 2>../err && fail "CFG++ without guidance"
grep -q 'without the prompt' ../err || fail "CFG++: $(cat ../err)"

# Until the process has its model, however busy the machine is, and a second more.
wait_for_model() {
    until grep -q diffusion_pytorch_model "/proc/$1/maps" || ! kill -0 "$1"; do sleep 0.1; done 2>/dev/null
    sleep 1
}

# Ctrl-C: within a second (where the machine is busy, at the third try), exit code 1, nothing left.
for try in 1 2 3; do
    "$build/atelier" generate -m tiny -W 32 -H 48 --steps 10000 -n 20 "a red heart" 2>../err &
    process=$!
    wait_for_model $process
    started=$(date +%s%N)
    kill -INT $process
    wait $process
    code=$?
    took=$((($(date +%s%N) - started) / 1000000))
    [ $code -eq 1 ] || fail "Ctrl-C: exit code $code"
    grep -q '^atelier: cancelled' ../err || fail "Ctrl-C said: $(cat ../err)"
    [ $took -ge 1000 ] || break
    [ $try -lt 3 ] || fail "Ctrl-C took $took ms"
done
rm tiny

# A model's file cut off under a run: said, exit code 1, nothing left.
cp -rL ../tiny ../cut && chmod -R u+w ../cut
"$build/atelier" generate -m ../cut -q -W 32 -H 48 --steps 10000 -n 20 "a red heart" 2>../err &
process=$!
wait_for_model $process
: >../cut/transformer/diffusion_pytorch_model.safetensors
wait $process
code=$?
[ $code -eq 1 ] || fail "a file cut off: exit code $code"
grep -q '^atelier: a file became shorter' ../err || fail "a file cut off: $(cat ../err)"
[ -z "$(ls -A)" ] || fail "left behind: $(ls -A)"

if "$build/atelier" list | grep -q '(the default)$'; then
    "$build/atelier" generate --seed 7 -q -o heart.png "a red heart on a blue background" ||
        fail "the embedded model"
    "$build/atelier" inspect heart.png | grep -q 'Steps: 8, .*Size: 128x128, Model: emoji' ||
        fail "the embedded model's settings: $("$build/atelier" inspect heart.png)"
else
    echo "models/emoji is not there: the embedded model was left out"
fi

[ "$failures" -eq 0 ]
