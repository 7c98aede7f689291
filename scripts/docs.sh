#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts the programs' own tables of settings into docs/operations.md.
# Usage: scripts/docs.sh [--check] [bin directory]   --check: fails when the page is not up to date
set -euo pipefail
cd "$(dirname "$0")/.."

check=
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
bin=${1:-build/dev/bin}
page=docs/operations.md
new=$(mktemp)
trap 'rm -f "$new"' EXIT

while IFS= read -r line; do
    case $line in
    '<!-- settings '*)
        service=${line#<!-- settings }
        printf '%s\n' "$line"
        env -i "$bin/reel-${service% -->}" --help-markdown
        skipping=yes
        ;;
    '<!-- end -->')
        printf '%s\n' "$line"
        skipping=
        ;;
    *) [ -n "${skipping:-}" ] || printf '%s\n' "$line" ;;
    esac
done <"$page" >"$new"

if [ -n "$check" ]; then
    diff -u "$page" "$new" || { echo "error: run scripts/docs.sh" >&2; exit 1; }
    echo "ok settings_are_documented"
else
    cat "$new" >"$page"
fi
