#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes deploy/.env with random keys and passwords for compose.yaml. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")"

(umask 077 && touch .env)
for name in REEL_KEY_GATEWAY REEL_KEY_USER REEL_KEY_VIDEO REEL_KEY_TOOL \
    REEL_PG_PASSWORD_ADMIN REEL_PG_PASSWORD_USER REEL_PG_PASSWORD_VIDEO REEL_PG_PASSWORD_JOB; do
    grep -q "^$name=" .env ||
        echo "$name=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')" >>.env
done
echo "deploy/.env is ready; keep it secret and keep it"
