#!/bin/sh
# Who may include whom (DESIGN.md section 2): a room may use its own level's and lower rooms, never
# those above; formats and text use base and tensor only; public headers include public headers only.
#   tools/check-includes.sh [TREE]
set -eu
cd "${1:-$(dirname "$0")/..}"

# shellcheck disable=SC2016
find include src -name '*.[ch]' | sort | xargs awk '
BEGIN {
    level["base"] = level["tensor"] = level["kernels"] = 1
    level["formats"] = level["text"] = 2
    level["ops"] = 3
    level["nn"] = 4
    level["models"] = 5
    level["schedulers"] = level["adapters"] = 6
    level["pipelines"] = level["train"] = 7
    level["hub"] = level["server"] = level["cli"] = 8
}
function bad(why) {
    printf "%s:%d: %s (%s)\n", FILENAME, FNR, $0, why
    failed = 1
}
FNR == 1 {
    split(FILENAME, path, "/")
    public = path[1] == "include"
    room = public ? "" : path[2]
    if (!public && !(room in level)) { bad("src/" room " is not a room"); nextfile }
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    split(quoted[2], target, "/")
    to = target[1]
    if (public) bad("a public header includes public headers only")
    else if (quoted[2] !~ /\// || !(to in level)) bad("write \"room/file.h\", relative to src")
    else if ((room == "formats" || room == "text") && to != room && to != "base" && to != "tensor")
        bad(room " may use base and tensor only")
    else if (level[to] > level[room]) bad("points upwards: " room " may not use " to)
}
END { exit failed }'
