#!/bin/sh
# Converted models make the same pictures; a full disk is one line, exit code 1, and nothing left.
# convert.sh SOURCE BUILD
set -eu
model=$1/tests/fixtures/pipelines/flux_tiny_dev
atelier=$2/atelier
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

picture() { # MODEL OUT
    "$atelier" generate -m "$1" --tokenizer "$model/tokenizer" --tokenizer-2 "$model/tokenizer_2" \
        --precision f32 --steps 1 -W 16 -H 16 --seed 1 -q -o x.png --save-latents "$2" "a red heart"
}

picture "$model" expected
for file in one.safetensors one.gguf; do
    "$atelier" convert -q "$model" $file
    picture $file got
    cmp expected got
done
"$atelier" convert -q one.gguf two.safetensors
"$atelier" convert -q one.safetensors folder
picture two.safetensors got && cmp expected got
picture folder got && cmp expected got

# Parts from other files, alone or inside a checkpoint.
"$atelier" convert -q "$model/vae" vae.gguf
"$atelier" generate -m "$model" --transformer one.safetensors --vae one.gguf --text-encoder-2 folder/text_encoder_2 \
    --precision f32 --steps 1 -W 16 -H 16 --seed 1 -q -o x.png --save-latents got "a red heart"
cmp expected got

mkdir full && cd full
if (trap '' XFSZ && ulimit -f 64 && "$atelier" convert -q ../one.safetensors y.gguf 2>../err); then exit 1; fi
[ "$(wc -l <../err)" -eq 1 ]
grep -q '^atelier: y.gguf: cannot be written' ../err
[ -z "$(ls -A)" ]
