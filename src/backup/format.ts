/**
 * A backup: the state machine's whole state at one revision (keys, history, leases, answers that are kept, the cluster's
 * time), as one stream that can be written and read without holding it.
 *
 * All integers are little endian; crc32(x, seed) continues a CRC-32 from `seed`.
 *
 * ```
 * backup   = header | chunk* | trailer
 * header   = "HOLDBAK1" | crc u32 | length u32 | document
 * document = UTF-8 JSON: {"clusterId","node","revision","takenAt","software"}     length ≤ 4 KiB
 * chunk    = length u32 | crc u32 | the machine's bytes                           1 ≤ length ≤ 1 MiB
 * trailer  = 0 u32 | crc u32 | chunks u64 | bytes u64 | sha256 | "HOLDBAKE"
 * ```
 *
 * A backup is valid if and only if
 * - its magics stand there, header.crc = crc32(length…document), and the document is such an object;
 * - each chunk's crc = crc32(its bytes, previous crc XOR length), where the header's is previous to the first: so damage
 *   is found where it is, and chunks cannot change places;
 * - the trailer's crc is the last chunk's (or the header's), `chunks` and `bytes` count the chunks and the machine's
 *   bytes, sha256 is the SHA-256 of all bytes before it, and nothing stands behind the trailer;
 * - the machine's bytes are a snapshot (`kv/snapshot.ts`) of a store at the document's revision.
 *
 * The SHA-256 tells two backups apart, and finds what was damaged on purpose no better than its reader knows what it
 * ought to be: nothing in a backup is signed.
 */
import * as v from "valibot";
import { crc32, Sha256 } from "../adapters/checksums.ts";
import { readU32, readU64, writeU32, writeU64 } from "../adapters/log-record.ts";
import { invariant } from "../assert.ts";
import { MalformedBytes } from "../errors.ts";
import { ByteSource } from "./byte-source.ts";

/** What a file that holds one ends with, and its media type. */
export const backupSuffix = ".backup";
export const backupType = "application/vnd.holdfast.backup";

const headerMagic = new TextEncoder().encode("HOLDBAK1");
const trailerMagic = new TextEncoder().encode("HOLDBAKE");
const headBytes = 16;
const chunkHeadBytes = 8;
const digestBytes = 32;
const trailerBytes: number = 24 + digestBytes + trailerMagic.length;
const documentBytesMax = 4096;
const chunkBytesMax = 1024 * 1024;

/** What a backup says of itself. */
export interface BackupHeader {
  readonly clusterId: string;
  /** The node that wrote it. */
  readonly node: string;
  /** The store's. */
  readonly revision: number;
  /** By that node's wall clock, in milliseconds since 1970. */
  readonly takenAt: number;
  /** The version of the software that wrote it. */
  readonly software: string;
}

const headerShape: v.GenericSchema<unknown, BackupHeader> = v.strictObject({
  clusterId: v.pipe(v.string(), v.maxLength(256)),
  node: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/)),
  revision: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  takenAt: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(8.64e15)),
  software: v.pipe(v.string(), v.maxLength(64), v.regex(/^[\x20-\x7e]*$/)),
});

/** What stands in a backup's trailer. */
export interface BackupTotals {
  readonly chunks: number;
  /** The machine's. */
  readonly bytes: number;
  /** Of the file up to the digest, in hex. */
  readonly sha256: string;
  /** The whole file's. */
  readonly fileBytes: number;
}

/**
 * A backup as bytes, around the machine's `chunks`. Each piece holds until the next is asked for, as a chunk does; it is
 * a part of a chunk's frame, or the chunk itself.
 */
export function* backupPieces(
  header: BackupHeader,
  chunks: Iterable<Uint8Array>,
): Generator<Uint8Array, void, undefined> {
  const sha = new Sha256();
  const document = new TextEncoder().encode(JSON.stringify(v.parse(headerShape, header)));
  invariant(document.length <= documentBytesMax, "a backup's header is short");
  const head = new Uint8Array(headBytes + document.length);
  head.set(headerMagic);
  writeU32(head, 12, document.length);
  head.set(document, headBytes);
  let crc = crc32(head.subarray(12));
  writeU32(head, 8, crc);
  sha.update(head);
  yield head;
  let count = 0;
  let bytes = 0;
  for (const chunk of chunks) {
    const { length } = chunk;
    if (length === 0) continue;
    invariant(length <= chunkBytesMax, `a backup's chunk of ${length} bytes`);
    crc = crc32(chunk, (crc ^ length) >>> 0);
    count++;
    bytes += length;
    const frame = new Uint8Array(chunkHeadBytes);
    writeU32(frame, 0, length);
    writeU32(frame, 4, crc);
    sha.update(frame);
    sha.update(chunk);
    yield frame;
    yield chunk;
  }
  const trailer = new Uint8Array(trailerBytes);
  writeU32(trailer, 4, crc);
  writeU64(trailer, 8, count);
  writeU64(trailer, 16, bytes);
  sha.update(trailer.subarray(0, 24));
  trailer.set(sha.digest(), 24);
  trailer.set(trailerMagic, 24 + digestBytes);
  yield trailer;
}

