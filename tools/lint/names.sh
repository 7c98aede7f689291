#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every global symbol of libcommon starts with reel_, so that none can clash with a foreign one.
. "$(dirname "$0")/files.sh"

build=${REEL_BUILD_DIR:-build/dev}
archives=$(find "$build/libcommon" -name 'libreel_*.a' 2>/dev/null || true)
if [ -z "$archives" ]; then
    echo "no archives in $build/libcommon: build first (cmake --build $build)" >&2
    exit 1
fi
# The messages of libcommon's own protos are generated, into packages whose names start with reel.
# shellcheck disable=SC2086
nm --defined-only --extern-only -A $archives 2>/dev/null |
    awk 'NF > 2 && $NF !~ /^(reel_|reel[a-z0-9_]*__|__odr_asan|__start_|__stop_)/ { print }' | none_expected
