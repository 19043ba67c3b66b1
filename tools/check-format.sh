#!/bin/sh
# Every C file is as clang-format leaves it. Versions differ in taste: only 14 is asked.
set -eu
cd "$(dirname "$0")/.."
format=$(command -v clang-format-14 || command -v clang-format) || {
    echo "clang-format 14 is missing (apt-get install clang-format-14)" >&2
    exit 1
}
case $("$format" --version) in
*" version 14."*) ;;
*)
    echo "clang-format 14 is needed, not $("$format" --version)" >&2
    exit 1
    ;;
esac
git ls-files '*.c' '*.h' | xargs "$format" --dry-run --Werror
