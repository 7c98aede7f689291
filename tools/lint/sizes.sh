#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Files of at most 700 lines, functions of at most 80 lines and complexity 15 (tests: files only).
. "$(dirname "$0")/files.sh"

here=tools/lint
product_sources | xargs -r ctags --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne \
    --output-format=json -f - | node "$here/sizes.mjs" <(sources)
