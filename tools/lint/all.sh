#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every gate, and the test of the gates themselves; one line each. Fails if one does.
cd "$(dirname "$0")" || exit 1

status=0
for gate in format sizes layers headers banned names pairing map readmes selftest; do
    if output=$("./$gate.sh" 2>&1); then
        echo "ok $gate"
    else
        echo "FAILED $gate"
        sed 's/^/      /' <<<"$output"
        status=1
    fi
done
exit $status
