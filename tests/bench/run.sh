#!/usr/bin/env bash
# Every comparison in one run, each beside its peer on this machine; those of RPC and HTTP also as JSON in build/bench.
# Usage: tests/bench/run.sh   (BENCH_ROUNDS sets the rounds of each, default 7)
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/bench
rounds=${BENCH_ROUNDS:-7}
mkdir -p "$out"

echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -r)"
echo "== RPC: the core beside gRPC C++"
tests/bench/rpc/run.sh --rounds "$rounds" --json "$out/rpc.json"
echo "== HTTP: the gateway beside Express"
tests/bench/http/run.sh --rounds "$rounds" --json "$out/http.json"
echo "== Media: the engine beside the ffmpeg command"
tests/bench/media/run.sh "$rounds"
