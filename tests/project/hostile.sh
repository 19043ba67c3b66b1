#!/bin/sh
# Every file of tests/hostile: inspect and generate say one line, the expected one, and end with 1.
# hostile.sh SOURCE BUILD
set -u
hostile=$1/tests/hostile
build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# expect FILE MESSAGE COMMAND...
expect() {
    file=$1 message=$2
    shift 2
    timeout 60 "$build/atelier" "$@" >out 2>err
    code=$?
    [ $code -eq 1 ] || fail "$* ended with $code"
    if [ "$(wc -l <err)" -ne 1 ] || ! grep -q "^atelier: .*$file" err; then fail "$*: $(head -c 500 err)"; fi
    [ -z "$message" ] || grep -qF "$message" err || fail "$*: expected \"$message\", got: $(head -c 500 err)"
    [ ! -s out ] || fail "$* wrote to standard output"
    rm -f out err
    [ -z "$(ls -A)" ] || fail "$* left $(ls -A)"
}

tab=$(printf '\t')
while IFS=$tab read -r file message; do
    expect "$file" "$message" inspect "$hostile/$file"
    expect "$file" "$message" generate -m "$hostile/$file" -q -o x.png "a red heart"
done <"$hostile/messages.txt"
[ "$failures" -eq 0 ]
