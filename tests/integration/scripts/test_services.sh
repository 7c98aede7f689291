#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/lib/services.sh: the private servers come back whatever was done to them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
. "$root/scripts/lib/services.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/reelservices.XXXXXX")
chmod 711 "$work"
export SERVICES_FAST=1
finish() {
    services_stop_redis "$dir"
    services_stop_pg "$dir"
    rm -rf "$work" $short_names
}
dir=$work
short_names=
trap finish EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

up() {
    services_start_pg "$dir" secret
    services_start_redis "$dir"
}

pg() {
    psql "$SERVICES_PG_URL" -XAtqc "$1"
}

redis() {
    redis-cli -s "${SERVICES_REDIS_URL#unix://}" "$@"
}

data_survives_a_kill_of_both() {
    local pid
    up
    pg "create table kept(i int); insert into kept values (1)"
    redis set kept 1 >/dev/null
    # appendfsync everysec: the write reaches the kernel at once, which a kill does not undo.
    pid=$(process_pid "$dir/run/postgres.pid")
    kill -9 $(pgrep -P "$pid") "$pid" "$(process_pid "$dir/run/redis.pid")"
    up
    [ "$(pg 'select count(*) from kept')" = 1 ] || fail "PostgreSQL lost a row"
    [ "$(redis get kept)" = 1 ] || fail "Redis lost a key"
}

orphaned_backends_do_not_keep_it_down() {
    kill -9 "$(process_pid "$dir/run/postgres.pid")"
    up
    pg 'select 1' >/dev/null
}

a_pid_file_of_a_stranger_is_removed() {
    services_stop_pg "$dir"
    # Process 1 lives, and is no PostgreSQL.
    echo 1 >"$(readlink -f "$dir/postgres")/data/postmaster.pid"
    up
    pg 'select 1' >/dev/null
}

a_half_made_cluster_is_made_again() {
    services_stop_pg "$dir"
    rm "$(readlink -f "$dir/postgres")/data/reelmesh.ready"
    up
    [ "$(pg "select count(*) from pg_tables where tablename = 'kept'")" = 0 ] || fail "not made again"
}

starting_twice_changes_nothing() {
    local before
    before=$(process_pid "$dir/run/postgres.pid")
    up
    [ "$(process_pid "$dir/run/postgres.pid")" = "$before" ] || fail "PostgreSQL was started twice"
}

roles_need_their_password() {
    printf 'REEL_PG_PASSWORD_%s\n' USER=u1 VIDEO=v1 JOB=j1 >"$work/secrets"
    services_create_roles "$SERVICES_PG_URL" "$work/secrets"
    services_create_roles "$SERVICES_PG_URL" "$work/secrets"
    [ "$(psql "$SERVICES_PG_PLACE&user=reel_video&password=v1" -XAtqc 'select current_user')" = reel_video ] ||
        fail "the right password is refused"
    ! psql "$SERVICES_PG_PLACE&user=reel_video&password=u1" -XAtqc 'select 1' 2>/dev/null ||
        fail "a wrong password is accepted"
}

redis_refuses_to_evict() {
    [ "$(redis config get maxmemory-policy | tail -1)" = noeviction ] || fail "policy"
    [ "$(redis config get appendonly | tail -1)" = yes ] || fail "appendonly"
    [ "$(redis config get save | tail -1)" = "" ] || fail "save"
}

a_directory_with_a_long_name_works() {
    services_stop_redis "$dir"
    services_stop_pg "$dir"
    dir=$work/$(printf 'long%.0s' {1..25})
    up
    pg 'select 1' >/dev/null
    redis ping >/dev/null
    short_names="${SERVICES_PG_PLACE##*=} $(dirname "${SERVICES_REDIS_URL#unix://}")"
}

for test in data_survives_a_kill_of_both orphaned_backends_do_not_keep_it_down \
    a_pid_file_of_a_stranger_is_removed a_half_made_cluster_is_made_again \
    starting_twice_changes_nothing roles_need_their_password redis_refuses_to_evict \
    a_directory_with_a_long_name_works; do
    $test
    echo "ok $test"
done
