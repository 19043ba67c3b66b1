#!/bin/sh
# What cmake --install gives: only at_ symbols, and files with which the example of atelier.h builds,
# shared and static, and runs. install.sh SOURCE BUILD
set -eu
source=$1
build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export ATELIER_HOME="$folder/none" # only what was installed
if nm "$build/atelier" | grep -q __asan_init; then
    echo "built with sanitizers: left out"
    exit 77
fi
cmake --install "$build" --prefix "$folder/usr" >/dev/null

for library in "$folder"/usr/lib*/libatelier.* "$folder"/usr/lib*/*/libatelier.*; do
    [ -f "$library" ] || continue
    case $library in *.a) which=-g ;; *) which=-D ;; esac
    symbols=$(nm $which --defined-only "$library" | awk 'NF == 3 {print $3}')
    echo "$symbols" | grep -qx at_context_new
    if echo "$symbols" | grep -v '^at_'; then
        echo "$library has symbols without at_ (above)" >&2
        exit 1
    fi
done
[ -n "${symbols-}" ]

for file in bin/atelier share/man/man1/atelier.1 share/bash-completion/completions/atelier \
    share/zsh/site-functions/_atelier include/atelier/atelier.h; do
    [ -s "$folder/usr/$file" ] || {
        echo "not installed: $file" >&2
        exit 1
    }
done

# The example, as it stands in the header.
sed -n '/#include <atelier\/atelier.h>/,/^       }$/p' "$source/include/atelier/atelier.h" |
    sed 's/^       //' >"$folder/heart.c"
PKG_CONFIG_PATH=$(dirname "$(find "$folder/usr" -name atelier.pc)")
export PKG_CONFIG_PATH
lib=$(dirname "$PKG_CONFIG_PATH")
cd "$folder"
# shellcheck disable=SC2046  # one word a flag
cc -std=c17 -Wall -Wextra -Werror heart.c -o shared $(pkg-config --cflags --libs atelier)
# shellcheck disable=SC2046
cc -std=c17 -Wall -Wextra -Werror heart.c -o static $(pkg-config --cflags atelier) "$lib/libatelier.a" \
    $(pkg-config --static --libs atelier | sed 's/-latelier//')
LD_LIBRARY_PATH=$lib ./shared 2>err
if [ -d "$folder/usr/share/atelier/models/emoji" ]; then
    [ -s heart.png ] && [ ! -s err ] && mv heart.png first.png
    ATELIER_HOME=$folder/usr/share/atelier ./static # a program of one's own, elsewhere
    cmp first.png heart.png
    usr/bin/atelier list | grep -q "$folder/usr/share/atelier/models/emoji"
else
    grep -q 'emoji: the embedded model' err
fi
