#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds libmicrohttpd 1.0 into build/deps where the system has none (Debian 12): from Debian 13's
# signed source package, which apt verifies. The system's own apt sources are not touched.
# Usage: scripts/build-deps.sh   (idempotent; prints what it does)
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$PWD/build/deps
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
if pkg-config --atleast-version=1.0 libmicrohttpd 2>/dev/null; then
    echo "libmicrohttpd $(pkg-config --modversion libmicrohttpd): present"
    exit 0
fi

work=$PWD/build/deps-src
rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$prefix"

# The mirror that this machine already uses for its Debian release.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' |
    awk '$2 ~ /^(bookworm|stable|oldstable)$/ {print $1; exit}')
[ -n "$mirror" ] || { echo "no Debian mirror in this machine's apt sources" >&2; exit 1; }

cat >"$work/apt/sources.list" <<EOF
deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main
EOF
apt_options=(
    -o "Dir::Etc::SourceList=$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache"
    -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0 -q
)
echo "libmicrohttpd: fetching Debian 13's source package"
apt-get "${apt_options[@]}" update >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
(cd "$work" && apt-get "${apt_options[@]}" source libmicrohttpd >>"$work/log" 2>&1) ||
    { tail -20 "$work/log" >&2; exit 1; }

echo "libmicrohttpd: building into build/deps"
cd "$work"/libmicrohttpd-*/
./configure --prefix="$prefix" --disable-https --disable-doc --disable-examples --disable-tools \
    --disable-curl --disable-shared --enable-static --with-pic --disable-postprocessor \
    --disable-dauth --disable-bauth >>"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
make -j"$(nproc)" -C src/microhttpd >>"$work/log" 2>&1 &&
    make -C src/microhttpd install >>"$work/log" 2>&1 &&
    make -C src/include install >>"$work/log" 2>&1 &&
    make install-pkgconfigDATA >>"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
cd ../../..
rm -rf "$work"
echo "libmicrohttpd $(pkg-config --modversion libmicrohttpd): built"
