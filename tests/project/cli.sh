#!/bin/sh
# shellcheck disable=SC2015  # fail is what both are for
# The binary from outside: exit codes, messages, what is printed where, what is left behind.
# cli.sh SOURCE BUILD
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

# expect CODE STDERR-PATTERN ARGUMENT...: nothing on standard output, one line on standard error.
expect() {
    code=$1
    pattern=$2
    shift 2
    "$build/atelier" "$@" >out 2>err
    got=$?
    [ "$got" -eq "$code" ] || fail "atelier $*: exit code $got, not $code"
    [ ! -s out ] || fail "atelier $*: wrote to standard output"
    # shellcheck disable=SC2254  # a pattern
    case $(cat err) in
    $pattern) ;;
    *) fail "atelier $*: said: $(cat err)" ;;
    esac
    rm -f out err
    [ -z "$(ls -A)" ] || fail "atelier $*: left behind $(ls -A)"
}

expect 2 'atelier: paint: unknown verb (see atelier --help)' paint
expect 2 'atelier: generate: *one too many (put the words in quotes)' generate a fox
expect 2 'atelier: --width: *' generate --width=0 fox
expect 2 'atelier: --output: x.bmp: unknown suffix (use *' generate -o x.bmp fox
expect 2 'atelier: --seed: with --count 2 *' generate --seed 18446744073709551615 -n 2 fox
expect 1 'atelier: x.png: no such file' generate --init x.png fox
expect 1 'atelier: x.safetensors: *' generate --lora x.safetensors:0.5 fox
expect 1 'atelier: nowhere/x.png: there is no folder nowhere/ (make it first)' \
    generate -o nowhere/x.png fox
expect 1 'atelier: none/such: no such file, folder or model (see atelier list and atelier pull)' \
    generate -m none/such fox
expect 1 'atelier: none/such: *' inspect none/such
expect 1 'atelier: *' inspect "$source/CMakeLists.txt"
expect 1 'atelier: none: no such file, folder or model (see atelier list and atelier pull)' inspect --plan none
expect 1 'atelier: *' inspect --plan "$source/CMakeLists.txt"
expect 2 'atelier: bench: *' bench everything

"$build/atelier" >out 2>err && fail "atelier alone is wrong"
grep -q '^Usage: atelier VERB' err || fail "atelier alone says how to use it"
[ ! -s out ] || fail "atelier alone: wrote to standard output"
for verb in generate transcribe inspect list bench; do
    "$build/atelier" $verb --help >out 2>err || fail "$verb --help: exit code $?"
    grep -q "^Usage: atelier $verb" out || fail "$verb --help"
    grep -q -e "--threads" out || fail "$verb --help: the options of every verb"
    [ ! -s err ] || fail "$verb --help: wrote to standard error"
done
"$build/atelier" inspect --plan AuraFlow >out && grep -q '^transformer .* 7.3 GB  *3.8 GB$' out ||
    fail "inspect --plan: $(cat out)"
"$build/atelier" --completion bash >completion && bash -n completion || fail "bash completion"
if command -v zsh >/dev/null; then
    "$build/atelier" --completion zsh >completion && zsh -n completion || fail "zsh completion"
fi
ATELIER_CPU=generic "$build/atelier" bench kernels --only matmul_q8_0_4096x1x14336 >out &&
    grep -q 'f32 [0-9][0-9]*, bf16 none, int8 none' out &&
    grep -q '^matmul_q8_0_4096x1x14336  *f32  *[0-9.]* GB/s .* [0-9.]*[1-9]' out && ! grep -Eq ' (bf16|int8)  *[0-9]' out ||
    fail "bench in plain C: $(cat out)"
# clang's runtime sees one processor where gcc's is there as well (FFmpeg brings it) and has bound the thread
if ! ldd "$build/atelier" | grep -q libomp; then
    ATELIER_CPU=generic OMP_PROC_BIND=true "$build/atelier" bench kernels --only matmul_q8_0_4096x1x14336 >bound
    [ "$(sed 1q bound)" = "$(sed 1q out)" ] || fail "threads that OpenMP binds: $(sed 1q bound), not $(sed 1q out)"
fi
if [ -w /dev/full ]; then
    "$build/atelier" --help >/dev/full 2>err && fail "a full disk is not noticed"
fi

[ "$failures" -eq 0 ]
