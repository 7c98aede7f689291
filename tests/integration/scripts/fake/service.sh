#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stands in for a service under scripts/run.sh: knows --help and --migrate, writes down the
# environment it was given, listens where its settings say, ends on SIGTERM.
set -eu
name=$(basename "$0")
case $name in
reel-gateway) known="REEL_GATEWAY_PORT REEL_KEY_GATEWAY REEL_USER_URL REDIS_URL" ;;
reel-user) known="REEL_USER_LISTEN REEL_KEY_USER REEL_KEY_GATEWAY DATABASE_URL REEL_KEYS_DIR" ;;
reel-video) known="REEL_VIDEO_LISTEN REEL_KEY_VIDEO DATABASE_URL REEL_STORAGE_DIR" ;;
reel-job) known="REEL_JOB_LISTEN REEL_EVENTS_LISTEN REEL_KEY_TOOL DATABASE_URL REDIS_URL" ;;
esac
here=$(dirname "$(readlink -f "$0")")
case ${1:-} in
--help) printf '  %s\n' $known; exit 0 ;;
--migrate)
    psql "$DATABASE_URL" -XAqc "create table if not exists ${name#reel-}_migrated(at int)"
    exit 0 ;;
esac
env | sort
if [ "$name" = reel-gateway ]; then
    exec node "$here/gateway.js"
fi
psql "$DATABASE_URL" -XAtc 'select current_user'
exec sleep 1000
