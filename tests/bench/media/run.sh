#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The media engine against the ffmpeg command at equal settings, runs interleaved so that both see
# the same machine; prints medians of wall and CPU time, their ratios, and the spread of the paired
# ratios. On a machine that does other work as well only the CPU ratio means much.
#
#   tests/bench/media/run.sh [RUNS]     BUILD=build/dev  THREADS=2  SECONDS_OF_CLIP=12
set -eu

cd "$(dirname "$0")/../../.."
runs=${1:-7}
build=${BUILD:-build/dev}
threads=${THREADS:-2}
bench=$build/bin/media_bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

[ -x "$bench" ] || cmake --build "$build" --target media_bench >&2

# A minute of 720p that moves everywhere, a key frame every 250 pictures.
clip=$work/minute.mp4
ffmpeg -v error -nostdin -y -f lavfi -i testsrc2=s=1280x720:r=30 -f lavfi -i sine=f=440 -t 60 \
    -vf noise=alls=4:allf=t -c:v libx264 -preset ultrafast -g 250 -pix_fmt yuv420p -c:a aac "$clip"
short=$work/short.mp4
ffmpeg -v error -nostdin -y -i "$clip" -t "${SECONDS_OF_CLIP:-12}" -c copy "$short"

command_exec() {
    "$bench" exec ffmpeg -v error -nostdin -y "$@"
}
engine_resize() {
    "$bench" resize "$short" "$work/e.mp4" 640 360 "$threads"
}
command_resize() {
    command_exec -threads "$threads" -i "$short" -map_metadata -1 \
        -vf scale=640:360:flags=bicubic,setsar=1 -c:v libx264 -preset veryfast -crf 21 \
        -threads "$threads" -pix_fmt yuv420p -c:a copy -movflags +faststart "$work/c.mp4"
}
engine_thumbnail() {
    "$bench" thumbnail "$clip" "$work/e.jpg" 40000
}
# As the command is usually called: decode up to the place.
command_thumbnail() {
    command_exec -i "$clip" -ss 40 -frames:v 1 -vf scale=640:-2 "$work/c.jpg"
}
# At its best: seek first, then one picture.
command_seek_thumbnail() {
    command_exec -ss 40 -i "$clip" -frames:v 1 -vf scale=640:-2 "$work/c.jpg"
}

# column N: sorted column of the pairs; column "A/B" likewise for a ratio
column() {
    awk "{print $1}" "$work/pairs" | sort -n
}
median() {
    column "$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
summary() {
    printf '%-32s wall %8.1f / %8.1f ms = %.3f (%.3f to %.3f)   cpu %8.1f / %8.1f ms = %.3f (%.3f to %.3f)\n' \
        "$1" "$(median '$1')" "$(median '$3')" "$(median '$1/$3')" \
        "$(column '$1/$3' | head -n 1)" "$(column '$1/$3' | tail -n 1)" \
        "$(median '$2')" "$(median '$4')" "$(median '$2/$4')" \
        "$(column '$2/$4' | head -n 1)" "$(column '$2/$4' | tail -n 1)"
}

# compare NAME ENGINE COMMAND: one unmeasured round, then pairs in alternating order
compare() {
    "$2" >"$work/out" && "$3" >"$work/out"
    : >"$work/pairs"
    i=0
    while [ "$i" -lt "$runs" ]; do
        if [ $((i % 2)) -eq 0 ]; then
            e=$("$2") && c=$("$3")
        else
            c=$("$3") && e=$("$2")
        fi
        echo "$e $c" >>"$work/pairs"
        i=$((i + 1))
    done
    summary "$1"
}

echo "engine / ffmpeg command, medians of $runs interleaved runs, load $(cut -d' ' -f1 /proc/loadavg)"
compare "resize 720p to 360p, $threads threads" engine_resize command_resize
compare "thumbnail at 40 s, as usual" engine_thumbnail command_thumbnail
compare "thumbnail at 40 s, seeking" engine_thumbnail command_seek_thumbnail

# Equal work: the pictures must be the same, not only the settings.
ffmpeg -nostdin -i "$work/e.mp4" -i "$work/c.mp4" -lavfi '[0:v][1:v]psnr' -f null - 2>&1 |
    grep -o 'average:[^ ]*' | sed 's/^/PSNR of one result against the other: /'
