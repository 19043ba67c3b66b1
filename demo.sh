#!/bin/sh
# Builds atelier and draws a picture with the model that comes with it:
#   ./demo.sh                       a red heart on a blue background
#   ./demo.sh a fox on green        these words
# On Debian and Ubuntu what is missing is installed (apt-get, through sudo when not root).
set -eu
cd "$(dirname "$0")"
. tools/setup.sh

words="$*"
[ -n "$words" ] || words="a red heart on a blue background"
set_up "$build_needs"
say "building (the first time takes a minute)"
build release atelier

picture=demo.png
started=$(date +%s)
build/atelier generate --seed 7 --output "$picture" -- "$words"
say ""
say "\"$words\" is in $(pwd)/$picture, made in $(($(date +%s) - started)) s."
