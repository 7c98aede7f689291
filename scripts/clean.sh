#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Removes the builds (not build/deps) and the data of `make run`. Refuses while a run is up.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/services.sh

if [ -d var/run ]; then
    exec 9>>var/run/lock
    flock -n 9 || services_fail "make run is up (pid $(cat var/run/run.pid)); stop it first"
    for pidfile in var/run/*.pid; do
        [ ! -e "$pidfile" ] || process_stop "$pidfile" TERM 20
    done
fi
# Servers of a clone that their users cannot enter live elsewhere, behind a link.
for home in var/postgres var/redis; do
    [ ! -L "$home" ] || rm -rf "$(readlink "$home")"
done
rm -rf var build/dev build/clang build/asan build/tsan build/fuzz
