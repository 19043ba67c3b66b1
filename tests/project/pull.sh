#!/bin/sh
# atelier pull from outside, against a hub of our own (tests/hub/server.py): SOURCE BUILD
set -eu
source=$1 atelier=$2/atelier
command -v python3 >/dev/null 2>&1 || {
    echo "no python3 for the hub to pull from: left out"
    exit 77
}
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
fail() { echo "pull.sh: $*" >&2; exit 1; }
unset HF_TOKEN HF_HUB_OFFLINE HF_HUB_CACHE HF_ENDPOINT HUGGING_FACE_HUB_TOKEN HF_HUB_DISABLE_SYMLINKS
export HF_HOME="$folder/home" ATELIER_HOME="$folder/none" no_proxy=127.0.0.1
commit=0123456789abcdef0123456789abcdef01234567

# repositories: a model that runs, with what nobody needs beside it; one for each thing that goes wrong
repo() { # NAME: a config.json and weights of 3 MB
    mkdir -p "hub/t/$1"
    echo '{"architectures": ["T5EncoderModel"]}' >"hub/t/$1/config.json"
    [ -f weights ] || head -c 3000001 /dev/urandom >weights
    ln weights "hub/t/$1/model.safetensors"
}
mkdir -p hub/t
cp -r "$source/tests/fixtures/networks/whisper_tiny" hub/t/plain
rm -f hub/t/plain/io.safetensors
for file in pytorch_model.bin model.fp16.safetensors flax_model.msgpack README.md; do
    echo unread >"hub/t/plain/$file"
done
for name in drop busy silent noranges wrong wrong-once long slow old private gated twice; do
    repo $name
done
mkdir -p hub/t/many/sub hub/t/hostile-0
for quant in Q4_0 Q8_0; do cp weights "hub/t/many/model-$quant.gguf"; done
cp weights "hub/t/many/sub/a b#c.safetensors"

python3 "$source/tests/hub/server.py" hub "$folder/place" &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -f place ] || sleep 0.25
done
# shellcheck source=/dev/null
. ./place

# no hub at all: it is tried for some seconds, beside all that follows
HF_ENDPOINT=http://127.0.0.1:1 "$atelier" pull t/plain -q 2>nobody.txt && echo >nobody &
nobody=$!

pull() { "$atelier" pull "$@" -q; }
file_of() { echo "home/hub/models--t--$1/snapshots/$commit/$2"; }
asked() { grep -c -- "$1" place.log || true; }

# what comes, where it lies, and that it is a model from then on
pull t/plain
[ "$(cd "$(dirname "$(file_of plain x)")" && echo ./*)" = \
    "./config.json ./generation_config.json ./model.safetensors" ] || fail "other files came"
cmp "$(file_of plain model.safetensors)" hub/t/plain/model.safetensors
case $(readlink "$(file_of plain model.safetensors)") in
../../blobs/????????????????????????????????????????????????????????????????) ;;
*) fail "not a relative link to a blob of that SHA-256" ;;
esac
[ "$(cat home/hub/models--t--plain/refs/main)" = $commit ] || fail "no ref"
before=$(wc -l <place.log)
pull t/plain --json >again.json
grep -q '"fetched_bytes":	0' again.json || fail "came twice"
[ "$(wc -l <place.log)" = $((before + 1)) ] || fail "more than the list was asked for again"
HF_HUB_OFFLINE=1 pull t/plain
"$atelier" list | grep -q "^t/plain .*Whisper" || fail "not listed"
"$atelier" inspect t/plain | grep -q WhisperForConditionalGeneration || fail "not found by its name"
"$atelier" inspect "t/plain@$commit" >/dev/null
"$atelier" inspect t/plain/model.safetensors >/dev/null
pull t/plain@refs/pr/1
pull t/old && cmp "$(file_of old model.safetensors)" hub/t/plain/model.safetensors

# one of many
wrongly() { # CODE, what the one line must say, arguments
    code=$1 says=$2
    shift 2
    set +e
    "$atelier" pull -q "$@" >out.txt 2>err.txt
    got=$?
    set -e
    [ "$got" = "$code" ] || fail "$*: exit $got, not $code: $(cat err.txt)"
    [ "$(wc -l <err.txt)" = 1 ] || fail "$*: $(cat err.txt)"
    grep -q -- "$says" err.txt || fail "$*: $(cat err.txt)"
}
wrongly 1 "2 files of weights (give one of t/many/model-Q4_0.gguf, " t/many
pull t/many/model-Q4_0.gguf
"$atelier" list | grep -q "^t/many .*model-Q4_0.gguf" || fail "one file has no name"
pull t/many --include '*b#c*' --include '*Q8*' --exclude '*Q8*'
cmp "$(file_of many 'sub/a b#c.safetensors')" weights
"$atelier" list | grep -q "^t/many/model-Q4_0.gguf " || fail "two files have no names"
[ ! -e "$(file_of many model-Q8_0.gguf)" ] || fail "--exclude did not hold"

