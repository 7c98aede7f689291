#!/usr/bin/env bash
# The gateway beside Express: requests per second of GET /api/auth/user. Needs wrk and npm.
# Usage: tests/bench/http/run.sh [--rounds N] [--seconds N] [--connections N] [--json FILE]
set -euo pipefail
cd "$(dirname "$0")/../../.."
[ -d tests/bench/http/peer/node_modules ] || (cd tests/bench/http/peer && npm ci --no-audit --no-fund --silent)
exec node tests/bench/http/bench.mjs "$@"