/** A backup that is being read. */
export interface OpenBackup {
  readonly header: BackupHeader;
  /**
   * The machine's chunks, each checked. What they say counts only once they have ended: at the end the trailer is
   * checked. Once. @throws {MalformedBytes} with the offset in the file.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Once the chunks have ended. */
  readonly totals: () => BackupTotals;
}

/**
 * Opens a backup that comes as a stream of bytes, however it is cut.
 * @throws {MalformedBytes} where it doesn't begin as one. Passes on what `bytes` throws.
 */
export async function openBackup(bytes: AsyncIterable<Uint8Array>): Promise<OpenBackup> {
  const reader = new BackupReader(new ByteSource(bytes));
  const header = await reader.header();
  return { header, chunks: reader.chunks(), totals: () => reader.totals() };
}

class BackupReader {
  readonly #source: ByteSource;
  readonly #sha = new Sha256();
  #crc = 0;
  #chunks = 0;
  #bytes = 0;
  #totals: BackupTotals | null = null;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async header(): Promise<BackupHeader> {
    const head = (await this.#take(headBytes, "the header")).slice();
    if (!startsWith(head, headerMagic)) {
      throw new MalformedBytes("this is no backup, or one of another version", 0);
    }
    const length = readU32(head, 12);
    if (length > documentBytesMax) throw new MalformedBytes(`a header of ${length} bytes`, 12);
    const document = await this.#take(length, "the header");
    this.#crc = crc32(document, crc32(head.subarray(12)));
    if (readU32(head, 8) !== this.#crc) {
      throw new MalformedBytes("the header's checksum does not match", 8);
    }
    this.#sha.update(head);
    this.#sha.update(document);
    return headerIn(document);
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const at = this.#source.offset;
      const frame = (await this.#take(chunkHeadBytes, "a chunk")).slice();
      const length = readU32(frame, 0);
      this.#sha.update(frame);
      if (length === 0) return await this.#trailer(at, readU32(frame, 4));
      if (length > chunkBytesMax) throw new MalformedBytes(`a chunk of ${length} bytes`, at);
      const chunk = await this.#take(length, "a chunk");
      this.#crc = crc32(chunk, (this.#crc ^ length) >>> 0);
      if (readU32(frame, 4) !== this.#crc) {
        throw new MalformedBytes("a chunk's checksum does not match", at);
      }
      this.#sha.update(chunk);
      this.#chunks++;
      this.#bytes += length;
      yield chunk;
    }
  }

  totals(): BackupTotals {
    invariant(this.#totals !== null, "a backup's totals are known at its end");
    return this.#totals;
  }

  async #trailer(at: number, crc: number): Promise<void> {
    const rest = (await this.#take(trailerBytes - chunkHeadBytes, "the trailer")).slice();
    this.#sha.update(rest.subarray(0, 16));
    const digest = this.#sha.digest();
    const chunks = this.#chunks;
    const bytes = this.#bytes;
    if (crc !== this.#crc || readU64(rest, 0) !== chunks || readU64(rest, 8) !== bytes) {
      throw new MalformedBytes("the trailer does not belong to the chunks before it", at);
    }
    if (digest.some((byte, i) => rest[16 + i] !== byte)) {
      throw new MalformedBytes("the SHA-256 does not match", at + 24);
    }
    if (!startsWith(rest.subarray(16 + digestBytes), trailerMagic)) {
      throw new MalformedBytes("the trailer is damaged", at + 24 + digestBytes);
    }
    const fileBytes = this.#source.offset;
    if (await this.#source.take(1) !== null) {
      throw new MalformedBytes("bytes behind the end", fileBytes);
    }
    this.#totals = { chunks, bytes, sha256: hexOf(digest), fileBytes };
  }

  async #take(count: number, what: string): Promise<Uint8Array> {
    const at = this.#source.offset;
    const taken = await this.#source.take(count);
    if (taken === null) throw new MalformedBytes(`${what} is cut off`, at);
    return taken;
  }
}

function headerIn(document: Uint8Array): BackupHeader {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(document);
    return v.parse(headerShape, JSON.parse(text));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MalformedBytes(`a header that is none: ${why}`, headBytes);
  }
}

function startsWith(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

/** Bytes in hex digits. */
function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
