#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs each service for its image, with the list of Debian packages that its libraries are in.
# Usage: scripts/stage-images.sh <build directory> <stage directory>
# Makes <stage>/<service>/bin/reel-<service> and <stage>/<service>/packages.
set -euo pipefail

build=$1 stage=$2
for service in gateway user video job; do
    DESTDIR=$stage/$service cmake --install "$build" --component "$service" --prefix / --strip
    program=$stage/$service/bin/reel-$service
    [ -x "$program" ] || { echo "error: $program was not installed" >&2; exit 1; }
    # Libraries are asked for by file, so that no package name is tied to a release of Debian.
    ldd "$program" | awk '$2 == "=>" { print $3 }' | while read -r library; do
        # dpkg may know a file by its name before /lib became a link to /usr/lib.
        dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "${library#/usr}" 2>/dev/null ||
            dpkg-query -S "$(readlink -f "$library")"
    done | sed 's/:.*//' | sort -u >"$stage/$service/packages"
    [ -s "$stage/$service/packages" ] || { echo "error: $program needs no library?" >&2; exit 1; }
done
