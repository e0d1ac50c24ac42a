/** Snapshots for tests. */
import assert from "node:assert/strict";
import { openFileSnapshots } from "../../src/adapters/file-snapshots.ts";
import type { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { openMemorySnapshots } from "../../src/adapters/memory-snapshots.ts";
import type { SnapshotStore } from "../../src/ports.ts";
import type { SnapshotMeta } from "../../src/raft/types.ts";

export function openSnapshots(fs: MemoryFileSystem): Promise<SnapshotStore> {
  return openFileSnapshots({ fs, directory: "/snapshots" });
}

export function metaAt(index: number, term: number): SnapshotMeta {
  const configuration = { voters: ["n1"], outgoing: [], learners: [], urls: { n1: "http://a" } };
  return { index, term, crc: index * 7, configuration };
}

export function chunksOf(lengths: readonly number[]): Uint8Array[] {
  return lengths.map((length, i) => new Uint8Array(length).map((_, at) => at * 31 + i));
}

export async function* emitted(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

export async function contents(store: SnapshotStore): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.read()) chunks.push(chunk.slice());
  return chunks;
}

/** The newest as it is sent. */
export async function snapshotBytes(store: SnapshotStore): Promise<Uint8Array> {
  const file = await store.openFile();
  assert(file !== null);
  const bytes = await file.read(0, file.size);
  await file.close();
  return bytes.slice();
}

/** A snapshot as a leader sends it. */
export async function sent(index: number, term: number, lengths: readonly number[]): Promise<{
  identity: { index: number; term: number; size: number };
  bytes: Uint8Array;
  chunks: Uint8Array[];
}> {
  const store = openMemorySnapshots();
  const chunks = chunksOf(lengths);
  await store.write(metaAt(index, term), emitted(chunks));
  const bytes = await snapshotBytes(store);
  return { identity: { index, term, size: bytes.length }, bytes, chunks };
}

/** Sends a snapshot from where its receiver says, which is returned, until it is installed. */
export async function complete(
  fs: MemoryFileSystem,
  incoming: Awaited<ReturnType<typeof sent>>,
): Promise<number> {
  const store = await openSnapshots(fs);
  const staged = await store.stage(incoming.identity);
  const { offset } = staged;
  await staged.write(incoming.bytes.subarray(offset));
  const meta = await staged.finish();
  await store.install(meta);
  assert.deepEqual(await contents(store), incoming.chunks);
  return offset;
}
