/** What the exhaustive disk tests share: seeded chance, damage to a file's bytes, and errors that may come. */
import assert from "node:assert/strict";
import { CorruptData, DiskFailure } from "../../src/errors.ts";
import type { Intercept } from "../../src/adapters/memory-fs.ts";

export const SECTOR_BYTES = 512;

/** For tests that go through thousands of cases; one runtime's default would end them on a busy machine. */
export const EXHAUSTIVE = { timeout: 60_000 };

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

export function sectorZeroed(bytes: Uint8Array, sector: number): Uint8Array {
  const copy = bytes.slice();
  copy.fill(0, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  return copy;
}

/** Expects that `error` is one of those that the port names, and returns it. */
export function typed(error: unknown): CorruptData | DiskFailure {
  assert(error instanceof CorruptData || error instanceof DiskFailure, String(error));
  return error;
}

/** Fails every write, and only writes, from the call numbered `number` on: a disk that has become full. */
export function fullFrom(number: number): Intercept {
  return (call) => call.number >= number && call.operation === "write" ? "fail" : "proceed";
}
