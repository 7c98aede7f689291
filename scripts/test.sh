#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that must hold: gates, builds, unit and integration tests, sanitizers, fuzzing, the
# end-to-end and kill tests. One line a test; the last line is "N passed, N failed". What a failed
# test printed, and what the services of its stack logged, is kept in build/test-logs/<stage>/.
# Usage: scripts/test.sh [--no-setup] [stage...]   stages:
#   dev lint clang asan tsan fuzz e2e e2e-asan e2e-tsan chaos
set -uo pipefail
cd "$(dirname "$0")/.." || exit

setup=yes
if [ "${1:-}" = --no-setup ]; then
    setup=
    shift
fi
all_stages="dev lint clang asan tsan fuzz e2e e2e-asan e2e-tsan chaos"
stages=${*:-$all_stages}
fuzz_seconds=${FUZZ_SECONDS:-10}
# Everything that tests put into a temporary folder goes below this one, and goes with it. The
# servers' own users must be able to enter.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/rt.XXXXXX")
chmod 711 "$TMPDIR"
export TMPDIR
results=$TMPDIR/results
logs=build/test-logs
touch "$results"
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# Tests start servers of their own, whatever this shell was given.
unset DATABASE_URL REDIS_URL

# Both write "ok ..." or "FAILED ..." lines; those make the count.
note() {
    echo "$*" | tee -a "$results"
}

keep() {
    tee -a "$results"
}

# build PRESET: a test of its own, with the end of the log when it fails; once a run.
built=
build() {
    local log=build/$1.log
    [[ " $built " != *" $1 "* ]] || return 0
    mkdir -p build
    { cmake --preset "$1" && cmake --build "build/$1" -j "$(nproc)" -- -k 0; } >"$log" 2>&1 && {
        note "ok $1 build"
        built="$built $1"
        return
    }
    grep -E '^FAILED|error' "$log" | head -n 60
    cp "$log" "$logs/$stage/build.log"
    note "FAILED $1 build"
    return 1
}

run_ctest() {
    build "$1" || return
    # A program that never answers is ended by ctest's own limit; this bounds ctest.
    timeout 1800 tests/lib/with-services.sh \
        ctest --test-dir "build/$1" -V --schedule-random -j "$(nproc)" 2>&1 |
        awk -v stage="$1" -v folder="$logs/$1" -f scripts/lib/ctest-lines.awk | keep
    [ "${PIPESTATUS[0]}" != 124 ] || note "FAILED $1 ctest: not done after 30 minutes"
}

# Each target gets its seeds and what it found before in this clone; crashes are kept in build/fuzz.
run_fuzz() {
    local target name corpus log
    build fuzz || return
    for target in build/fuzz/bin/fuzz_*; do
        [ -x "$target" ] || continue
        name=$(basename "$target")
        corpus=build/fuzz/corpus/$name
        log=build/fuzz/$name.log
        mkdir -p "$corpus"
        set -- "$corpus"
        [ ! -d "tests/fuzz/corpus/$name" ] || set -- "$@" "tests/fuzz/corpus/$name"
        if timeout $((fuzz_seconds + 60)) "$target" -max_total_time="$fuzz_seconds" -timeout=10 \
            -rss_limit_mb=2048 -artifact_prefix="build/fuzz/$name-" "$@" >"$log" 2>&1; then
            note "ok fuzz $name: $(grep -oE '^Done [0-9]+ runs' "$log" | tail -1)"
        else
            tail -n 30 "$log"
            cp "$log" "$logs/fuzz/"
            note "FAILED fuzz $name"
        fi
    done
}

# run_node PRESET FILE...: tests through the gateway on that build, one file at a time.
run_node() {
    local build=build/$1 package
    build "$1" || return
    shift
    while read -r package; do
        package=$(dirname "$package")
        [ -d "$package/node_modules" ] || npm ci --prefix "$package" --loglevel error --no-audit \
            --no-fund >"$TMPDIR/npm.log" 2>&1 || {
            tail -n 15 "$TMPDIR/npm.log"
            note "FAILED $stage npm ci in $package"
        }
    done < <(find "$(dirname "$1")" -name package-lock.json -not -path '*/node_modules/*')
    REEL_BUILD=$build TEST_STAGE=$stage TEST_LOGS=$PWD/$logs/$stage timeout 1800 \
        node --test --test-concurrency=1 --test-reporter=./scripts/lib/node-lines.mjs \
        --test-reporter-destination=stdout "$@" 2>&1 | keep
    [ "${PIPESTATUS[0]}" != 124 ] || note "FAILED $stage: not done after 30 minutes"
}

# Gates print "ok <gate>" or "FAILED <gate>" and why; one of them shows that the others can fail.
run_lint() {
    tools/lint/all.sh 2>&1 | tee "$logs/lint/lint.log" | sed -E 's/^(ok|FAILED) /\1 lint /' | keep
    ! grep -q '^ok ' "$logs/lint/lint.log" || grep -q '^FAILED ' "$logs/lint/lint.log" ||
        rm "$logs/lint/lint.log"
}

# What the failed tests said, 20 lines a test, 150 in all: it must be enough to know what happened
# on a machine that nobody can log in to.
print_causes() {
    local log
    for log in "$logs"/*/*.log; do
        [ -f "$log" ] || continue
        echo "--- $log"
        awk -v max=20 -f scripts/lib/telling-lines.awk "$log"
    done | head -n 150
}

run_stage() {
    case $1 in
    lint) run_lint ;;
    dev|asan|tsan) run_ctest "$1" ;;
    clang) build clang ;;
    fuzz) run_fuzz ;;
    e2e) run_node dev tests/e2e/*.test.mjs ;;
    e2e-asan) run_node asan tests/e2e/{story,gateway,routes,handover,queue}.test.mjs ;;
    e2e-tsan) run_node tsan tests/e2e/{story,gateway}.test.mjs ;;
    chaos) run_node dev tests/chaos/*.test.mjs ;;
    *)
        echo "test: no stage is called $1; there are $all_stages" >&2
        exit 2
        ;;
    esac
}

[ -z "$setup" ] || scripts/setup.sh --test || exit 1
rm -rf "$logs"
for stage in $stages; do
    began=$SECONDS
    echo "--- $stage"
    mkdir -p "$logs/$stage"
    run_stage "$stage"
    times="${times:-}$(printf '%8s %5d s' "$stage" $((SECONDS - began)))"$'\n'
done
printf '\n%s' "$times"
passed=$(grep -c '^ok ' "$results")
failed=$(grep -c '^FAILED ' "$results")
find "$logs" -type d -empty -delete
[ "$failed" = 0 ] || { echo; grep '^FAILED ' "$results"; echo; print_causes; }
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
