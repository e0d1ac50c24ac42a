/** What has come of a state that is to be restored: see `restoring.ts`. It is part of the state, and of snapshots. */
import { type Fingerprint, fingerprintOf } from "./idempotency.ts";

/** A state that is restored by commands comes to so many bytes at most: all members hold it twice meanwhile. */
export const restoreBytesMax: number = 64 * 1024 * 1024;

/** What all digests begin with. */
export const firstDigest: Fingerprint = [0, 0];

/** The digest of bytes, of which those before `piece` had `digest`. It depends on how they are cut. */
export function digestWith([first, second]: Fingerprint, piece: Uint8Array): Fingerprint {
  const [one, two] = fingerprintOf(piece);
  return [(Math.imul(first, 0x01000193) ^ one) >>> 0, (Math.imul(second, 0x85ebca6b) ^ two) >>> 0];
}

export class Staging {
  readonly id: string;
  /** By then it has taken effect, or never does, in the cluster's time. */
  readonly due: number;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;
  #digest = firstDigest;

  constructor(id: string, due: number) {
    this.id = id;
    this.due = due;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get digest(): Fingerprint {
    return this.#digest;
  }

  /** As they came: what was there keeps its place when more is added. */
  get pieces(): readonly Uint8Array[] {
    return this.#pieces;
  }

  /** Adds a piece that nobody else writes to. */
  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#digest = digestWith(this.#digest, piece);
  }
}
