#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clips.sh DIR: makes the test clips in DIR, once; a second call finds them done.
# Clips in odd forms, hostile files, and files that only look like a video.
set -eu

stamp=.done-$(cksum <"$0" | cut -d' ' -f1)
mkdir -p "$1"
cd "$1"
exec 9>.lock
flock 9
[ -e "$stamp" ] && exit 0

ff() {
    ffmpeg -v error -nostdin -y "$@"
}

# video FRAMES_A_SECOND SIZE SECONDS: moving, no two frames alike
video() {
    echo "-f lavfi -i testsrc2=r=$1:s=$2:d=$3"
}
sound() {
    echo "-f lavfi -i sine=f=440:d=$1"
}
x264="-c:v libx264 -preset ultrafast -pix_fmt yuv420p"

# be32 NUMBER...: big-endian words
be32() {
    for n in "$@"; do
        printf "\\$(printf %03o $((n >> 24 & 255)))\\$(printf %03o $((n >> 16 & 255)))"
        printf "\\$(printf %03o $((n >> 8 & 255)))\\$(printf %03o $((n & 255)))"
    done
}
# poke FILE OFFSET: writes stdin over the file
poke() {
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# offset_of FILE TEXT: of its first occurrence
offset_of() {
    LC_ALL=C grep -abo "$2" "$1" | head -n 1 | cut -d: -f1
}

# Sound forms. (word splitting of the helpers' answers is meant)
# shellcheck disable=SC2046,SC2086
{
    ff $(video 30 640x360 3) $(sound 3) $x264 -c:a aac -movflags +faststart plain.mp4
    ff -i plain.mp4 -c copy -bf 0 plain.mov
    ff -i plain.mp4 -c:v mpeg4 -q:v 4 -c:a libmp3lame plain.avi
    ff -i plain.mp4 -c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M -c:a libopus plain.webm
    ff -i plain.mp4 -c copy plain.mkv
    ff -i plain.mp4 -c copy plain.flv
    ff $(video 25 640x360 3) $(sound 3) -c:v libx264 -preset medium -bf 3 -pix_fmt yuv420p \
        -c:a aac bframes.mp4
    ff $(video 30 320x240 2) $x264 noaudio.mp4
    ff $(video 30 640x360 10) $(sound 10) $x264 -g 60 -c:a aac ten.mp4
    ff -f lavfi -i testsrc=r=25:s=641x361:d=1 -pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime \
        -cpu-used 8 odd.webm
    ff $(video 30 320x240 0.1) $(sound 0.1) $x264 -c:a aac tenth.mp4
    ff -f lavfi -i color=black:s=320x240:r=30:d=2 -f lavfi -i testsrc2=s=320x240:r=30:d=4 \
        -filter_complex '[0][1]concat' $x264 -g 15 darkstart.mp4
    ff -f lavfi -i color=black:s=320x240:r=30:d=1 $x264 dark.mp4
    ff $(video 30 320x240 4) -vf "select='not(mod(n\,3))+lt(n\,40)'" -fps_mode vfr $x264 vfr.mp4
    ff $(sound 3) -c:a libmp3lame tone.mp3
    ff $(sound 3) -c:a aac tone.m4a
    ff $(sound 3) -c:a libopus -vn tone.ogg
    ff $(video 25 320x240 2) $(sound 2) -c:v libvpx -deadline realtime -cpu-used 8 \
        -c:a libopus opus.webm
    ff $(video 25 320x240 2) $(sound 2) $x264 -c:a ac3 -ac 6 surround.mp4
    ff $(video 25 720x576 2) $(sound 2) -vf setsar=64/45 -c:v mpeg2video -q:v 4 -c:a mp2 \
        anamorphic.mpg
    ff $(video 25 320x240 2) $(sound 2) $x264 -c:a aac -f mpegts stream.ts
    ff $(video 25 320x240 3) $(sound 3) $x264 -c:a aac -movflags frag_keyframe+empty_moov \
        -g 25 fragmented.mp4
    ff $(video 25 320x240 3) $(sound 3) $x264 -c:a aac -f matroska -live 1 live.mkv
    ff $(video 25 320x240 2) -itsoffset 0.7 $(sound 2) $x264 -c:a aac late-audio.mp4
    ff -itsoffset 0.7 $(video 25 320x240 2) $(sound 3) -map 1:a -map 0:v -fps_mode passthrough $x264 -c:a aac \
        audio-first.mp4
    ff $(video 25 320x240 2) -c:v libx264 -preset ultrafast -pix_fmt yuv444p high444.mp4
    ff $(video 25 320x240 1) -c:v libx265 -preset ultrafast -x265-params log-level=none \
        -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc \
        hdr.mp4
    ff -f lavfi -i testsrc2=s=64x64:d=1:r=1 -frames:v 1 cover.png
    ff -i tone.mp3 -i cover.png -map 0 -map 1 -c copy -disposition:v attached_pic cover.mp3
    ff -i plain.mp4 -c copy -metadata location=+47.3769+008.5417/ located.mp4
    ff $(video 30 1280x720 60) $(sound 60) $x264 -g 250 -c:a aac minute.mp4
}

# The display matrix of a phone held upright: a quarter turn clockwise, and a half turn.
cp noaudio.mp4 turned90.mp4
be32 0 65536 0 4294901760 0 0 15728640 0 1073741824 |
    poke turned90.mp4 $(($(offset_of turned90.mp4 tkhd) + 44))
cp noaudio.mp4 turned180.mp4
be32 4294901760 0 0 0 4294901760 0 20971520 15728640 1073741824 |
    poke turned180.mp4 $(($(offset_of turned180.mp4 tkhd) + 44))

# Damage.
head -c $(($(stat -c %s plain.mp4) / 2)) plain.mp4 >truncated.mp4
head -c $(($(stat -c %s plain.mkv) / 2)) plain.mkv >truncated.mkv
head -c $(($(stat -c %s bframes.mp4) / 2)) bframes.mp4 >headless.mp4
cp ten.mp4 flipped.mp4
size=$(stat -c %s flipped.mp4)
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    printf '\125\252\125\252' | poke flipped.mp4 $((size / 20 * i + 4000))
done

# Not a video.
: >empty.mp4
printf 'hello, this is a text of some length that is no video at all\n' >text.mp4
head -c 100000 /dev/urandom >noise.mp4
printf '#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://%s/stream.ts\n#EXT-X-ENDLIST\n' \
    "$PWD" >playlist-file.mp4
printf '#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:PORT/x.ts\n#EXT-X-ENDLIST\n' \
    >playlist-http.mp4
printf 'ffconcat version 1.0\nfile plain.mp4\n' >concat.mp4
printf 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45678 RTP/AVP 96\n' \
    >session.mp4
printf 'a=rtpmap:96 H264/90000\n' >>session.mp4
printf '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>' \
    >dash.mp4
printf '<AdaptationSet><Representation id="1" bandwidth="1"><BaseURL>plain.mp4</BaseURL>' >>dash.mp4
printf '</Representation></AdaptationSet></Period></MPD>\n' >>dash.mp4

# Bombs: a picture whose header claims 30000x30000, and a file of 600 tracks.
ff -i cover.png -c copy -f mov png.mov
cp png.mov hugepng.mov
be32 30000 30000 | poke hugepng.mov $(($(offset_of hugepng.mov IHDR) + 4))
ff -f lavfi -i testsrc2=s=64x64:d=1:r=5 -c:v mjpeg -q:v 8 -f mov small.mov
cp small.mov huge.mov
# The sample description's own width and height are 16 bits each, 32 bytes after its type.
be32 4294967295 | poke huge.mov $(($(offset_of huge.mov 'jpeg') + 28))
tracks=
for i in $(seq 600); do
    tracks="$tracks -map 0"
done
# shellcheck disable=SC2086
ff -i noaudio.mp4 $tracks -c copy -t 0.1 tracks600.mkv

rm -f .done-*
: >"$stamp"
