#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every path that README.md and ARCHITECTURE.md name in backticks exists; `path:function` is in it.
. "$(dirname "$0")/files.sh"

is_generated='^(build|var|storage|node_modules)(/|$)'
tops=$(git ls-files --cached --others --exclude-standard | cut -d/ -f1 | sort -u)

# A word is a path when it begins with one of our folders or ends like one of our files.
looks_like_path() {
    [[ $1 =~ ^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?$ ]] || return 1
    [[ $1 =~ $is_generated ]] && return 1
    [[ $1 == */* ]] && grep -qxF "${1%%/*}" <<<"$tops" && return 0
    [[ $1 =~ \.(c|h|md|sh|proto|cmake|sql|lua|mjs|json|yml|yaml|txt)$ ]] && [[ $1 != *.*.*/* ]]
}

for page in README.md ARCHITECTURE.md; do
    [ -f "$page" ] || { echo "$page is missing"; continue; }
    { grep -oE '`[^` ]+`' "$page" || true; } | tr -d '`' | sort -u | while read -r word; do
        path=${word%%:*} name=
        [[ $word == *:* ]] && name=${word#*:}
        name=${name%()}
        looks_like_path "$path" || continue
        if [ ! -e "$path" ]; then
            # A bare file name may stand for one that is found once in the tree.
            [[ $path != */* ]] && git ls-files | grep -q "/$path\$" && continue
            echo "$page: $path does not exist"
        elif [[ $name =~ ^[a-z_][a-z0-9_]+$ ]] && ! grep -rqw -- "$name" "$path"; then
            echo "$page: $path has no $name"
        fi
    done
done | none_expected
