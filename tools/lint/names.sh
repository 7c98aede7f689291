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
# Members generated from protos keep the names that protoc-c and the plugin give them.
# shellcheck disable=SC2086
nm --defined-only --extern-only -A $archives 2>/dev/null |
    awk 'NF > 2 && !/:[a-z_]+\.(pb-c|reel)\.c\.o:/ && $NF !~ /^(reel_|__odr_asan|__start_|__stop_)/' | none_expected