# what goes wrong on the way and is mended: lost connections, silence, a hub that is busy
for name in drop noranges busy; do pull t/$name; done
[ "$(asked "cdn GET /t/drop/model.safetensors bytes=1500000-")" = 1 ] || fail "no part was asked for"
HF_HUB_DOWNLOAD_TIMEOUT=1 pull t/silent
for name in drop noranges busy silent; do cmp "$(file_of $name model.safetensors)" weights; done

# and what is not: nothing of that name is left but the part that goes on
wrongly 1 "checksum" t/wrong
wrongly 1 "longer than the hub says" t/long
for name in wrong long; do
    [ ! -e "$(file_of $name model.safetensors)" ] || fail "$name: half a file"
    [ ! -e "home/hub/models--t--$name/refs/main" ] || fail "$name: a ref to half a model"
done
ls home/hub/models--t--wrong/blobs/*.incomplete 2>/dev/null && fail "a wrong part is left"

# a damaged part of an earlier attempt is found out; a sound one saves its bytes
hash=$(sha256sum <weights | cut -c 1-64)
mkdir -p home/hub/models--t--twice/blobs home/hub/models--t--wrong-once/blobs
head -c 2000000 /dev/zero >"home/hub/models--t--twice/blobs/$hash.incomplete"
pull t/twice 2>/dev/null && cmp "$(file_of twice model.safetensors)" weights
head -c 3000001 weights >"home/hub/models--t--wrong-once/blobs/$hash.incomplete"
pull t/wrong-once
[ "$(asked "cdn GET /t/wrong-once")" = 0 ] || fail "came though it was here"

# Ctrl-C: the part stays, and the next pull goes on with it
HF_HUB_DOWNLOAD_TIMEOUT=60 "$atelier" pull t/slow -q 2>err.txt &
pid=$!
part=home/hub/models--t--slow/blobs/$hash.incomplete
until [ -s "$part" ]; do sleep 0.1; done
kill -INT $pid
wait $pid && fail "Ctrl-C was not heard"
grep -q cancelled err.txt || fail "Ctrl-C: $(cat err.txt)"
[ -s "$part" ] || fail "no part stays"

# several at once: each file comes once, and all of them have it
for i in 1 2 3 4; do
    "$atelier" pull t/slow -q 2>"err$i.txt" || echo "$i" >failed &
    eval "pid$i=\$!"
done
# shellcheck disable=SC2154
wait "$pid1" "$pid2" "$pid3" "$pid4"
[ ! -e failed ] || fail "at once: $(cat err?.txt)"
cmp "$(file_of slow model.safetensors)" weights
[ "$(asked "cdn GET /t/slow")" = 2 ] || fail "it came more than once"
grep "cdn GET /t/slow" place.log | tail -n 1 | grep -q "bytes=[1-9]" || fail "it did not go on"

# tokens: for the hub only
wrongly 1 "no such repository, or a private one" t/private
HF_TOKEN=bad wrongly 1 "does not take this token" t/private
mkdir -p home && echo good >home/token
pull t/private && cmp "$(file_of private model.safetensors)" weights
rm home/token
[ "$(asked "hub .*Bearer good")" -gt 0 ] || fail "no token was sent"
[ "$(asked "cdn .*Bearer")" = 0 ] || fail "the token went to another host"
HF_TOKEN="two words" wrongly 1 "no token has" t/private

# what the hub refuses, and what it says that is not to be believed
wrongly 1 "gated (accept its conditions at .*t/gated, then set HF_TOKEN" t/gated
wrongly 1 "no such repository at" t/none
wrongly 1 "has no revision v9" t/plain@v9
wrongly 1 "no file of it is called so" t/plain/other.bin
wrongly 1 "refuses it" t/forbidden
wrongly 1 "too many requests" t/limit
wrongly 1 "status 503" t/down
wrongly 1 "sends on more than" t/circle
wrongly 1 "not followed" t/outside
wrongly 1 "not valid JSON" t/words
wrongly 1 "too long" t/huge
wrongly 1 "values" t/values
for i in 0 1 2 3 4 5 6; do wrongly 1 "not fit to be written" "t/hostile-$i" --include '*'; done
wrongly 1 "has no variant int3" t/plain --variant int3
HF_HUB_OFFLINE=1 wrongly 1 "HF_HUB_OFFLINE forbids" t/never
for name in ../up a/b/../c t/plain/ -- '' t/plain@ t/plain@../x t//x a--b/c; do
    wrongly 1 "not the name of a repository" -- "$name"
done
HF_ENDPOINT=nowhere: wrongly 1 "HF_ENDPOINT" t/plain
wait $nobody || grep -q "look at the connection" nobody.txt || fail "no hub: $(cat nobody.txt)"
[ ! -e nobody ] || fail "something came from nobody"

# a disk without links
HF_HOME=$folder/flat HF_HUB_DISABLE_SYMLINKS=1 pull t/plain
flat=flat/hub/models--t--plain/snapshots/$commit/model.safetensors
[ -f $flat ] || fail "no file where links are not possible"
[ ! -h $flat ] || fail "a link after all"
HF_HOME=$folder/flat HF_HUB_DISABLE_SYMLINKS=1 pull t/plain
[ -z "$(find . -name '*part-*')" ] || fail "a temporary file is left"
