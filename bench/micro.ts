/** `npm run bench:micro`: the parts alone. Also `bun bench/micro.ts` and `deno run -A bench/micro.ts`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bench, do_not_optimize, group, run } from "mitata";
import { openFileWal } from "../src/adapters/file-wal.ts";
import { decodeRecords, sealEntry } from "../src/adapters/log-record.ts";
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import { decodeCbor, wellFormed } from "../src/cbor.ts";
import { KvMachine } from "../src/kv/machine.ts";
import type { Entry } from "../src/raft/mod.ts";
import { httpBenches } from "./micro/http.ts";
import { peerBenches } from "./micro/peer.ts";
import { BATCH, chain, commands, KEYS } from "./micro/samples.ts";
import { Trio } from "./micro/trio.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-micro-"));
const { wal } = await openFileWal({
  fs: new NodeFileSystem(),
  directory: join(directory, "wal"),
  start: { index: 0, term: 0, crc: 0 },
});

group(`core: ${BATCH} proposals, three replicas, until all have applied them`, () => {
  const trio = new Trio();
  const batch = commands.slice(0, BATCH);
  bench("step", () => trio.propose(batch));
});

group(`log records: ${BATCH} entries of 256 bytes`, () => {
  const entries = chain(BATCH);
  const bytes = new Uint8Array(entries.flatMap(({ record }) => [...record]));
  const limits = { payloadBytesMax: 1 << 20, entriesMax: 1 << 16 };
  bench("seal", () => do_not_optimize(chain(BATCH)));
  bench(
    "decode and check",
    () => do_not_optimize(decodeRecords(bytes, { previousIndex: 0, previousCrc: 0 }, limits)),
  );
});

group("WAL: append and sync", () => {
  let index = 0;
  let crc = 0;
  const next = (count: number): Entry[] =>
    Array.from({ length: count }, () => {
      const payload = commands[index % KEYS] ?? new Uint8Array(0);
      const entry = sealEntry({ index: ++index, term: 1, kind: "command", payload }, crc);
      crc = entry.crc;
      return entry;
    });
  for (const count of [1, BATCH]) {
    bench(`${count} entries of 256 bytes`, async () => {
      await wal.append({ hardState: null, reset: null, truncateFrom: null, entries: next(count) });
      if (index % 1024 < count) await wal.compactBefore(Math.max(1, index - 1024));
    });
  }
});

group("CBOR: a put of 256 bytes", () => {
  const bytes = commands[0] ?? new Uint8Array(0);
  const limits = {
    totalBytesMax: 1 << 20,
    depthMax: 8,
    itemsMax: 1 << 16,
    textBytesMax: 4096,
    byteStringBytesMax: 1 << 20,
  };
  bench("guard", () => wellFormed(bytes, limits));
  bench("guard and decode", () => do_not_optimize(decodeCbor(bytes, limits)));
});

peerBenches();
await httpBenches();

group(`store: ${KEYS} keys`, () => {
  const machine = new KvMachine();
  for (const payload of commands) machine.apply({ payload });
  let at = 0;
  bench("apply a put", () => {
    machine.apply({ payload: commands[at++ % KEYS] ?? new Uint8Array(0) });
  });
  bench("get", () => do_not_optimize(machine.store.get(`key-${at++ % KEYS}`)));
  bench("list 100", () => {
    let left = 100;
    for (const item of machine.store.list({ start: "key-5", end: null })) {
      do_not_optimize(item);
      if (--left === 0) break;
    }
  });
  bench("snapshot", () => {
    for (const chunk of machine.snapshot().chunks()) do_not_optimize(chunk);
  });
});

try {
  await run();
} finally {
  await wal.close();
  rmSync(directory, { recursive: true, force: true });
}
