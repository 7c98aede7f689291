#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints what docs/quality.md tells of the product's C code. No gate: nothing fails here.
. "$(dirname "$0")/files.sh"

# summary NAME: median, p90 and maximum of the numbers on stdin.
summary() {
    sort -n | awk -v name="$1" '{ n[NR] = $1 }
        END { printf "%-28s median %d, p90 %d, most %d\n", name, n[int((NR + 1) / 2)], n[int(NR * 0.9 + 0.5)], n[NR] }'
}

lines_of() {
    xargs cat | wc -l
}

functions() {
    product_sources '*.c' | xargs ctags --languages=C --kinds-C=f --fields=+neSP --output-format=json -f -
}

product_sources '*.c' | xargs wc -l | awk '$2 != "total" { print $1 }' | summary "lines of a .c file"
functions | sed -nE 's/.*"line": ([0-9]+).*"end": ([0-9]+).*/\1 \2/p' |
    awk '{ print $2 - $1 + 1 }' | summary "lines of a function"
functions | awk '/"pattern": "\/\^static/ { n++ } END { printf "%-28s %d of %d\n", "functions with static", n, NR }'
product=$(product_sources | lines_of)
tests=$(git ls-files tests | grep -E '\.(c|h|mjs|sh|lua)$' | lines_of)
printf '%-28s %d; tests %d, %s of it\n' "lines of C" "$product" "$tests" \
    "$(awk -v a="$tests" -v b="$product" 'BEGIN { printf "%.2f", a / b }')"
