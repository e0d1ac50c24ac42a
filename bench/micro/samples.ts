/** What the micro benches work on: puts of 256 bytes, and log entries that hold them. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { Entry } from "../../src/raft/mod.ts";

/** Entries that arrive together. */
export const BATCH = 64;
export const KEYS = 2000;

export const commands: readonly Uint8Array[] = Array.from(
  { length: KEYS },
  (_, n) =>
    encodeCommand({
      type: "put",
      key: `key-${n}`,
      value: new Uint8Array(256).fill(n),
      contentType: "application/octet-stream",
      conditions: [],
    }),
);

/** Entries from index 1, chained. */
export function chain(length: number): Entry[] {
  const entries: Entry[] = [];
  let crc = 0;
  for (let index = 1; index <= length; index++) {
    const payload = commands[index % KEYS] ?? new Uint8Array(0);
    const entry = sealEntry({ index, term: 1, kind: "command", payload }, crc);
    entries.push(entry);
    crc = entry.crc;
  }
  return entries;
}
