/**
 * The store alone, with many keys: memory, a snapshot under load, a restart. `bun bench/store.ts`, `deno run -A`,
 * `node`; `--keys`, `--value-bytes`, `--puts` (a second, while the snapshot is taken). One JSON object is printed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openFileSnapshots } from "../src/adapters/file-snapshots.ts";
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import { createSystemClock } from "../src/adapters/system-clock.ts";
import { encodeCommand } from "../src/kv/command-codec.ts";
import { KvMachine } from "../src/kv/machine.ts";
import { inSlices } from "../src/replica/snapshot-transfer.ts";

const { values: given } = parseArgs({
  options: {
    keys: { type: "string", default: "1000000" },
    "value-bytes": { type: "string", default: "256" },
    puts: { type: "string", default: "20000" },
  },
});
const keys = Number(given.keys);
const valueBytes = Number(given["value-bytes"]);
const putsPerTick = Number(given.puts) / 100;
/** Coprime to any number of keys below it: visits all of them, out of order. */
const stride = 7_368_787;
const MB = 1e6;

const value = new Uint8Array(valueBytes);
let putCount = 0;

function putNext(machine: KvMachine): void {
  const n = (putCount * stride) % keys;
  const key = `key-${String(n).padStart(12, "0")}`;
  value.fill(putCount++);
  const contentType = "application/octet-stream";
  machine.apply({
    payload: encodeCommand({ type: "put", key, value, contentType, conditions: [] }),
  });
}

function rss(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / MB;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const since = (start: number) => Math.round(performance.now() - start);
const at = (sorted: readonly number[], part: number) =>
  Math.round(10 * (sorted[Math.floor((sorted.length - 1) * part)] ?? 0)) / 10;

/** Puts in ticks of 10 ms until `until` settles; how late each tick's end was, in milliseconds. */
async function lateness(machine: KvMachine, until: Promise<unknown>): Promise<number[]> {
  const late: number[] = [];
  let done = false;
  void until.then(() => done = true);
  for (let due = performance.now() + 10; !done; due = Math.max(due + 10, performance.now() - 50)) {
    await sleep(Math.max(0, due - performance.now()));
    for (let i = 0; i < putsPerTick; i++) putNext(machine);
    late.push(performance.now() - due);
  }
  return late.toSorted((a, b) => a - b);
}

const directory = mkdtempSync(join(tmpdir(), "holdfast-store-"));
try {
  const machine = new KvMachine();
  for (let i = 0; i < 1000; i++) putNext(machine);
  const before = rss();
  const fillStart = performance.now();
  for (let i = 0; i < keys; i++) {
    putNext(machine);
    if (i % 1000 === 0) await sleep(0);
  }
  const fillMs = since(fillStart);
  const payload = keys * (16 + valueBytes) / MB;
  const grown = rss() - before;
  const overwriteStart = performance.now();
  for (let i = 0; i < 100_000; i++) putNext(machine);
  const overwriteMs = since(overwriteStart);
  const readStart = performance.now();
  for (let i = 0; i < 100_000; i++) {
    machine.store.get(`key-${String((i * stride) % keys).padStart(12, "0")}`);
  }
  const readMs = since(readStart);

  const quiet = await lateness(machine, sleep(3000));
  const snapshots = await openFileSnapshots({ fs: new NodeFileSystem(), directory });
  const configuration = { voters: ["n1"], outgoing: [], learners: [], urls: {} };
  const meta = { index: 1, term: 1, crc: 1, configuration };
  const rssBefore = rss();
  const snapshotStart = performance.now();
  const chunks = inSlices(machine.snapshot().chunks(), createSystemClock());
  let peak = 0;
  const watch = setInterval(() => peak = Math.max(peak, process.memoryUsage().rss / MB), 20);
  const writing = snapshots.write(meta, chunks);
  const busy = await lateness(machine, writing);
  const snapshotMs = since(snapshotStart);
  clearInterval(watch);

  const [name = ""] = await readdir(directory);
  const file = await open(join(directory, name));
  const rawStart = performance.now();
  const size = (await file.stat()).size;
  const buffer = new Uint8Array(1 << 20);
  for (let offset = 0; offset < size; offset += buffer.length) {
    await file.read(buffer, 0, buffer.length, offset);
  }
  const rawReadMs = since(rawStart);
  await file.close();
  const restoreStart = performance.now();
  const restored = new KvMachine();
  const reopened = await openFileSnapshots({ fs: new NodeFileSystem(), directory });
  await restored.restore(reopened.read());
  const restoreMs = since(restoreStart);
  console.log(JSON.stringify({
    keys: restored.store.size,
    payloadMB: Math.round(payload),
    grownMB: Math.round(grown),
    grownByPayload: Math.round(100 * grown / payload) / 100,
    putUs: Math.round(1e5 * fillMs / keys) / 100,
    overwriteUs: overwriteMs / 100,
    getUs: readMs / 100,
    lateMs: { p50: at(quiet, 0.5), p99: at(quiet, 0.99), max: at(quiet, 1) },
    lateMsInSnapshot: { p50: at(busy, 0.5), p99: at(busy, 0.99), max: at(busy, 1) },
    snapshotMs,
    snapshotMB: Math.round(size / MB),
    snapshotGrewRssMB: Math.round(peak - rssBefore),
    rawReadMs,
    restoreMs,
  }));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
