#!/bin/sh
# The include-direction check passes on this tree, and fails on trees that break each of its rules.
set -eu
source=$1
check="$source/tools/check-includes.sh"
"$check" "$source"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
refuses() { # FILE LINE
    rm -rf "$tree/src" "$tree/include"
    mkdir -p "$tree/include" "$tree/src" "$(dirname "$tree/$1")"
    echo "$2" >"$tree/$1"
    if "$check" "$tree"; then
        echo "not refused: $2 in $1" >&2
        exit 1
    fi
}
refuses src/ops/linear.c '#include "nn/linear.h"'
refuses src/base/file.c '#include "formats/png.h"'
refuses src/formats/png.c '#include "kernels/kernels.h"'
refuses src/text/bpe.c '#include "formats/image.h"'
refuses src/models/flux.c '#  include "pipelines/pipeline.h"'
refuses src/ops/linear.c '#include "linear.h"'
refuses src/ops/linear.c '#include "../nn/linear.h"'
refuses src/misc/other.c '#include "base/base.h"'
refuses include/atelier/a.h '#include "base/base.h"'
