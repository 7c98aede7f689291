#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every C file is exactly as clang-format 14 writes it.
. "$(dirname "$0")/files.sh"

tool=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$tool" ] || ! "$tool" --version | grep -q 'version 14\.'; then
    echo "clang-format 14 is needed: apt-get install clang-format-14" >&2
    exit 1
fi
sources | xargs -r "$tool" --dry-run -Werror
