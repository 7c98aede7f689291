#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/test.sh on a tree of its own with tests that fail: what it keeps and prints of them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
tree=$(mktemp -d "${TMPDIR:-/tmp}/reeltree.XXXXXX")
chmod 711 "$tree"
trap 'rm -rf "$tree"' EXIT

fail() {
    echo "FAILED: $*" >&2
    tail -n 200 "$tree/out" >&2
    exit 1
}

plant() {
    mkdir -p "$tree/$(dirname "$1")"
    cat >"$tree/$1"
}

mkdir -p "$tree/tests/lib" "$tree/tests/e2e" "$tree/tools/lint"
cp -r "$root/scripts" "$tree/"
cp "$root/tests/lib/with-services.sh" "$tree/tests/lib/"
cp -r "$root/tests/e2e/lib" "$tree/tests/e2e/"
plant CMakeLists.txt <<'TEXT'
cmake_minimum_required(VERSION 3.25)
project(planted C)
enable_testing()
foreach(name assertion overflow good)
    add_executable(${name} ${name}.c)
    target_link_libraries(${name} cmocka)
    add_test(NAME unit.${name} COMMAND ${name})
endforeach()
add_test(NAME scripts.long COMMAND sh -c "seq 1000 | sed 's/^/line /'; exit 1")
TEXT
plant CMakePresets.json <<'TEXT'
{ "version": 6, "configurePresets": [
  { "name": "dev", "generator": "Ninja", "binaryDir": "build/dev" },
  { "name": "asan", "generator": "Ninja", "binaryDir": "build/asan",
    "cacheVariables": { "CMAKE_C_FLAGS": "-g -fsanitize=address" } },
  { "name": "clang", "generator": "Ninja", "binaryDir": "build/clang",
    "cacheVariables": { "CMAKE_C_FLAGS": "-DBROKEN" } } ] }
TEXT
plant planted.h <<'TEXT'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
TEXT
plant assertion.c <<'TEXT'
#include "planted.h"
static void it_counts(void **state) { (void)state; assert_int_equal(41, 42); }
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
TEXT
plant overflow.c <<'TEXT'
#include <stdlib.h>
#ifdef BROKEN
#error planted: it does not compile
#endif
int main(int argc, char **argv)
{
    volatile char *bytes = malloc(8);
    (void)argv;
    if (argc == 1) bytes[8 * argc] = 1;
    free((void *)bytes);
    return 0;
}
TEXT
echo 'int main(void) { return 0; }' | plant good.c
plant tools/lint/all.sh <<'TEXT'
#!/bin/sh
echo "ok format"; echo "FAILED sizes"; echo "      gateway/x.c: 701 lines"; exit 1
TEXT
chmod +x "$tree/tools/lint/all.sh"
plant tests/e2e/bad.test.mjs <<'TEXT'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { makeLogFolder } from './lib/logs.mjs';
import { reportsIn } from './lib/sanitizers.mjs';
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'planted.'));
makeLogFolder(dir);
fs.writeFileSync(path.join(dir, 'log', 'video.log'), 'the last words of a service\n');
fs.writeFileSync(path.join(dir, 'log', 'job.log'), 'one\nWARNING: ThreadSanitizer: data race\n  Write\n');
test('no report', () => { const found = reportsIn(path.join(dir, 'log')); if (found) throw new Error(found); });
test('a video is 41 s long', () => assert.deepEqual({ seconds: 42 }, { seconds: 41 }));
TEXT
sed -e "/^test('no report/d; s/41 s long', () => .*/fine', () => {});/" "$tree/tests/e2e/bad.test.mjs" | plant tests/e2e/fine.test.mjs

cd "$tree"
if scripts/test.sh --no-setup dev clang asan lint e2e >out 2>&1; then
    fail "failed tests do not fail the run"
fi
# From the list of what failed to the end.
sed -n '/^FAILED dev unit.assertion: it_counts$/h;//!H;$!d;x;p' out >end

it_counts_last() {
    [ "$(tail -n 1 out)" = "7 passed, 9 failed" ] || fail "the last line is: $(tail -n 1 out)"
}

# prints NAME PATTERN...: the end of the run has each of them.
prints() {
    local pattern
    for pattern in "$@"; do
        grep -qE -- "$pattern" end || fail "not at the end: $pattern"
    done
}

an_assertion_is_told() {
    prints '^--- build/test-logs/dev/unit.assertion.log' '0x29 != 0x2a' 'assertion.c:2: error: Failure'
    grep -q '0x29 != 0x2a' build/test-logs/dev/unit.assertion.log || fail "the output is not kept"
    [ ! -e build/test-logs/dev/unit.good.log ] || fail "the output of a good test is kept"
}

a_report_of_a_sanitizer_is_told() {
    prints '^FAILED asan unit.overflow: ' '^--- build/test-logs/asan/unit.overflow.log' \
        'AddressSanitizer: heap-buffer-overflow' 'in main .*overflow.c:9'
}

an_error_of_the_compiler_is_told() {
    prints '^--- build/test-logs/clang/build.log' 'error: #error planted: it does not compile'
}

a_gate_is_told() {
    prints '^--- build/test-logs/lint/lint.log' '^  FAILED sizes' 'gateway/x.c: 701 lines'
}

a_report_in_a_log_of_a_service_is_told() {
    prints '^--- build/test-logs/e2e/bad.no-report.log' 'job.log: WARNING: ThreadSanitizer: data race'
}

a_difference_is_told() {
    prints '^--- build/test-logs/e2e/bad.a-video-is-41-s-long.log' 'seconds: 42' 'seconds: 41'
}

the_services_of_a_failed_file_leave_their_logs() {
    grep -q 'last words' build/test-logs/e2e/bad.services/1/video.log || fail "no log is kept"
    [ ! -e build/test-logs/e2e/fine.services ] || fail "the logs of a file that passed are kept"
}

what_is_told_is_bounded() {
    local n
    prints '^--- build/test-logs/dev/scripts.long.log' '^  line 1000$'
    n=$(sed -n '/^--- .*dev\/scripts.long/,/^---/p' end | grep -c '^  ')
    [ "$n" -le 20 ] || fail "$n lines of one test"
    [ "$(wc -l <end)" -le 180 ] || fail "$(wc -l <end) lines at the end"
    [ "$(grep -c "^line " build/test-logs/dev/scripts.long.log)" = 1000 ] || fail "the log is not complete"
}

for test in it_counts_last an_assertion_is_told a_report_of_a_sanitizer_is_told \
    an_error_of_the_compiler_is_told a_gate_is_told a_report_in_a_log_of_a_service_is_told \
    a_difference_is_told \
    the_services_of_a_failed_file_leave_their_logs what_is_told_is_bounded; do
    $test
    echo "ok $test"
done
