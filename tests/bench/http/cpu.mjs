// Processor time of processes, user and system, from /proc.
import fs from 'node:fs';

const TICK_US = 1e4; // USER_HZ is 100 on every Linux

function stat(pid) {
  // The name in brackets may hold anything; what follows the last bracket is plain.
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

// Microseconds that a process and its children have used; those of children that have ended are lost.
export function cpuWithChildren(pid) {
  let ticks = 0;
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const process = stat(name);
      if (Number(name) === pid || process.parent === pid) ticks += process.ticks;
    } catch {
      // It has ended since.
    }
  }
  return ticks * TICK_US;
}

export const cpu = (pids) => pids.reduce((sum, pid) => sum + stat(pid).ticks, 0) * TICK_US;
