#!/bin/sh
# shellcheck disable=SC2015  # fail is what both are for
# Models with a damaged file: a message of one line and exit code 1, or a picture; never a crash, never a file left.
# damaged.sh SOURCE BUILD
set -u
models=$1/tests/fixtures/pipelines
build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/work" && cd "$folder/work" || exit 1
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# expect WHAT CODES: the model in ../model, damaged in this way, ends with one of these exit codes.
expect() {
    timeout 60 "$build/atelier" generate -m ../model --steps 1 -W 16 -H 16 --seed 1 -q -o x.png \
        "a red heart" >../out 2>../err
    code=$?
    case " $2 " in
    *" $code "*) ;;
    *) fail "$1: exit code $code: $(head -c 500 ../err)" ;;
    esac
    [ $code -eq 0 ] && [ -s x.png ] && rm x.png
    [ $code -ne 1 ] || [ "$(grep -c '^atelier: .*' ../err)" -eq 1 ] || fail "$1: said: $(cat ../err)"
    [ ! -s ../out ] || fail "$1: wrote to standard output"
    [ -z "$(ls -A)" ] || fail "$1: left behind $(ls -A)"
    rm -rf ./*
}

fresh() {
    rm -rf ../model
    cp -r "$models/$1" ../model && chmod -R u+w ../model && rm -f ../model/case*
}

# damage MODEL FILE: in every way, one after the other.
damage() {
    file=../model/$2
    codes=1
    case $2 in */tokenizer_config.json | */special_tokens_map.json | */merges.txt) codes="0 1" ;; esac
    size=$(wc -c <"$models/$1/$2")
    for way in gone empty half cut folder loop; do
        rm -rf "$file"
        case $way in
        empty) : >"$file" ;;
        half) head -c $((size / 2)) "$models/$1/$2" >"$file" ;;
        cut) head -c $((size - 4)) "$models/$1/$2" >"$file" ;;
        folder) mkdir "$file" ;;
        loop) ln -s loop "$file" && ln -sf "${file##*/}" "${file%/*}/loop" ;;
        esac
        expect "$1/$2 $way" "$codes"
        rm -rf "$file" "${file%/*}/loop"
    done
    # Bytes that mean something else: text among the weights, other numbers and types in the JSON.
    for script in 's/[0-9][0-9]*/-1/g' 's/[0-9][0-9]*/1e300/g' 's/: [0-9"].*[^,]\(,*\)$/: [[[]]]\1/' \
        's/\(..\)\(..\)/\2\1/g'; do
        LC_ALL=C sed "$script" "$models/$1/$2" >"$file"
        expect "$1/$2 $script" "0 1"
    done
    cp "$models/$1/$2" "$file"
}

fresh flux_tiny_dev
expect "as it is" 0
for file in $(cd ../model && find . -type f | sort); do
    damage flux_tiny_dev "${file#./}"
done
fresh flux_tiny_schnell # the other form of tokenizers
for file in tokenizer tokenizer_2; do
    damage flux_tiny_schnell $file/tokenizer.json
done
[ "$failures" -eq 0 ]
