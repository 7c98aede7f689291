#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the Node client against the server given as the argument.
set -euo pipefail
cd "$(dirname "$0")"

[ -d node_modules ] || npm ci --silent --no-audit --no-fund
PROTOCOL_SERVER=$1 exec node --test --test-concurrency=1 client.test.mjs
