/** Checksums of bytes, for rooms that don't name `node:*`: CRC-32 against decay, SHA-256 over the whole of a file. */
import { createHash } from "node:crypto";
import { crc32 as nodeCrc32 } from "node:zlib";

/** CRC-32 of `bytes`, continued from `seed`. */
export function crc32(bytes: Uint8Array, seed: number = 0): number {
  return nodeCrc32(bytes, seed);
}

/** A SHA-256 that is taken piece by piece. */
export class Sha256 {
  readonly #hash = createHash("sha256");

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** The 32 bytes. Once, and nothing can be added any more. */
  digest(): Uint8Array {
    return new Uint8Array(this.#hash.digest());
  }
}
