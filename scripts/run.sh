#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs all of Reelmesh on this machine and follows its logs; Ctrl-C stops what it started.
# Usage: scripts/run.sh [--no-setup]
#
# Files, logs and keys are below var/ (REEL_RUN_DIR). REEL_BIN_DIR runs programs from elsewhere. DATABASE_URL and REDIS_URL name servers to use
# instead of private ones; every other setting of docs/operations.md may be set too.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/stack.sh

preset=${REEL_PRESET:-dev}
run_dir=${REEL_RUN_DIR:-var}
# Programs that are built already; empty: build them here.
bin_dir=${REEL_BIN_DIR:-}

say() {
    echo "run: $*"
}

# The lock is the kernel's: it is free again when this process ends, however it ends.
take_lock() {
    exec 9>>"$STACK_DIR/run/lock"
    flock -n 9 && return
    services_fail "already running from this directory (pid $(cat "$STACK_DIR/run/run.pid" 2>/dev/null)); stop that one first" || exit 1
}

# Whatever a killed run has left behind, by the pid files of its own.
stop_leftovers() {
    local pidfile name
    for pidfile in "$STACK_DIR"/run/*.pid; do
        name=$(basename "$pidfile" .pid)
        case $name in
        run) ;;
        # They hold no port, and are what this run would start.
        postgres|redis) ;;
        *)
            process_pid "$pidfile" >/dev/null && say "stopping $name, left over from a run that was killed"
            process_stop "$pidfile" TERM 10
            ;;
        esac
    done
}

build() {
    [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
    say "building ($preset)"
    cmake --build "build/$preset" -j "$(nproc)" --target reel-gateway reel-user reel-video reel-job ||
        { services_fail "the build failed"; exit 1; }
}

stopping=
stop_all() {
    local service pid
    [ -z "$stopping" ] || return 0
    stopping=yes
    # Whatever fails, the rest is stopped too; the reader of a pipe may be gone by now.
    set +e
    trap '' INT TERM HUP PIPE
    [ -z "${follower:-}" ] || kill "$follower" 2>/dev/null || true
    echo
    say "stopping"
    # All drain at once; the gateway first stops taking requests.
    for service in gateway video job user; do
        pid=$(process_pid "$STACK_DIR/run/$service.pid") && kill -TERM "$pid" 2>/dev/null || true
    done
    for service in gateway video job user; do
        stack_stop "$service"
    done
    stack_stop_data
    rm -f "$STACK_DIR/run/run.pid"
    say "stopped"
}

print_welcome() {
    cat <<TEXT

Reelmesh is ready: $STACK_ADDRESS

Try next, in another terminal:
  curl -s $STACK_ADDRESS/api/auth/register -H 'content-type: application/json' \\
    -d '{"username":"ada","email":"ada@example.com","password":"correct horse"}'
  curl -s -c jar $STACK_ADDRESS/api/auth/login -H 'content-type: application/json' \\
    -d '{"username":"ada","password":"correct horse"}'
  curl -s -b jar $STACK_ADDRESS/api/videos/upload -H 'filename: clip.mp4' -X POST -T clip.mp4

Or see the whole story on a clip it makes: make demo
Files and logs: $STACK_DIR        Stop: Ctrl-C

TEXT
}

# Crash-only: what ends is started again, at once if it had lived, slower if it keeps dying.
declare -A started_at deaths delay due
start_service() {
    started_at[$1]=$SECONDS
    due[$1]=
    case $1 in
    postgres|redis) stack_start_data || true ;;
    *) stack_start "$1" ;;
    esac
}

restart_service() {
    local name=$1 lived
    if [ -z "${due[$name]:-}" ]; then
        lived=$((SECONDS - started_at[$name]))
        deaths[$name]=$((lived >= 5 ? 0 : ${deaths[$name]:-0} + 1))
        # 0, 0, 1, 2, 4, 8, 8, ... seconds
        delay[$name]=$((deaths[$name] < 2 ? 0 : 1 << (deaths[$name] < 5 ? deaths[$name] - 2 : 3)))
        due[$name]=$((SECONDS + delay[$name]))
        printf '{"ts":"%s","level":"warn","svc":"run","event":"service.ended","service":"%s","lived_s":%d,"restart_in_s":%d}\n' \
            "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$name" "$lived" "${delay[$name]}" \
            >>"$STACK_DIR/log/run.log"
    fi
    [ $SECONDS -lt "${due[$name]}" ] || start_service "$name"
}

supervise() {
    local name private=
    [ -n "${DATABASE_URL:-}" ] || private="postgres"
    [ -n "${REDIS_URL:-}" ] || private="$private redis"
    for name in $private; do
        started_at[$name]=$SECONDS
    done
    while :; do
        for name in $private $STACK_SERVICES; do
            process_pid "$STACK_DIR/run/$name.pid" >/dev/null || restart_service "$name"
        done
        # `wait` returns at once on a signal; a foreground sleep would delay its trap.
        sleep 0.5 9>&- &
        wait $! || true
    done
}

main() {
    stack_init "$run_dir" "${bin_dir:-$PWD/build/$preset/bin}"
    take_lock
    echo $$ >"$STACK_DIR/run/run.pid"
    stop_leftovers
    stack_check_ports
    [ "${1:-}" = --no-setup ] || scripts/setup.sh
    [ -n "$bin_dir" ] || build

    trap stop_all EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    say "starting PostgreSQL and Redis"
    stack_start_data
    stack_migrate
    say "starting the services"
    for service in $STACK_SERVICES; do
        start_service "$service"
    done
    stack_await_ready 60
    print_welcome
    # From here on, Ctrl-C is how a good run ends.
    trap 'exit 0' INT TERM HUP
    touch "$STACK_DIR/log/run.log"
    # --pid: it ends with this script, also when that is killed.
    tail --pid=$$ -n 0 -q -F "$STACK_DIR"/log/{run,gateway,user,video,job}.log 2>/dev/null 9>&- &
    follower=$!
    supervise
}

main "$@"
