#!/bin/sh
# Measures atelier's kernels beside torch (oneDNN) in one run and prints the table. Sets up its own Python in
# bench/peers/.venv; PYTHON=... takes another that has requirements.txt installed. Arguments go to peers.py.
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
exec "$PYTHON" "$here/peers.py" --atelier "$root/build/atelier" "$@"
