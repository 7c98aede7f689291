#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Include lines spell the layer: who may use what (ARCHITECTURE.md), and whose headers stay inside.
. "$(dirname "$0")/files.sh"

foreign='nng/|libpq-fe\.h|hiredis|jwt\.h|microhttpd\.h|lib(av|sw)|jansson\.h|argon2\.h|seccomp\.h|mbedtls/'

# forbid WHO WHAT WHY: no file of WHO (a regex of paths) includes WHAT (a regex of targets).
forbid() {
    grep -E "$1" <<<"$includes" | grep -E ":[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" |
        sed "s|\$|    <- $3|" || true
}

includes=$(product_sources | xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include' || true)
{
    forbid '^libcommon/' '(gateway|svc-[a-z]+)/' 'libcommon knows no service'
    forbid '^libcommon/core/' 'libcommon/(auth|json|obs|pg|redis|storage|svc)/' 'core uses core only'
    forbid '^libcommon/core/' 'libcommon/rpc/[^m]' 'core uses core only'
    forbid '^gateway/' 'svc-[a-z]+/' 'the gateway knows services through proto/ only'
    forbid '^tools/' '(gateway|svc-[a-z]+)/' 'tools know services through proto/ only'
    for service in user video job; do
        forbid "^svc-$service/" 'gateway/' 'no service knows the gateway'
        for other in user video job; do
            [ $service = $other ] ||
                forbid "^svc-$service/" "svc-$other/" 'services meet through proto/ only'
        done
    done
    grep -v '^svc-job/media/' <<<"$includes" | grep -E '[<"]lib(av|sw)[a-z]+/' |
        sed 's|$|    <- only svc-job/media uses FFmpeg|' || true
    forbid '^(libcommon|gateway|svc-user|svc-video|tools)/[^:]*\.h:' "$foreign" \
        "a foreign header in a header of ours"
    forbid '^svc-job/[^:]*\.h:' "${foreign/|lib(av|sw)/}" "a foreign header in a header of ours"
    grep -E 'include[[:space:]]*"(\.|[^"/]*")' <<<"$includes" |
        sed 's|$|    <- spell the path from the root|' || true
} | none_expected
