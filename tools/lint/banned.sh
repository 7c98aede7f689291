#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Calls that are unsafe or not thread-safe, notes to self, and names that belong to generated code.
. "$(dirname "$0")/files.sh"

calls='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|gmtime|localtime|ctime|asctime'
calls="$calls|system|popen|alloca|mktemp|tmpnam|rand|srand"

{
    # Strings and comments may say what they like.
    product_sources | while read -r file; do
        sed -E 's/"(\\.|[^"\\])*"/""/g; s|//.*||' "$file" |
            grep -nE "(^|[^A-Za-z0-9_>.])($calls)[[:space:]]*\(" | sed "s|^|$file:|" || true
    done
    sources '*.c' '*.h' '*.sh' '*.mjs' '*.proto' '*.cmake' 'CMakeLists.txt' 'Makefile' |
        grep -v '^tools/lint/' | xargs -r grep -HnwE 'TODO|FIXME|XXX|HACK' || true
    # Only generated code has "__" in names; a definition starts in the first column.
    product_sources | xargs -r grep -HnE \
        '^[A-Za-z_][A-Za-z0-9_ *]*[ *][a-z0-9_]*[a-z0-9]__[a-z0-9_]*\([^;]*$' || true
    product_sources | xargs -r grep -HnE \
        '^((static |extern )?(struct|enum|union) [a-z0-9_]*__[a-z0-9_]* \{|#define [A-Za-z0-9_]*__)' || true
} | none_expected
