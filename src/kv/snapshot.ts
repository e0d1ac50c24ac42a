/**
 * A snapshot of the store as bytes. The same state gives the same bytes on every replica.
 *
 *     snapshot := frame(header) frame(batch)*
 *     frame(x) := length of x in bytes (u32, big-endian) | x
 *     header   := CBOR ["holdfast-kv", 1, revision, number of items]
 *     batch    := CBOR [item…]                       about 64 KiB of items, in key order
 *     item     := [key, value, content type | null, created, revision, version]
 *
 * Valid if and only if the keys strictly ascend over all batches, every item is one that a run of commands could have
 * left, and there are as many as the header says with nothing behind them. It is cut into chunks without regard to
 * frames, so a large value does not make a large chunk, and reading does not depend on where the cuts were.
 */
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";
import {
  contentTypeBytesMax,
  defaultContentType,
  isContentType,
  valueBytesMax,
} from "./command.ts";
import { type Key, keyBytesMax, keyFromBytes, keyToBytes } from "./key.ts";
import { OrderedMap } from "./ordered-map.ts";
import { type Item, Store } from "./store.ts";

/** The most bytes in one chunk, and about as many make a batch. */
export const chunkBytes: number = 64 * 1024;

const format = "holdfast-kv";
const formatVersion = 1;
const lengthBytes = 4;
/** A batch is closed once it has {@link chunkBytes}, so that at most one item stands beyond. */
const frameBytesMax = valueBytesMax + 2 * chunkBytes;
/** What an item takes besides its key, value and content type, at most. */
const itemOverheadBytes = 64;

const limits: CborLimits = {
  totalBytesMax: frameBytesMax,
  depthMax: 2,
  itemsMax: 16 * 1024,
  textBytesMax: contentTypeBytesMax,
  byteStringBytesMax: valueBytesMax,
};

/** The snapshot of `store`, which must not change until the last chunk was taken: hand in a clone. */
export function* snapshotChunks(store: Store): Generator<Uint8Array, void> {
  yield frame([format, formatVersion, store.revision, store.size]);
  let batch: unknown[] = [];
  let bytes = 0;
  for (const [key, item] of store.list({ start: "", end: null })) {
    const { value, contentType, created, revision, version } = item;
    const type = contentType === defaultContentType ? null : contentType;
    batch.push([keyToBytes(key), value, type, created, revision, version]);
    bytes += key.length + value.length + contentType.length + itemOverheadBytes;
    if (bytes < chunkBytes) continue;
    yield* cut(frame(batch));
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield* cut(frame(batch));
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

function frame(value: unknown): Uint8Array {
  const body = encodeCbor(value);
  const bytes = new Uint8Array(lengthBytes + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, lengthBytes);
  return bytes;
}

function* cut(bytes: Uint8Array): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

/** Takes a snapshot's bytes as they come and builds the store frame by frame. */
class SnapshotReader {
  readonly #items = new OrderedMap<Item>();
  #header: { readonly revision: number; readonly size: number } | null = null;
  #lastKey: Key = "";
  /** Bytes of a frame that has not come in full, in pieces. */
  #pieces: Uint8Array[] = [];
  #held = 0;
  /** Bytes that the frame in `#pieces` needs, or that its length does. */
  #needed = lengthBytes;
  #offset = 0;

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#held += bytes.length;
    if (this.#held < this.#needed) return;
    let joined = join(this.#pieces, this.#held);
    while (joined.length >= this.#needed) {
      if (this.#needed === lengthBytes) {
        const view = new DataView(joined.buffer, joined.byteOffset, joined.byteLength);
        const length = view.getUint32(0);
        if (length === 0 || length > frameBytesMax) {
          throw this.#malformed(`a frame of ${length} bytes`);
        }
        this.#needed += length;
      } else {
        this.#onFrame(joined.subarray(lengthBytes, this.#needed));
        joined = joined.subarray(this.#needed);
        this.#offset += this.#needed;
        this.#needed = lengthBytes;
      }
    }
    this.#pieces = [joined];
    this.#held = joined.length;
  }

  finish(): Store {
    if (this.#held > 0) throw this.#malformed("the snapshot ends within a frame");
    if (this.#header === null) throw this.#malformed("the snapshot is empty");
    const { revision, size } = this.#header;
    if (this.#items.size !== size) {
      throw this.#malformed(`${this.#items.size} items, the header says ${size}`);
    }
    return new Store(this.#items, revision);
  }

  #onFrame(bytes: Uint8Array): void {
    const decoded = decodeCbor(bytes, limits);
    if (!Array.isArray(decoded)) throw this.#malformed("a frame that is not an array");
    if (this.#header !== null) return this.#onBatch(decoded, this.#header.revision);
    const [name, version, revision, size] = decoded;
    if (name !== format || version !== formatVersion || decoded.length !== 4) {
      throw this.#malformed(`not a snapshot of ${format}, version ${formatVersion}`);
    }
    if (!isCount(revision) || !isCount(size)) {
      throw this.#malformed("a header without revision and size");
    }
    this.#header = { revision, size };
  }

  #onBatch(batch: readonly unknown[], storeRevision: number): void {
    for (const entry of batch) {
      const fields = Array.isArray(entry) && entry.length === 6 ? entry : [];
      const [keyBytes, value, type, created, revision, version] = fields;
      if (!(keyBytes instanceof Uint8Array) || !(value instanceof Uint8Array)) {
        throw this.#malformed("an item without key and value");
      }
      if (keyBytes.length === 0 || keyBytes.length > keyBytesMax) {
        throw this.#malformed(`a key of ${keyBytes.length} bytes`);
      }
      const key = keyFromBytes(keyBytes);
      if (key <= this.#lastKey) throw this.#malformed("keys out of order");
      if (type !== null && !(typeof type === "string" && isContentType(type))) {
        throw this.#malformed("a content type that is not one");
      }
      if (!isHistory({ created, revision, version, storeRevision })) {
        throw this.#malformed("revisions that cannot be");
      }
      this.#lastKey = key;
      const contentType = type ?? defaultContentType;
      this.#items.set(key, { value: value.slice(), contentType, created, revision, version });
    }
  }

  #malformed(what: string): MalformedBytes {
    return new MalformedBytes(what, this.#offset);
  }
}

function join(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  const joined = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

interface History<T> {
  readonly created: T;
  readonly revision: T;
  readonly version: T;
  readonly storeRevision: number;
}

/** Each put takes a revision: a key put `version` times was created at least `version - 1` revisions before. */
function isHistory(history: History<unknown>): history is History<number> {
  const { created, revision, version, storeRevision } = history;
  if (!isCount(created) || !isCount(revision) || !isCount(version)) return false;
  if (created < 1 || revision > storeRevision || version < 1) return false;
  return version === 1 ? revision === created : revision - created >= version - 1;
}
