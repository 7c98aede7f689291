#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that Reelmesh needs, and builds what Debian 12 lacks.
# Usage: scripts/setup.sh [--test | --bench | --build]
#   --test: also what the tests and the lint gates need; --bench: also what is measured against;
#   --build: only what a build needs
#
# Idempotent: it asks apt for something only when something is missing. Works as root or with sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages="build-essential cmake ninja-build pkgconf ccache dpkg-dev
    protobuf-compiler libprotobuf-dev protobuf-c-compiler libprotobuf-c-dev libnng-dev
    libjansson-dev libpq-dev libhiredis-dev libjwt-dev libargon2-dev libseccomp-dev libssl-dev
    libcrypt-dev libavformat-dev libavcodec-dev libavfilter-dev libavutil-dev libswscale-dev
    libswresample-dev"
# util-linux: setsid, setpriv, flock; procps: ps; ffmpeg: the demo's clip.
run_packages="postgresql redis-server redis-tools curl jq ffmpeg util-linux
    procps"
test_packages="clang clang-format clang-tidy llvm libclang-rt-dev libcmocka-dev shellcheck git"
bench_packages="g++ libgrpc++-dev protobuf-compiler-grpc wrk"
# A Node that did not come from Debian brings its own npm, which Debian's would conflict with.
{ command -v node && command -v npm; } >/dev/null || test_packages="$test_packages nodejs npm"

case ${1:-} in
'') packages="$build_packages $run_packages" ;;
--test) packages="$build_packages $run_packages $test_packages" ;;
--bench) packages="$build_packages $run_packages $test_packages $bench_packages" ;;
--build) packages=$build_packages ;;
*)
    echo "usage: scripts/setup.sh [--test | --bench | --build]" >&2
    exit 2
    ;;
esac

release=$(. /etc/os-release 2>/dev/null && echo "${VERSION_ID:-0}")
if ! command -v apt-get >/dev/null; then
    echo "error: this script knows Debian (12 or newer). Elsewhere, install by hand:" $packages >&2
    exit 1
fi
# Debian 13 packages libmicrohttpd 1.0; Debian 12's is too old, build-deps.sh makes one.
[ "${release%%.*}" -lt 13 ] || packages="$packages libmicrohttpd-dev"

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $packages; do
    is_installed "$package" || missing="$missing $package"
done

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "error: packages are missing and neither root nor sudo is at hand. As root, run:" >&2
        echo "  apt-get install$missing" >&2
        exit 1
    fi
}

if [ -n "$missing" ]; then
    echo "setup: installing$missing"
    case $missing in
    *postgresql*|*redis-server*)
        echo "setup: Debian also starts its own PostgreSQL or Redis; Reelmesh does not use them" ;;
    esac
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get -qq install -y --no-install-recommends \
        $missing >/dev/null
else
    echo "setup: all packages are present"
fi
scripts/build-deps.sh
