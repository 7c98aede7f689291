#!/usr/bin/env bash
# The RPC core beside gRPC C++. Needs libgrpc++-dev and protobuf-compiler-grpc.
# Usage: tests/bench/rpc/run.sh [--rounds N] [--ms N] [--json FILE]
set -euo pipefail
cd "$(dirname "$0")/../../.."
build=build/bench
[ -f "$build/build.ninja" ] || cmake --preset bench >/dev/null
cmake --build "$build" --target reel_bench grpc_bench >/dev/null
exec node tests/bench/rpc/run.mjs --build "$build" "$@"
