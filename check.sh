#!/bin/sh
# Builds atelier and runs all of its tests; on the way those for aarch64 under qemu-user, where the
# cross compiler and qemu are there (Debian: gcc-aarch64-linux-gnu qemu-user), and those of the
# kernels for AVX-512 and AMX in emulation (tests/emulated), whatever this processor has.
set -eu
cd "$(dirname "$0")"
. tools/setup.sh

set_up "$build_needs$test_needs"
if command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 && command -v qemu-aarch64 >/dev/null 2>&1; then
    say "aarch64: building and testing under qemu"
    tools/aarch64-sysroot.sh build-aarch64/sysroot
    build aarch64
    ctest --preset aarch64 -j "$(nproc)"
else
    say "aarch64: left out (no aarch64-linux-gnu-gcc or qemu-aarch64)"
fi
if [ "$(uname -m)" = x86_64 ]; then
    say "AVX-512 and AMX: building and testing in emulation"
    build emulated
    ctest --preset emulated -j "$(nproc)" -R '^(kernels|ops|models)_.*_(avx512|amx)$'
fi
say "building"
build release
ctest --preset release -j "$(nproc)"
