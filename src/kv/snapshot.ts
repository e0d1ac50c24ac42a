/**
 * A snapshot of the store as bytes. The same state gives the same bytes on every replica.
 *
 *     snapshot := header record*                     see `record.ts`
 *     header   := "holdfast-kv" | version u8 (2) | revision u64 | number of records u64
 *
 * Integers are little endian. Valid if and only if every record is one that a run of commands could have left, the keys
 * strictly ascend, and there are as many records as the header says with nothing behind them. It is cut into chunks
 * without regard to records, so a large value does not make a large chunk, and reading does not depend on where the
 * cuts were.
 */
import { MalformedBytes } from "../errors.ts";
import { pageBytes } from "./page.ts";
import {
  flawAt,
  isBehind,
  lengthAt,
  readU64,
  recordBytesMax,
  recordHeaderBytes,
  writeU64,
} from "./record.ts";
import { Records } from "./records.ts";
import { Store } from "./store.ts";

/** The most bytes in one chunk. */
export const chunkBytes: number = 64 * 1024;

const format = "holdfast-kv";
const formatVersion = 2;
const headerBytes = format.length + 1 + 16;
/** A record's length. */
const lengthBytes = 4;

/**
 * The snapshot of `store`, which must not change until the last chunk was taken: hand in a clone. Each chunk stands in
 * the buffer of the one before it: one for each makes Node collect garbage every 64 MB of snapshot.
 */
export function* snapshotChunks(store: Store): Generator<Uint8Array, void> {
  const chunk = new Uint8Array(chunkBytes);
  chunk.set(headerOf(store));
  let used = headerBytes;
  for (const run of store.runs()) {
    for (let at = 0; at < run.length;) {
      const piece = run.subarray(at, at + chunkBytes - used);
      chunk.set(piece, used);
      at += piece.length;
      used += piece.length;
      if (used < chunkBytes) break;
      yield chunk;
      used = 0;
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
}

/**
 * The store that a snapshot holds.
 * @throws {MalformedBytes} where it isn't valid.
 */
export async function storeFromChunks(chunks: AsyncIterable<Uint8Array>): Promise<Store> {
  const reader = new SnapshotReader();
  for await (const chunk of chunks) reader.push(chunk);
  return reader.finish();
}

function headerOf({ revision, size }: Store): Uint8Array {
  const header = new Uint8Array(headerBytes);
  for (let i = 0; i < format.length; i++) header[i] = format.charCodeAt(i);
  header[format.length] = formatVersion;
  writeU64(header, format.length + 1, revision);
  writeU64(header, format.length + 9, size);
  return header;
}

/** Takes a snapshot's bytes as they come and cuts them into runs of records that are pages as they are. */
class SnapshotReader {
  readonly #runs: Uint8Array<ArrayBuffer>[] = [];
  #header: { readonly revision: number; readonly size: number } | null = null;
  #size = 0;
  /** Begins with `#held` bytes that were not taken into a run. Filled again and again: runs are copies. */
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(2 * chunkBytes);
  #held = 0;
  /** With so many held, reading goes on. */
  #needed = headerBytes;
  /** What is held begins with so many bytes of sound records: none only where there was none yet. */
  #sound = 0;
  /** Where the last of these begins. */
  #lastAt = 0;
  #offset = 0;

  push(bytes: Uint8Array): void {
    const before = this.#held;
    this.#held += bytes.length;
    if (this.#held > this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#held);
      larger.set(this.#buffer.subarray(0, before));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, before);
    if (this.#held < this.#needed) return;
    const held = this.#buffer.subarray(0, this.#held);
    const taken = this.#onRecords(held, this.#header === null ? this.#onHeader(held) : 0);
    this.#buffer.copyWithin(0, taken, this.#held);
    this.#held -= taken;
    this.#offset += taken;
  }

  finish(): Store {
    if (this.#header === null) throw this.#malformed("the snapshot ends within its header");
    const { revision, size } = this.#header;
    if (this.#sound < this.#held) throw this.#malformed("the snapshot ends within a record");
    if (this.#held > 0) this.#runs.push(this.#buffer.slice(0, this.#held));
    if (this.#size !== size) {
      throw this.#malformed(`${this.#size} records, the header says ${size}`);
    }
    return new Store(Records.of(this.#runs), revision);
  }

  #onHeader(bytes: Uint8Array): number {
    const expected = headerOf(new Store());
    for (let i = 0; i <= format.length; i++) {
      if (bytes[i] !== expected[i]) {
        throw this.#malformed(`not a snapshot of ${format}, version ${formatVersion}`);
      }
    }
    const revision = readU64(bytes, format.length + 1);
    const size = readU64(bytes, format.length + 9);
    if (!Number.isSafeInteger(revision) || !Number.isSafeInteger(size)) {
      throw this.#malformed("a header without revision and size");
    }
    this.#header = { revision, size };
    return headerBytes;
  }

  /** Takes what is there in full from `start` on. Returns where what is left begins. */
  #onRecords(bytes: Uint8Array, start: number): number {
    let runAt = start;
    let at = start + this.#sound;
    for (;;) {
      const left = bytes.length - at;
      const length = left < lengthBytes ? lengthBytes : this.#checkLength(lengthAt(bytes, at));
      if (left < length || left < lengthBytes) {
        this.#needed = at - runAt + length;
        break;
      }
      this.#checkRecord(bytes, at, at > runAt ? this.#lastAt : null);
      if (at > runAt && at + length - runAt > pageBytes) {
        this.#runs.push(bytes.slice(runAt, at));
        runAt = at;
      }
      this.#lastAt = at;
      at += length;
    }
    this.#sound = at - runAt;
    this.#lastAt -= runAt;
    return runAt;
  }

  #checkLength(length: number): number {
    if (length > recordHeaderBytes && length <= recordBytesMax) return length;
    throw this.#malformed(`a record of ${length} bytes`);
  }

  #checkRecord(bytes: Uint8Array, at: number, previousAt: number | null): void {
    const flaw = flawAt(bytes, at, this.#header?.revision ?? 0);
    if (flaw !== null) throw this.#malformed(flaw);
    if (previousAt !== null && !isBehind(bytes, at, previousAt)) {
      throw this.#malformed("keys out of order");
    }
    this.#size++;
  }

  #malformed(what: string): MalformedBytes {
    return new MalformedBytes(what, this.#offset);
  }
}
