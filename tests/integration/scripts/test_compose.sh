#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A program refuses a REEL_ variable that it does not know: those of compose.yaml and of the images
# must be settings of the service that is given them.
# Usage: test_compose.sh BIN_DIR
set -euo pipefail
cd "$(dirname "$0")/../../.."
bin=$1
failed=0

# The variables of one service in compose.yaml.
given() {
    awk -v service="  $1:" '
        /^  [a-z-]+:/ { inside = index($0, service) == 1 }
        inside && match($0, /^      REEL_[A-Z_]+:/) { sub(/:.*/, ""); sub(/^ +/, ""); print }
    ' deploy/compose.yaml
}

# The variables of its image.
in_image() {
    awk -v stage="$1" '
        /^FROM / { inside = $NF == stage }
        inside' deploy/Dockerfile | grep -oE '\bREEL_[A-Z_]+=' | tr -d = || true
}

for service in gateway user video job; do
    settings=$("$bin/reel-$service" --help-markdown)
    names=$(given "$service")
    [ -n "$names" ] || { echo "compose.yaml gives $service nothing: this test reads it wrongly"; exit 1; }
    for name in $names $(in_image "$service"); do
        grep -qF "| $name |" <<<"$settings" && continue
        echo "reel-$service is given $name, which is none of its settings, and would not start"
        failed=1
    done
done
exit $failed
