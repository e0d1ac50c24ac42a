/** Snapshots in memory: the twin of `file-snapshots.ts`, in the same format, so that the two can send to each other. */
import { invariant } from "../assert.ts";
import { CorruptData, MalformedBytes } from "../errors.ts";
import type { SnapshotFile, SnapshotStore, StagedSnapshot } from "../ports.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import {
  readChunks,
  readHeader,
  SnapshotEncoder,
  type SnapshotSource,
  verifySnapshot,
} from "./snapshot-format.ts";
import type { SnapshotIdentity } from "./staged-file.ts";

interface Held {
  readonly meta: SnapshotMeta;
  readonly bytes: Uint8Array;
}

/** {@link SnapshotStore} in memory; made by {@link openMemorySnapshots}. */
export class MemorySnapshots implements SnapshotStore {
  #newest: Held | null = null;
  #staged: MemoryStaged | null = null;

  latest(): SnapshotMeta | null {
    return this.#newest?.meta ?? null;
  }

  async write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const encoder = new SnapshotEncoder(meta);
    const parts = [encoder.header];
    for await (const chunk of chunks) {
      // A copy: the machine may write into its buffer again.
      if (chunk.length > 0) parts.push(encoder.chunkHeader(chunk), chunk.slice());
    }
    parts.push(encoder.trailer());
    this.#publish({ meta, bytes: joined(parts) });
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#newest === null) return;
    const source = sourceOf(this.#newest.bytes);
    try {
      yield* readChunks(source, await readHeader(source));
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      throw new CorruptData("memory", error.offset, error.message);
    }
  }

  async openFile(): Promise<SnapshotFile | null> {
    if (this.#newest === null) return null;
    const { meta, bytes } = this.#newest;
    return { meta, ...sourceOf(bytes), close: async () => {} };
  }

  async stage(identity: SnapshotIdentity): Promise<StagedSnapshot> {
    const { index, term, size } = this.#staged?.identity ?? { index: 0, term: 0, size: 0 };
    const same = index === identity.index && term === identity.term && size === identity.size;
    if (this.#staged === null || !same) this.#staged = new MemoryStaged(identity);
    return this.#staged;
  }

  async install(meta: SnapshotMeta): Promise<void> {
    const held = this.#staged?.finished ?? null;
    invariant(
      held?.meta.index === meta.index && held.meta.term === meta.term && held.meta.crc === meta.crc,
      `snapshot ${meta.index} was not finished before it is installed`,
    );
    this.#staged = null;
    this.#publish(held);
  }

  #publish(held: Held): void {
    if (this.#newest === null || this.#newest.meta.index <= held.meta.index) this.#newest = held;
  }
}

/** A store that holds nothing yet. */
export function openMemorySnapshots(): MemorySnapshots {
  return new MemorySnapshots();
}

class MemoryStaged implements StagedSnapshot {
  readonly identity: SnapshotIdentity;
  offset = 0;
  finished: Held | null = null;
  #parts: Uint8Array[] = [];

  constructor(identity: SnapshotIdentity) {
    this.identity = identity;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.offset + bytes.length > this.identity.size) {
      throw new MalformedBytes(`more than the ${this.identity.size} bytes announced`, this.offset);
    }
    this.#parts.push(bytes.slice());
    this.offset += bytes.length;
  }

  async finish(): Promise<SnapshotMeta> {
    const { index, term, size } = this.identity;
    if (this.offset !== size) {
      throw new MalformedBytes(`${this.offset} bytes of ${size} are here`, this.offset);
    }
    const bytes = joined(this.#parts);
    const meta = await verifySnapshot(sourceOf(bytes));
    if (meta.index !== index || meta.term !== term) {
      throw new MalformedBytes(`snapshot ${meta.index}@${meta.term} came for ${index}@${term}`, 16);
    }
    this.finished = { meta, bytes };
    return meta;
  }

  async discard(): Promise<void> {
    this.#parts = [];
    this.offset = 0;
    this.finished = null;
  }
}

function sourceOf(bytes: Uint8Array): SnapshotSource {
  return {
    size: bytes.length,
    read: async (offset, length) => bytes.slice(offset, offset + length),
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
