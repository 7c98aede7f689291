#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A gate that cannot fail is no gate: plants a violation of each rule into a tree of its own and
# expects the gate to go red, after having been green.
set -euo pipefail

lint=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

cd "$work"
git init -q
mkdir -p tools libcommon/core gateway svc-user svc-job/media tests/unit build/dev/libcommon/core
cp -r "$lint" tools/lint
cp "$lint/../../.clang-format" .
printf 'build/\n' >.gitignore
printf '# Tree\nSee `libcommon/core/good.c:reel_good_do`.\n' | tee README.md >ARCHITECTURE.md
printf '# Folder\nSee `core`.\n' | tee tools/README.md tests/README.md >libcommon/README.md
printf '#pragma once\n\n// Does good. Any thread.\nint reel_good_do(int n);\n' >libcommon/core/good.h
printf '#include "libcommon/core/good.h"\n\nint reel_good_do(int n)\n{\n    return n;\n}\n' \
    >libcommon/core/good.c
printf '#include "libcommon/core/good.h"\n' >tests/unit/test_good.c

archive() {
    gcc -c -I. -o build/x.o -x c - && ar rcs build/dev/libcommon/core/libreel_core.a build/x.o
}
archive <libcommon/core/good.c

# red GATE FILE: the text on stdin, put into FILE, turns GATE red.
red() {
    local gate=$1 file=$2 kept=
    [ -e "$file" ] && kept=$(cat "$file")
    cat >"$file"
    if "tools/lint/$gate.sh" >/dev/null 2>&1; then
        echo "FAILED $gate takes $file:"
        sed 's/^/      /' "$file" | head -3
        failures=$((failures + 1))
    else
        echo "ok $gate refuses $(head -c 60 "$file" | tr '\n' ' ')"
    fi
    if [ -n "$kept" ]; then printf '%s\n' "$kept" >"$file"; else rm "$file"; fi
}

for gate in tools/lint/{format,sizes,layers,headers,banned,names,pairing,map,readmes}.sh; do
    "$gate" || { echo "FAILED $gate: the tree without violations is not green"; exit 1; }
done

red format gateway/x.c <<<'int  x ;'
seq 701 | sed 's|^|// |' | red sizes gateway/x.c
{ echo 'int x(void)'; echo '{'; seq 79 | sed 's|.*|    ;|'; echo '}'; } | red sizes gateway/x.c
{ echo 'int x(int n)'; echo '{'; seq 15 | sed 's|.*|    if (n) n--;|'; echo '}'; } | red sizes gateway/x.c
red layers libcommon/core/x.c <<<'#include "svc-user/store.h"'
red layers libcommon/core/x.c <<<'#include "libcommon/obs/log.h"'
red layers svc-user/x.c <<<'#include "svc-video/store.h"'
red layers svc-user/x.c <<<'#include "gateway/guard.h"'
red layers gateway/x.c <<<'#include "svc-user/store.h"'
red layers gateway/x.c <<<'#include <libavutil/frame.h>'
red layers svc-job/x.c <<<'#  include <libswscale/swscale.h>'
red layers gateway/x.h <<<'#include <microhttpd.h>'
red layers svc-job/x.h <<<'#include <hiredis/hiredis.h>'
red layers gateway/x.c <<<'#include "guard.h"'
red layers gateway/x.c <<<'#include "../gateway/guard.h"'
printf '#pragma once\n\n// Uses what it does not include.\nvoid x(size_t n);\n' | red headers gateway/x.h
printf '// No guard.\nint x(void);\n' | red headers gateway/x.h
printf '#pragma once\n\nint x(void);\n' | red headers gateway/x.h
printf '#pragma once\n\n// Only the first.\nint x(void);\nint y(int a,\n      int b);\n' | red headers gateway/x.h
red banned gateway/x.c <<<'void x(char *s) { strcpy(s, "a"); }'
red banned gateway/x.c <<<'int x(char *s) { return atoi (s); }'
red banned gateway/x.c <<<'void x(void) { system("ls"); }'
red banned gateway/x.c <<<'// TODO later'
red banned gateway/x.sh <<<'# FIXME'
printf 'int gateway__run(int n)\n{\n    return n;\n}\n' | red banned gateway/x.c
red banned gateway/x.h <<<'struct gateway__state {'
red pairing libcommon/core/lonely.c <<<'// No test.'
red map README.md <<<'See `libcommon/core/gone.c`.'
red map ARCHITECTURE.md <<<'See `libcommon/core/good.c:gone`.'
red readmes gateway/x.c <<<'// Its folder has no README.'
seq 61 | red readmes tools/README.md
red readmes libcommon/README.md <<<'See `core/gone.c`.'
archive <<<'int json_loads(void) { return 0; }'
red names gateway/x.c <<<'// The archive holds json_loads.'

[ $failures -eq 0 ] && echo "every gate can fail"
exit $((failures > 0))
