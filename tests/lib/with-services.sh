#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command with a private PostgreSQL and a private Redis, and returns its status.
# Usage: tests/lib/with-services.sh <command...>
#
# Exports DATABASE_URL (an administrator; the roles reel_user, reel_video and reel_job exist and log
# in without a password), REEL_TEST_PG_DIR (the socket directory) and REDIS_URL. Inside another
# with-services.sh it runs the command as it is.
set -euo pipefail
if [ -n "${REEL_TEST_PG_DIR:-}" ]; then
    exec "$@"
fi
. "$(dirname "$0")/../../scripts/lib/services.sh"

export SERVICES_FAST=1
dir=$(mktemp -d "${TMPDIR:-/tmp}/reeltest.XXXXXX")
# The servers' own users must be able to enter.
chmod 711 "$dir"

finish() {
    services_stop_redis "$dir"
    services_stop_pg "$dir"
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

services_start_pg "$dir"
export REEL_TEST_PG_DIR=$SERVICES_SOCKETS
services_create_roles "$SERVICES_PG_URL"
services_start_redis "$dir"
export DATABASE_URL=$SERVICES_PG_URL REDIS_URL=$SERVICES_REDIS_URL

status=0
"$@" || status=$?
exit $status
