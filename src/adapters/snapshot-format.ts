/**
 * The snapshot file, which is also what travels to a peer, byte for byte.
 *
 * All integers are little endian; crc32(x, seed) continues a CRC-32 from `seed`.
 *
 * ```
 * snapshot = header | chunk* | trailer
 * header   = "HOLDSNP1" | crc u32 | configurationBytes u32 | index u64 | term u64 | entryCrc u32 | configuration
 * chunk    = length u32 | crc u32 | the machine's bytes      1 ≤ length ≤ 16 MiB
 * trailer  = 0 u32 | lastCrc u32 | chunks u64 | bytes u64 | crc u32 | "HOLDSNPE"
 * ```
 *
 * A snapshot is valid if and only if
 * - its magics stand there, and header.crc = crc32(configurationBytes…configuration);
 * - configuration is at most 64 KiB and what `raft/membership.ts` takes for one; index is at least 1; both index and
 *   term are at most 2^53 - 1;
 * - each chunk's crc = crc32(its bytes, previous crc XOR length), where the header's is previous to the first: chunks
 *   cannot change places, nor be missing;
 * - lastCrc is the last chunk's (or the header's) crc, `chunks` and `bytes` count the chunks and their bytes,
 *   trailer.crc = crc32(the 24 bytes of the trailer before it, header.crc), and the file ends with the trailer.
 */
import { crc32 } from "node:zlib";
import { invariant } from "../assert.ts";
import { MalformedBytes } from "../errors.ts";
import type { File } from "../ports.ts";
import { decodeConfiguration, encodeConfiguration } from "../raft/membership.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import { readU32, readU64, writeU32, writeU64 } from "./log-record.ts";

const TRAILER_BYTES = 36;
/** Bytes of a chunk before the machine's. */
const CHUNK_HEADER_BYTES = 8;

const HEADER_BYTES_MIN = 36;
const CONFIGURATION_BYTES_MAX = 64 * 1024;
const CHUNK_BYTES_MAX = 16 * 1024 * 1024;
/** How much is read at once, at least. */
const WINDOW_BYTES = 256 * 1024;
const HEADER_MAGIC = new TextEncoder().encode("HOLDSNP1");
const TRAILER_MAGIC = new TextEncoder().encode("HOLDSNPE");

/** What a snapshot is read from. */
export interface SnapshotSource {
  readonly size: number;
  /** As {@link File.read}. */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** An open file as a source. */
export async function sourceOf(file: File): Promise<SnapshotSource> {
  return { size: await file.size(), read: file.read.bind(file) };
}

/** A header that was read: what the snapshot stands for, and where its chunks begin. */
export interface SnapshotHeader {
  readonly meta: SnapshotMeta;
  readonly crc: number;
  readonly bytes: number;
}

/** Encodes a snapshot's frame around the machine's chunks, in order. */
export class SnapshotEncoder {
  readonly header: Uint8Array;
  readonly #headerCrc: number;
  #crc: number;
  #chunks = 0;
  #bytes = 0;

