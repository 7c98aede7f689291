#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every header of ours compiles alone, has its guard, and says above each prototype what it does.
. "$(dirname "$0")/files.sh"

build=${REEL_BUILD_DIR:-build/dev}
status=0

compiles_alone() {
    local output
    output=$(gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -I. -I"$build/gen" \
        -x c - 2>&1 <<<"#include \"$1\"") && return
    if grep -qE 'fatal error: .*\.(reel|pb-c|gen)\.h: No such file' <<<"$output"; then
        echo "$1: needs a generated header that is not in $build/gen; make build first"
    else
        printf '%s\n%s: does not compile alone\n' "$output" "$1"
    fi
}
export -f compiles_alone
export build

sources '*.h' | xargs -r -P 2 -I{} bash -c 'compiles_alone {}' | none_expected || status=1
{
    sources '*.h' | xargs -r grep -L '^#pragma once' | sed 's/$/: lacks #pragma once/' || true
    # A prototype starts in the first column and ends with ");" or goes on after a ",".
    product_sources '*.h' | xargs -r awk '
        FNR == 1 { above = "" }
        /^[A-Za-z_][A-Za-z0-9_ \t*]*[ *][A-Za-z0-9_]+\(.*(\).*;|,[ \t]*|\()$/ &&
        !/^(typedef|static|return|else|struct [a-z0-9_]+ \{|enum)/ && above !~ /^\/\/|\*\/$/ {
            print FILENAME ":" FNR ": no comment above: " $0
        }
        !/^(__attribute__|REEL_[A-Z_]+)/ { above = $0 }'
} | none_expected || status=1
exit $status
