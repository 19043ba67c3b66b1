#!/bin/sh
# Measures atelier beside torch (oneDNN) and OpenVINO and prints tables: kernels, then slices of models. Sets up its own
# Python in bench/peers/.venv; PYTHON=... takes another that has requirements.txt installed.
#   run.sh                     all of it
#   run.sh kernels [OPTION]... only the kernels, with the options of peers.py
#   run.sh models [OPTION]...  only the models, with the options of models.py
set -e
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
if [ -z "$PYTHON" ]; then
    PYTHON=$here/.venv/bin/python
    [ -x "$PYTHON" ] || python3 -m venv "$here/.venv"
    "$PYTHON" -m pip install -q -r "$here/requirements.txt"
fi
[ -x "$root/build/atelier" ] || {
    cmake --preset release -S "$root"
    cmake --build "$root/build" --target atelier
}
what=${1:-all}
[ $# -eq 0 ] || shift
case $what in
all | kernels) "$PYTHON" "$here/peers.py" --atelier "$root/build/atelier" "$@" ;;
models) ;;
*)
    echo "run.sh: '$what' is not kernels or models" >&2
    exit 2
    ;;
esac
case $what in
all | models) "$PYTHON" "$here/models.py" --atelier "$root/build/atelier" "$@" ;;
esac
