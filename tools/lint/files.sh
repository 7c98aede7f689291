# SPDX-License-Identifier: Apache-2.0
# Sourced by every gate: goes to the repository's root and names its sources.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"

# Our C sources, committed or not, that match the given pathspecs (all without one).
sources() {
    local patterns=("$@")
    [ $# -gt 0 ] || patterns=('*.c' '*.h')
    git ls-files --cached --others --exclude-standard -- "${patterns[@]}" | sort -u |
        while read -r file; do [ -f "$file" ] && echo "$file"; done
}

# As sources, without the tests: what the product is made of.
product_sources() {
    sources "$@" | grep -v '^tests/' || true
}

# Prints what was found on stdin and fails if there was anything.
none_expected() {
    ! grep . >&2
}
