#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every libcommon module has its unit test.
. "$(dirname "$0")/files.sh"

tests=$(sources "tests/*.c")
sources 'libcommon/*.c' | while read -r file; do
    test="test_$(basename "$file")"
    grep -q "/$test$" <<<"$tests" || echo "$file: tests/unit/$test is missing"
done | none_expected
