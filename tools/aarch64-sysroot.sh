#!/bin/sh
# Makes FOLDER a root for cross-compiling to aarch64: the libraries' arm64 packages of the Debian that
# this runs on, downloaded by apt-get with its own lists and cache, and unpacked. Nothing on the
# system changes and no root is needed. (Ubuntu keeps arm64 packages on another host than amd64: there
# the machine's sources must name it.)
set -eu
[ $# -eq 1 ] || {
    echo "usage: $0 FOLDER" >&2
    exit 2
}
root=$1
[ ! -f "$root/.complete" ] || exit 0
mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
root=$(cd "$root" && pwd)

packages="libc6-dev libgomp1 libgcc-s1 libcjson-dev libpcre2-dev libutf8proc-dev zlib1g-dev
    libpng-dev libjpeg-dev libwebp-dev libcmocka-dev"
apt() {
    apt-get -qq -o Dir::State="$root/apt" -o Dir::State::status=/dev/null \
        -o Dir::State::extended_states="$root/apt/states" -o Dir::Cache="$root/apt" \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= \
        -o Debug::NoLocking=1 "$@"
}
apt update
# shellcheck disable=SC2086  # one word a package
apt install --download-only -y --no-install-recommends $packages
for package in "$root"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$root"
done
[ -e "$root/lib" ] || ln -s usr/lib "$root/lib" # merged /usr: the packages no longer bring it
rm -rf "$root/apt"
touch "$root/.complete"
