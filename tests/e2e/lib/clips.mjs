// Real clips in odd forms, made by ffmpeg in a directory of the test's, and looks into what came back.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const picture = (size, seconds, rate = 25) => ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}:duration=${seconds}`];
const sound = (seconds) => ['-f', 'lavfi', '-i', `sine=frequency=440:duration=${seconds}`];
const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];

// name -> ffmpeg arguments after the input options
const recipes = {
  'plain.mp4': [...picture('640x360', 2), ...sound(2), ...h264, '-c:a', 'aac', '-shortest'],
  'silent.mp4': [...picture('640x360', 1), ...h264],
  'short.mp4': [...picture('320x240', 0.1), ...h264],
  'odd.mkv': ['-f', 'lavfi', '-i', 'testsrc=size=641x359:rate=25:duration=1', ...sound(1), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv444p', '-c:a', 'libmp3lame'],
  'vfr.mp4': [...picture('320x240', 2, 30), '-vf', "select='not(mod(n\\,3))+gt(n\\,40)'", '-vsync', 'vfr', ...h264],
  'clip.webm': [...picture('320x240', 1), ...sound(1), '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'libopus'],
  'clip.avi': [...picture('320x240', 1), ...sound(1), '-c:v', 'mpeg4', '-c:a', 'libmp3lame'],
  'medium.mp4': [...picture('1280x720', 6), ...sound(6), ...h264, '-c:a', 'aac', '-shortest'],
  'long.mp4': [...picture('1280x720', 40), ...sound(40), ...h264, '-c:a', 'aac', '-shortest'],
  'tone.mp3': [...sound(1), '-c:a', 'libmp3lame'],
};

async function ffmpeg(...args) {
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args]);
}

// Makes the clip once and answers its path. 'rotated.mp4' is stored 640x360 and shown 360x640;
// 'truncated.mp4' lacks its second half; the rest are not videos at all.
export async function clip(dir, name) {
  const file = path.join(dir, name);
  if (fs.existsSync(file)) return file;
  if (recipes[name]) {
    await ffmpeg(...recipes[name], file);
  } else if (name === 'rotated.mp4') {
    await ffmpeg('-display_rotation', '90', '-i', await clip(dir, 'plain.mp4'), '-c', 'copy', file).catch(() =>
      run('ffmpeg', ['-v', 'error', '-y', '-i', path.join(dir, 'plain.mp4'), '-c', 'copy', '-metadata:s:v:0', 'rotate=90', file]));
  } else if (name === 'truncated.mp4') {
    const whole = path.join(dir, 'whole.mp4');
    await ffmpeg(...recipes['plain.mp4'], '-movflags', '+faststart', whole);
    fs.writeFileSync(file, fs.readFileSync(whole).subarray(0, Math.floor(fs.statSync(whole).size * 0.6)));
  } else {
    fs.writeFileSync(file, nonsense[name]);
  }
  return file;
}

const nonsense = {
  'text.mp4': 'this is a letter and no video\n'.repeat(1000),
  'zip.mp4': Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(4096, 7)]),
  'playlist.mp4': '#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n',
  'concat.mp4': "ffconcat version 1.0\nfile '/etc/passwd'\n",
  'empty.mp4': '',
};

// What ffprobe says of a file or of bytes: { format, duration, video, audio }.
export async function probe(file) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_format', '-show_streams', '-of', 'json', file]);
  const { format, streams } = JSON.parse(stdout);
  const of = (type) => streams.find((stream) => stream.codec_type === type);
  return { format: format.format_name, duration: Number(format.duration), video: of('video'), audio: of('audio') };
}

// Decodes every frame; answers how many there are, fails on the first error.
export async function decode(file, stream = 'v') {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-xerror', '-nostdin', '-i', file, '-map', `0:${stream}`, '-f', 'framecrc', '-'], { maxBuffer: 64 << 20 });
  return stdout.split('\n').filter((line) => line && !line.startsWith('#')).length;
}
