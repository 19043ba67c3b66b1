# shellcheck shell=sh disable=SC2034
# Shared by demo.sh, check.sh and .ci/run, which source it from the top of the tree (POSIX sh).

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$0: $*"
    exit 1
}

# What a build needs: how to see whether it is there, and its package in Debian and Ubuntu, Fedora,
# Arch and Alpine.
build_needs='
command cc          gcc             gcc                  gcc           gcc
header  stdlib.h    libc6-dev       glibc-devel          glibc         musl-dev
command cmake       cmake           cmake                cmake         cmake
command ninja       ninja-build     ninja-build          ninja         ninja
command pkg-config  pkg-config      pkgconf              pkgconf       pkgconf
library libcjson    libcjson-dev    cjson-devel          cjson         cjson-dev
library libpcre2-8  libpcre2-dev    pcre2-devel          pcre2         pcre2-dev
library libutf8proc libutf8proc-dev utf8proc-devel       libutf8proc   utf8proc-dev
library zlib        zlib1g-dev      zlib-devel           zlib          zlib-dev
library libpng      libpng-dev      libpng-devel         libpng        libpng-dev
library libjpeg     libjpeg-dev     libjpeg-turbo-devel  libjpeg-turbo libjpeg-turbo-dev
library libwebpmux  libwebp-dev     libwebp-devel        libwebp       libwebp-dev
library libavformat libavformat-dev ffmpeg-free-devel    ffmpeg        ffmpeg-dev
library libswresample libswresample-dev ffmpeg-free-devel ffmpeg       ffmpeg-dev
library sndfile     libsndfile1-dev  libsndfile-devel    libsndfile    libsndfile-dev
library espeak-ng   libespeak-ng-dev espeak-ng-devel     espeak-ng     espeak-ng-dev
library libcurl     libcurl4-openssl-dev libcurl-devel   curl          curl-dev
'
test_needs='
library cmocka      libcmocka-dev   libcmocka-devel      cmocka        cmocka-dev
'

there() { # KIND NAME
    case $1 in
    command) command -v "$2" >/dev/null 2>&1 ;;
    header) echo "#include <$2>" | cc -E - >/dev/null 2>&1 ;;
    clang) echo 'int main(void) { return 0; }' | clang "-f$2" -x c - -o /dev/null >/dev/null 2>&1 ;;
    library) command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$2" ;;
    esac
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages NAME...: by apt-get; quiet unless it fails.
install_packages() {
    say "installing $*"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        die "not root, and there is no sudo (as root, run: apt-get install $*)"
    fi
    log=$(mktemp)
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install them (see above)"
    fi
}

# set_up NEEDS...: installs what is missing of these tables, or says exactly what to install.
set_up() {
    missing=$(printf '%s\n' "$@" | while read -r kind name debian fedora arch alpine; do
        [ -z "$kind" ] || there "$kind" "$name" || echo "$debian $fedora $arch $alpine"
    done)
    [ -n "$missing" ] || return 0
    packages() { printf '%s\n' "$missing" | awk -v n="$1" '{printf "%s%s", s, $n; s = " "}'; }
    if command -v apt-get >/dev/null 2>&1; then
        # shellcheck disable=SC2046  # one word a package
        install_packages $(packages 1)
        return
    fi
    say "Some things that the build needs are missing. Install them, then run this again:"
    say "  Fedora:  sudo dnf install $(packages 2)"
    say "  Arch:    sudo pacman -S $(packages 3)"
    say "  Alpine:  sudo apk add $(packages 4)"
    die "missing: $(packages 1) (Debian's names)"
}

# build PRESET [TARGET]: configures, and builds what has changed; quiet unless it fails.
build() {
    log=$(mktemp)
    if cmake --preset "$1" >"$log" 2>&1 &&
        cmake --build --preset "$1" ${2:+--target "$2"} >>"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 60 "$log" >&2
        rm -f "$log"
        die "the build failed (see above)"
    fi
}
