/** What Linux tells about processes and files: memory, bytes written, processor time, and reading past the cache. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../test/matrix/harness/node-process.ts";

/** Bytes. A database that is mapped counts as `file`, and the kernel may take it back. */
export interface Memory {
  readonly resident: number;
  readonly anonymous: number;
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? NaN) * 1024;
  return { resident: kib("VmRSS"), anonymous: kib("RssAnon") };
}

/**
 * Bytes that a process dirtied, as the kernel counts them: whole folios. A few bytes put over a file that was laid out
 * in pieces of 1 MiB count as 1 MiB where the file system has large folios, though 4 KiB go to the disk (seen on
 * ext4, Linux 6.18); so what the device wrote is what counts.
 */
export function writtenBytes(pid: number): number {
  const io = readFileSync(`/proc/${pid}/io`, "latin1");
  return Number(/^write_bytes: (\d+)$/m.exec(io)?.[1] ?? NaN);
}

/** Bytes that the device below a directory has written, for whom ever; NaN where there is none, as in a tmpfs. */
export async function deviceBytes(directory: string): Promise<number> {
  const { dev } = statSync(directory);
  const [major, minor] = [dev >> 8 & 0xfff, dev & 0xff | dev >> 12 & 0xfff00];
  const { status, stderr } = await run(["sync", "-f", directory], { timeoutMs: 60_000 });
  if (status !== 0) throw new Error(`sync -f ${directory}: ${stderr}`);
  for (const line of readFileSync("/proc/diskstats", "latin1").split("\n")) {
    const fields = line.trim().split(/\s+/).map(Number);
    if (fields[0] === major && fields[1] === minor) return (fields[9] ?? NaN) * SECTOR_BYTES;
  }
  return NaN;
}

/** Ticks (of 10 ms) of a process, in user and system mode. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

const SECTOR_BYTES = 512;
const LOOK_MS = 1000;
const IDLE_TICKS = 15;
const SETTLE_MS_MAX = 120_000;

/** Waits until the processes have been all but idle for two seconds: no snapshot, no compaction, no collection. */
export async function settled(pids: readonly number[]): Promise<void> {
  const ticks = (): number => pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
  const deadline = performance.now() + SETTLE_MS_MAX;
  let last = ticks();
  for (let idle = 0; idle < 2 && performance.now() < deadline;) {
    await sleep(LOOK_MS);
    const now = ticks();
    idle = now - last <= IDLE_TICKS * pids.length ? idle + 1 : 0;
    last = now;
  }
}

/** All files below a directory, with their sizes. */
export function filesBelow(directory: string): readonly { path: string; bytes: number }[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, bytes: statSync(path).size }));
}

/** Tells the kernel to forget what it keeps of the files; dd is the way to `posix_fadvise` from here. */
export async function dropFromCache(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await dd([`of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]);
    await dd([`if=${path}`, "iflag=nocache", "count=0"]);
  }
}

/** Seconds that reading the files one after the other takes. */
export async function secondsToRead(paths: readonly string[]): Promise<number> {
  const start = performance.now();
  for (const path of paths) await dd([`if=${path}`, "of=/dev/null", "bs=1M"]);
  return (performance.now() - start) / 1000;
}

async function dd(operands: readonly string[]): Promise<void> {
  const { status, stderr } = await run(["dd", ...operands], { timeoutMs: 120_000 });
  if (status !== 0) throw new Error(`dd ${operands.join(" ")}: ${stderr}`);
}
