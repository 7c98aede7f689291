#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/run.sh with stand-ins for the services: start, stop, and everything that goes wrong.
# Usage: test_run.sh   (needs PostgreSQL, Redis, node, curl)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
. "$root/scripts/lib/services.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/reelrun.XXXXXX")
chmod 711 "$work"
mkdir "$work/bin"
for service in gateway user video job; do
    ln -s "$here/fake/service.sh" "$work/bin/reel-$service"
done

free_port() {
    node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'
}

unset DATABASE_URL REDIS_URL REEL_TEST_PG_DIR
export REEL_BIN_DIR=$work/bin REEL_RUN_DIR=$work/var REEL_GATEWAY_PORT REEL_USER_LISTEN \
    REEL_VIDEO_LISTEN REEL_JOB_LISTEN REEL_EVENTS_LISTEN
REEL_GATEWAY_PORT=$(free_port)
REEL_USER_LISTEN=tcp://127.0.0.1:$(free_port)
REEL_VIDEO_LISTEN=tcp://127.0.0.1:$(free_port)
REEL_JOB_LISTEN=tcp://127.0.0.1:$(free_port)
REEL_EVENTS_LISTEN=tcp://127.0.0.1:$(free_port)
run=

fail() {
    echo "FAILED: $*" >&2
    tail -n 20 "$work"/out* "$work"/var/log/*.log >&2 2>/dev/null || true
    exit 1
}

cleanup() {
    local pidfile
    [ -z "$run" ] || kill -TERM "$run" 2>/dev/null || true
    [ -z "$run" ] || wait "$run" 2>/dev/null || true
    for pidfile in "$work"/var/run/*.pid "$work"/own/run/*.pid; do
        [ "$(basename "$pidfile")" = run.pid ] || process_stop "$pidfile" KILL 1
    done
    rm -rf "$work"
}
trap cleanup EXIT

# until COMMAND succeeds, for at most 20 s
eventually() {
    local tries=400
    until "$@" >/dev/null 2>&1; do
        [ $((tries--)) -gt 0 ] || fail "never: $*"
        sleep 0.05
    done
}

start() {
    rm -f "$work/out"
    "$root/scripts/run.sh" --no-setup >"$work/out" 2>&1 &
    run=$!
    eventually grep -q 'Reelmesh is ready' "$work/out"
}

stop() {
    kill -TERM "$run"
    wait "$run" || true
    run=
    [ -z "$(ls "$work"/var/run/*.pid 2>/dev/null)" ] || fail "pid files are left after the stop"
}

pid_of() {
    process_pid "$work/var/run/$1.pid"
}

it_starts_and_stops() {
    start
    grep -q "curl -s http://127.0.0.1:$REEL_GATEWAY_PORT/api/auth/register" "$work/out" ||
        fail "the next commands are not printed"
    local pids
    pids="$(pid_of gateway) $(pid_of user) $(pid_of video) $(pid_of job) $(pid_of postgres) $(pid_of redis)"
    stop
    for pid in $pids; do
        [ -z "$(process_start_time "$pid")" ] || fail "process $pid survived the stop"
    done
}

each_service_gets_its_own_settings() {
    start
    grep -q '^reel_user$' "$work/var/log/user.log" || fail "svc-user has not its own role"
    grep -q '^reel_job$' "$work/var/log/job.log" || fail "svc-job has not its own role"
    ! grep -q REEL_KEY_USER "$work/var/log/video.log" || fail "svc-video got a key it does not know"
    ! grep -q DATABASE_URL "$work/var/log/gateway.log" || fail "the gateway got a database"
    [ "$(stat -c %a "$work/var/secrets.env")" = 600 ] || fail "secrets.env is for everybody"
    stop
}

# As `make run | tee log` is at Ctrl-C, which ends tee as well.
it_stops_when_nobody_reads_any_more() {
    local reader
    rm -f "$work/out"
    mkfifo "$work/pipe"
    cat "$work/pipe" >"$work/out" &
    reader=$!
    "$root/scripts/run.sh" --no-setup >"$work/pipe" 2>&1 &
    run=$!
    eventually grep -q 'Reelmesh is ready' "$work/out"
    kill "$reader"
    wait "$reader" || true
    stop
}

a_second_run_is_refused() {
    start
    ! "$root/scripts/run.sh" --no-setup >"$work/out2" 2>&1 || fail "two runs at once"
    grep -q 'already running' "$work/out2" || fail "no reason given"
    pid_of gateway >/dev/null || fail "the second run ended the first one's gateway"
    stop
}

a_service_that_dies_is_started_again() {
    start
    local old
    for name in video redis postgres; do
        old=$(pid_of $name)
        kill -9 "$old"
        eventually eval "[ \"\$(pid_of $name)\" != '$old' ] && pid_of $name"
        grep -q "\"service\":\"$name\"" "$work/var/log/run.log" || fail "no line in the log"
    done
    stop
}

it_starts_after_a_kill_of_everything() {
    start
    local pids="$run"
    for name in gateway user video job redis; do pids="$pids $(pid_of $name)"; done
    pids="$pids $(pgrep -P "$(pid_of postgres)" | tr '\n' ' ') $(pid_of postgres)"
    kill -9 $pids 2>/dev/null || true
    wait "$run" 2>/dev/null || true
    start
    stop
}

it_starts_after_a_kill_of_the_script_alone() {
    start
    local gateway
    gateway=$(pid_of gateway)
    kill -9 "$run"
    wait "$run" 2>/dev/null || true
    start
    [ -z "$(process_start_time "$gateway")" ] || fail "the old gateway still runs"
    [ "$(pgrep -fc "tail .*$work/var/log")" = 1 ] || fail "the old run still follows the logs"
    stop
}

a_taken_port_is_named() {
    node -e "require('net').createServer().listen(${REEL_VIDEO_LISTEN##*:}, '127.0.0.1')" &
    local holder=$!
    eventually bash -c "exec 3<>/dev/tcp/127.0.0.1/${REEL_VIDEO_LISTEN##*:}"
    if "$root/scripts/run.sh" --no-setup >"$work/out2" 2>&1; then
        kill $holder
        fail "started on a taken port"
    fi
    kill $holder
    wait $holder 2>/dev/null || true
    grep -q "port ${REEL_VIDEO_LISTEN##*:} is taken .*REEL_VIDEO_LISTEN" "$work/out2" ||
        fail "port and setting are not named"
    ! pid_of postgres >/dev/null || fail "PostgreSQL was started"
}

# Programs that a script may start with a secret: each writes down its command line.
spy_on_command_lines() {
    local name
    mkdir -p "$work/spy"
    for name in psql redis-cli env setsid; do
        printf '#!/bin/bash\nprintf "%%s\\n" "$0 $*" >>"%s"\nexec %s "$@"\n' \
            "$work/spy/lines" "$(command -v $name)" >"$work/spy/$name"
        chmod +x "$work/spy/$name"
    done
}

servers_with_passwords_are_used_and_no_password_is_shown() {
    local redis_port path=$PATH secret
    redis_port=$(free_port)
    (SERVICES_FAST=1 && services_start_pg "$work/own" s3/cret &&
        echo "$SERVICES_PG_PLACE&user=reel_admin&password=s3%2Fcret" >"$work/own/url")
    printf '%s\n' "port $redis_port" "bind 127.0.0.1" "requirepass r3dis" 'save ""' >"$work/own/redis.conf"
    process_spawn "$work/own/run/redis.pid" "$work/own/log/redis.log" \
        redis-server "$work/own/redis.conf" --dir "$work/own"
    spy_on_command_lines
    PATH=$work/spy:$PATH
    export DATABASE_URL REDIS_URL=redis://:wrong@127.0.0.1:$redis_port
    DATABASE_URL=$(cat "$work/own/url")
    eventually bash -c "exec 3<>/dev/tcp/127.0.0.1/$redis_port"
    ! "$root/scripts/run.sh" --no-setup >"$work/out2" 2>&1 || fail "started with a wrong password"
    grep -q 'the Redis that REDIS_URL names does not answer' "$work/out2" || fail "no reason given"

    REDIS_URL=redis://:r3dis@127.0.0.1:$redis_port
    start
    grep -q '^reel_video$' "$work/var/log/video.log" || fail "svc-video has not its own role"
    grep -q "^REDIS_URL=$REDIS_URL$" "$work/var/log/job.log" || fail "svc-job has another Redis"
    stop
    PATH=$path
    unset DATABASE_URL REDIS_URL
    grep -q psql "$work/spy/lines" || fail "nothing was seen"
    for secret in s3/cret s3%2Fcret r3dis $(sed 's/^[^=]*=//' "$work/var/secrets.env"); do
        ! grep -F -- "$secret" "$work/spy/lines" >&2 || fail "a command line shows a secret"
    done
    process_pid "$work/own/run/postgres.pid" >/dev/null || fail "the given PostgreSQL was stopped"
    process_stop "$work/own/run/redis.pid"
    services_stop_pg "$work/own"
}

for test in it_starts_and_stops it_stops_when_nobody_reads_any_more \
    each_service_gets_its_own_settings a_second_run_is_refused \
    a_service_that_dies_is_started_again it_starts_after_a_kill_of_everything \
    it_starts_after_a_kill_of_the_script_alone a_taken_port_is_named \
    servers_with_passwords_are_used_and_no_password_is_shown; do
    $test
    echo "ok $test"
done
