#!/bin/sh
# Converted models make the same pictures; a full disk is one line, exit code 1, and nothing left.
# convert.sh SOURCE BUILD
set -eu
pipelines=$1/tests/fixtures/pipelines
atelier=$2/atelier
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

picture() { # MODEL OUT; with the tokenizers of the folder $model
    set -- -m "$1" --save-latents "$2"
    for i in '' _2 _3; do
        [ ! -d "$model/tokenizer$i" ] || set -- "$@" "--tokenizer$(echo "$i" | tr _ -)" "$model/tokenizer$i"
    done
    "$atelier" generate "$@" --precision f32 --steps 2 -W 16 -H 16 --seed 1 -q -o x.png "a red heart"
}

# Each family's folder as one file, as another, and as a folder again.
for name in sd_tiny sd_tiny_distilled xl_tiny sd3_tiny sd3_tiny_no_t5 aura_flow_tiny lumina2_tiny \
    hunyuan_tiny_1_1 hunyuan_tiny_1_2 flux_tiny_dev; do
    model=$pipelines/$name
    picture "$model" expected
    rm -rf one.safetensors one.gguf two.safetensors folder
    "$atelier" convert -q "$model" one.safetensors
    "$atelier" convert -q "$model" one.gguf
    "$atelier" convert -q one.gguf two.safetensors
    "$atelier" convert -q one.safetensors folder
    for file in one.safetensors one.gguf two.safetensors folder; do
        rm -f got
        picture $file got
        cmp expected got || {
            echo "$name: not the same latents from $file"
            exit 1
        }
    done
done

# Tencent's folder of HunyuanDiT, as it is and as what it becomes; the file brings mT5's tokenizer.
model=$pipelines/hunyuan_tiny_1_2
mkdir -p tencent/t2i/model
cp "$1/tests/fixtures/checkpoints/single/hunyuan_tiny_1_2.pt" tencent/t2i/model/pytorch_model_ema.pt
for part in text_encoder:clip_text_encoder vae:sdxl-vae-fp16-fix tokenizer:tokenizer text_encoder_2:mt5 tokenizer_2:mt5; do
    mkdir -p "tencent/t2i/${part#*:}"
    cp "$model/${part%:*}"/* "tencent/t2i/${part#*:}"
done
# The tokenizer of 1.1 lies in sentencepiece's file; both were trained on the same texts.
rm tencent/t2i/mt5/tokenizer*.json
cp "$pipelines/hunyuan_tiny_1_1/tokenizer_2"/* tencent/t2i/mt5
rm -rf one.safetensors folder again
"$atelier" inspect tencent >told
grep -q 'HunyuanDiT 1.2' told && grep -q 'recognised by mlp_t5.0.weight' told
"$atelier" convert -q tencent one.safetensors
"$atelier" convert -q tencent/t2i folder
"$atelier" convert -q one.safetensors again
for file in tencent tencent/t2i one.safetensors folder again; do
    "$atelier" generate -m $file --tokenizer "$model/tokenizer" --precision f32 --steps 2 -W 16 -H 16 --seed 1 -q \
        -o x.png --save-latents "got-$(basename $file)" "a red heart"
    cmp got-tencent "got-$(basename $file)"
done
"$atelier" generate -m "$model" --tokenizer-2 tencent/t2i/mt5 --precision f32 --steps 2 -W 16 -H 16 --seed 1 -q \
    -o x.png --save-latents expected "a red heart"
cmp expected got-tencent

# Parts from other files, alone or inside a checkpoint; the command that is kept has them too.
"$atelier" convert -q "$model/vae" vae.gguf
"$atelier" generate -m "$model" --transformer one.safetensors --vae one.gguf --text-encoder-2 folder/text_encoder_2 \
    --precision f32 --steps 2 -W 16 -H 16 --seed 1 -q --json -o x.png --save-latents got "a red heart" >made.json
cmp expected got
kept=$(sed -n 's/^[[:space:]]*"command":[[:space:]]*"atelier \(.*\)",*$/\1/p' made.json)
eval "\"\$atelier\" $kept -q -o y.png"
cmp x.png y.png

# From a picture: a refiner, and a model that sees the mask and predicts v, as folders and as one file.
for name in xl_tiny_refiner sd_tiny_inpaint; do
    [ "$name" = xl_tiny_refiner ] && tokenizer=tokenizer_2 || tokenizer=tokenizer
    "$atelier" convert -q "$pipelines/$name" started.safetensors
    for file in "$pipelines/$name" started.safetensors; do
        set -- --init "$pipelines/sd_tiny/init.png" --save-latents "from-$(basename "$file")"
        [ "$name" = xl_tiny_refiner ] || set -- "$@" --mask "$pipelines/sd_tiny/mask.png"
        "$atelier" generate -m "$file" "--$(echo "$tokenizer" | tr _ -)" "$pipelines/$name/$tokenizer" "$@" \
            --precision f32 --steps 4 -W 16 -H 16 --seed 1 -q -o x.png "a red heart"
    done
    cmp "from-$name" from-started.safetensors
done

mkdir full && cd full
if (trap '' XFSZ && ulimit -f 64 && "$atelier" convert -q ../one.safetensors y.gguf 2>../err); then exit 1; fi
[ "$(wc -l <../err)" -eq 1 ]
grep -q '^atelier: y.gguf: cannot be written' ../err
[ -z "$(ls -A)" ]