  constructor(meta: SnapshotMeta) {
    invariant(meta.index > 0, "the cluster's birth is no snapshot to write");
    const configuration = encodeConfiguration(meta.configuration);
    this.header = new Uint8Array(HEADER_BYTES_MIN + configuration.length);
    this.header.set(HEADER_MAGIC);
    writeU32(this.header, 12, configuration.length);
    writeU64(this.header, 16, meta.index);
    writeU64(this.header, 24, meta.term);
    writeU32(this.header, 32, meta.crc);
    this.header.set(configuration, HEADER_BYTES_MIN);
    this.#crc = this.#headerCrc = crc32(this.header.subarray(12));
    writeU32(this.header, 8, this.#crc);
  }

  /** What stands before the machine's `bytes`. */
  chunkHeader(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    invariant(length > 0 && length <= CHUNK_BYTES_MAX, `a snapshot chunk of ${length} bytes`);
    this.#crc = crc32(bytes, (this.#crc ^ length) >>> 0);
    this.#chunks++;
    this.#bytes += length;
    const header = new Uint8Array(CHUNK_HEADER_BYTES);
    writeU32(header, 0, length);
    writeU32(header, 4, this.#crc);
    return header;
  }

  trailer(): Uint8Array {
    const trailer = new Uint8Array(TRAILER_BYTES);
    writeU32(trailer, 4, this.#crc);
    writeU64(trailer, 8, this.#chunks);
    writeU64(trailer, 16, this.#bytes);
    writeU32(trailer, 24, crc32(trailer.subarray(0, 24), this.#headerCrc));
    trailer.set(TRAILER_MAGIC, 28);
    return trailer;
  }
}

/** Reads the header. @throws {MalformedBytes} */
export async function readHeader(source: SnapshotSource): Promise<SnapshotHeader> {
  const fixed = await source.read(0, HEADER_BYTES_MIN);
  if (fixed.length < HEADER_BYTES_MIN) throw new MalformedBytes("the header is cut off", 0);
  if (!startsWith(fixed, HEADER_MAGIC)) {
    throw new MalformedBytes("this is no snapshot, or one of another version", 0);
  }
  const length = readU32(fixed, 12);
  if (length > CONFIGURATION_BYTES_MAX) {
    throw new MalformedBytes(`a configuration of ${length} bytes`, 12);
  }
  const bytes = HEADER_BYTES_MIN + length;
  const header = await source.read(0, bytes);
  if (header.length < bytes) throw new MalformedBytes("the header is cut off", HEADER_BYTES_MIN);
  const crc = readU32(header, 8);
  if (crc !== crc32(header.subarray(12))) {
    throw new MalformedBytes("the header's checksum does not match", 8);
  }
  const index = readU64(header, 16);
  const term = readU64(header, 24);
  if (index === 0 || !Number.isSafeInteger(index) || !Number.isSafeInteger(term)) {
    throw new MalformedBytes("an index or term that cannot be", 16);
  }
  const configuration = decodeConfiguration(header.subarray(HEADER_BYTES_MIN));
  return { meta: { index, term, crc: readU32(header, 32), configuration }, crc, bytes };
}

/**
 * Checks the trailer against header and size: a file that passes was written to its end. Its chunks are checked when
 * they are read.
 * @throws {MalformedBytes}
 */
export async function checkTrailer(source: SnapshotSource, header: SnapshotHeader): Promise<void> {
  const at = source.size - TRAILER_BYTES;
  if (at < header.bytes) throw new MalformedBytes("the trailer is missing", source.size);
  const trailer = await source.read(at, TRAILER_BYTES);
  if (!startsWith(trailer.subarray(28), TRAILER_MAGIC) || readU32(trailer, 0) !== 0) {
    throw new MalformedBytes("the trailer is not there", at);
  }
  if (readU32(trailer, 24) !== crc32(trailer.subarray(0, 24), header.crc)) {
    throw new MalformedBytes("the trailer's checksum does not match", at + 24);
  }
  if (header.bytes + readU64(trailer, 8) * CHUNK_HEADER_BYTES + readU64(trailer, 16) !== at) {
    throw new MalformedBytes("the trailer counts other bytes than there are", at + 8);
  }
}

/**
 * Streams the machine's chunks, each checked before it is handed out and there until the next is asked for, and at the
 * end the trailer. Memory is bounded by the window and the largest chunk.
 * @throws {MalformedBytes}
 */
export async function* readChunks(
  source: SnapshotSource,
  header: SnapshotHeader,
): AsyncGenerator<Uint8Array, void, undefined> {
  const window = new Window(source);
  let crc = header.crc;
  let chunks = 0;
  let bytes = 0;
  for (let offset = header.bytes;;) {
    const head = await window.at(offset, CHUNK_HEADER_BYTES, offset);
    const length = readU32(head, 0);
    const claimed = readU32(head, 4);
    if (length === 0) {
      const trailer = await window.at(offset, TRAILER_BYTES, offset);
      if (claimed !== crc || readU64(trailer, 8) !== chunks || readU64(trailer, 16) !== bytes) {
        throw new MalformedBytes("the trailer does not belong to the chunks before it", offset);
      }
      if (offset + TRAILER_BYTES !== source.size) {
        throw new MalformedBytes("bytes behind the trailer", offset + TRAILER_BYTES);
      }
      return await checkTrailer(source, header);
    }
    if (length > CHUNK_BYTES_MAX) throw new MalformedBytes(`a chunk of ${length} bytes`, offset);
    const chunk = await window.at(offset + CHUNK_HEADER_BYTES, length, offset);
    crc = crc32(chunk, (crc ^ length) >>> 0);
    if (claimed !== crc) throw new MalformedBytes("a chunk's checksum does not match", offset);
    yield chunk;
    offset += CHUNK_HEADER_BYTES + length;
    chunks++;
    bytes += length;
  }
}

/** Reads a whole snapshot and throws its chunks away. @throws {MalformedBytes} */
export async function verifySnapshot(source: SnapshotSource): Promise<SnapshotMeta> {
  const header = await readHeader(source);
  for await (const chunk of readChunks(source, header)) void chunk;
  return header.meta;
}

/** How many bytes of a snapshot that was received in part are sound: all up to a chunk's end, or none. */
export async function soundBytes(source: SnapshotSource): Promise<number> {
  let sound = 0;
  try {
    const header = await readHeader(source);
    sound = header.bytes;
    for await (const chunk of readChunks(source, header)) {
      sound += CHUNK_HEADER_BYTES + chunk.length;
    }
    return source.size;
  } catch (error) {
    if (error instanceof MalformedBytes) return sound;
    throw error;
  }
}

/**
 * Reads ahead, so that small chunks do not cost a call each. What it hands out holds until it is asked again: a new
 * buffer for each window makes Node collect garbage every 64 MB of snapshot.
 */
class Window {
  readonly #source: SnapshotSource;
  readonly #buffer = new Uint8Array(WINDOW_BYTES);
  #bytes: Uint8Array = new Uint8Array(0);
  #offset = 0;

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** @throws {MalformedBytes} at `blame` where the source ends earlier. */
  async at(offset: number, length: number, blame: number): Promise<Uint8Array> {
    if (offset + length > this.#source.size) throw new MalformedBytes("a chunk is cut off", blame);
    if (offset < this.#offset || offset + length > this.#offset + this.#bytes.length) {
      this.#bytes = await this.#source.read(offset, Math.max(length, WINDOW_BYTES), this.#buffer);
      this.#offset = offset;
    }
    const bytes = this.#bytes.subarray(offset - this.#offset, offset - this.#offset + length);
    if (bytes.length < length) throw new MalformedBytes("a chunk is cut off", blame);
    return bytes;
  }
}

function startsWith(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}
