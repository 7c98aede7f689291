#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every top folder has a README.md of at most 60 lines, and the files that a folder's README names in
# backticks exist, as seen from that folder or from the root.
. "$(dirname "$0")/files.sh"

{
    git ls-files --cached --others --exclude-standard | grep / | cut -d/ -f1 | grep -v '^\.' | sort -u |
        while read -r folder; do
            [ -f "$folder/README.md" ] || echo "$folder: has no README.md"
        done
    sources '*/README.md' | while read -r page; do
        folder=$(dirname "$page")
        n=$(wc -l <"$page")
        [ "$n" -le 60 ] || echo "$page: length in lines is $n, at most 60 is allowed"
        { grep -oE '`[^` ]+`' "$page" || true; } | tr -d '`' | sort -u | while read -r word; do
            [[ $word =~ ^[A-Za-z0-9_./-]+\.(c|h|md|sh|mjs|awk|proto|yaml|lua)$|^[a-z./_-]+/$ ]] || continue
            # A name alone may be anywhere below.
            [ -e "$folder/$word" ] || [ -e "$word" ] ||
                { [[ $word != */* ]] && git ls-files "$folder" | grep -q "/$word\$"; } ||
                echo "$page: $word does not exist"
        done
    done
} | none_expected
