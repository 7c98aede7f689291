#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole story on a real clip: an account, an upload, three operations with live progress, the
# results checked. Needs a running stack (make run).
# Usage: scripts/demo.sh [video file]   without a file it makes a clip of 10 s
set -euo pipefail
cd "$(dirname "$0")/.."

api=${REEL_API:-http://127.0.0.1:${REEL_GATEWAY_PORT:-3000}}
out=${REEL_RUN_DIR:-var}/demo
name=demo$(date +%s)$$
mkdir -p "$out"

die() {
    echo "demo: $*" >&2
    exit 1
}

# call VERB PATH [curl arguments...]: prints the answer's body; a failure ends the demo with it.
call() {
    local verb=$1 path=$2 answer status
    shift 2
    answer=$(curl -sS -X "$verb" "$api$path" ${token:+-H "Authorization: Bearer $token"} \
        -w '\n%{http_code}' "$@") || die "$api does not answer; is make run up?"
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    [ "$status" -lt 300 ] || die "$verb $path answered $status: $answer"
    printf '%s' "$answer"
}

post() {
    call POST "$1" -H 'Content-Type: application/json' -d "$2"
}

field() {
    jq -er "$1"
}

# facts FILE: what ffprobe sees, as JSON.
facts() {
    ffprobe -v error -of json -show_entries \
        format=duration,size,format_name:stream=codec_type,codec_name,width,height "$1"
}

describe() {
    facts "$1" | jq -r '
        (.streams | map(if .codec_type == "video" then "\(.width)x\(.height) \(.codec_name)"
                        else .codec_name end) | join(" + ")) as $streams
        | (.format.duration // "0" | tonumber * 10 | round / 10) as $seconds
        | (.format.size | tonumber / 1024 | round) as $kib
        | "\($streams), \($seconds) s, \($kib) KiB"'
}

expect() {
    local file=$1 query=$2 want=$3 got
    got=$(facts "$file" | jq -r "$query")
    [ "$got" = "$want" ] || die "$file: expected $want, found $got"
}

# bar LABEL PERCENT STATE: on a terminal one line, drawn again and again; else a line for each tenth
# and each state.
drawn=
bar() {
    local done=$(($2 * 30 / 100)) line
    line=$(printf '%*s' "$done" '' | tr ' ' '#')
    line=$(printf '  %-14s [%-30s] %3d %%  %-10s' "$1" "$line" "$2" "$3")
    if [ -t 1 ]; then
        printf '\r%s' "$line"
    elif [ "$drawn" != "$1 $(($2 / 10)) $3" ]; then
        printf '%s\n' "${line%"${line##*[! ]}"}"
    fi
    drawn="$1 $(($2 / 10)) $3"
}

# end_bar: leaves the line that is drawn again.
end_bar() {
    [ ! -t 1 ] || echo
}

# follow LABEL JOB: the job's progress until it has ended.
follow() {
    local job state percent
    while :; do
        job=$(call GET "/api/jobs/status/$2")
        state=$(field .state <<<"$job")
        percent=$(field '.progress // 0 | floor' <<<"$job")
        bar "$1" "$percent" "$state"
        case $state in
        completed) end_bar; return ;;
        failed|cancelled) end_bar; die "$1: $(jq -r '.failedReason // "cancelled"' <<<"$job")" ;;
        esac
        sleep 0.2
    done
}

# fetch OPERATION FILE: downloads a result.
fetch() {
    curl -sSf -o "$out/$2" -H "Authorization: Bearer $token" \
        "$api/api/videos/asset?videoId=$video&operationId=$1" || die "the download of $2 failed"
}

token=
clip=${1:-$out/clip.mp4}
if [ -z "${1:-}" ]; then
    echo "1. A clip: 10 s of test picture and a tone"
    ffmpeg -v error -y -f lavfi -i testsrc2=size=854x480:rate=30:duration=10 \
        -f lavfi -i sine=frequency=440:duration=10 -c:v libx264 -preset veryfast -pix_fmt yuv420p \
        -c:a aac -shortest "$clip"
fi
[ -r "$clip" ] || die "$clip cannot be read"
echo "  $clip: $(describe "$clip")"

echo "2. An account: $name"
post /api/auth/register \
    "{\"username\":\"$name\",\"email\":\"$name@example.com\",\"password\":\"correct horse\"}" >/dev/null
token=$(post /api/auth/login "{\"username\":\"$name\",\"password\":\"correct horse\"}" |
    field .accessToken)

echo "3. Upload"
uploaded=$(call POST /api/videos/upload -H "filename: $(basename "$clip")" \
    -H 'Content-Type: video/mp4' -H 'Expect:' -T "$clip")
video=$(field .videoId <<<"$uploaded")
jq -r '"  video \(.videoId): \(.dimensions.width)x\(.dimensions.height), \(.durationMs) ms"' \
    <<<"$uploaded"

echo "4. Three operations, five workers"
resize=$(post /api/videos/resize "{\"videoId\":\"$video\",\"width\":426,\"height\":240}")
convert=$(post /api/videos/convert "{\"videoId\":\"$video\",\"targetFormat\":\"webm\"}")
audio=$(post /api/videos/extract-audio "{\"videoId\":\"$video\"}")
follow "extract audio" "$(field .jobId <<<"$audio")"
follow "resize" "$(field .jobId <<<"$resize")"
follow "convert" "$(field .jobId <<<"$convert")"

echo "5. The results, checked by ffprobe"
fetch "$(field .operationId <<<"$resize")" resized.mp4
fetch "$(field .operationId <<<"$convert")" converted.webm
fetch "$(field .operationId <<<"$audio")" audio.m4a
curl -sSf -o "$out/thumbnail.jpg" -H "Authorization: Bearer $token" \
    "$api/api/videos/asset?videoId=$video&type=thumbnail" || die "the thumbnail is missing"
expect "$out/resized.mp4" '.streams[] | select(.codec_type == "video") | "\(.width)x\(.height)"' 426x240
expect "$out/converted.webm" '.format.format_name | contains("webm")' true
expect "$out/audio.m4a" '[.streams[].codec_type] | join(",")' audio
for file in resized.mp4 converted.webm audio.m4a thumbnail.jpg; do
    printf '  %-16s %s\n' "$file" "$(describe "$out/$file")"
done
echo
echo "Open them from $(cd "$out" && pwd)"
echo "All of it again: curl -s -H 'Authorization: Bearer $token' $api/api/videos/$video | jq"
