/** A file of `memory-fs.ts`: what reads see, what the disk has, and the changes in between. */

const SECTOR_BYTES = 512;

export class Inode {
  readonly live: Content = new Content();
  readonly #disk = new Content();
  #unsynced: ((disk: Content, survives: () => boolean) => void)[] = [];

  /** Makes room at once for what is about to be written in pieces, up to `length`. */
  reserve(length: number): void {
    this.live.reserve(length);
  }

  /** Takes a copy of `bytes`. */
  write(bytes: Uint8Array, offset: number): void {
    const copy = bytes.slice();
    this.live.write(copy, offset);
    this.#unsynced.push((disk, survives) => {
      if (survives === everything) return disk.write(copy, offset);
      for (let from = 0; from < copy.length;) {
        const to = Math.min(copy.length, from + SECTOR_BYTES - (offset + from) % SECTOR_BYTES);
        if (survives()) disk.write(copy.subarray(from, to), offset + from);
        from = to;
      }
    });
  }

  truncate(length: number): void {
    this.live.truncate(length);
    this.#unsynced.push((disk, survives) => {
      if (survives()) disk.truncate(length);
    });
  }

  /** All changes are on the disk. */
  sync(): void {
    this.#disk.reserve(this.live.length);
    for (const change of this.#unsynced) change(this.#disk, everything);
    this.#unsynced = [];
  }

  /** Of the changes since the last sync those pieces survive that `survives` says. Drops them from reads too, or not. */
  crash(survives: () => boolean, cache: "keepCache" | "dropCache" = "dropCache"): void {
    for (const change of this.#unsynced) change(this.#disk, survives);
    this.#unsynced = [];
    if (cache === "keepCache") return;
    this.live.truncate(0);
    this.live.write(this.#disk.bytes(), 0);
  }
}

const everything = (): boolean => true;

/** Bytes that grow. */
class Content {
  #bytes = new Uint8Array(0);
  length = 0;

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  write(bytes: Uint8Array, offset: number): void {
    if (offset + bytes.length > this.length) this.truncate(offset + bytes.length);
    this.#bytes.set(bytes, offset);
  }

  truncate(length: number): void {
    this.reserve(length);
    this.#bytes.fill(0, length, Math.max(length, this.length));
    this.length = length;
  }

  reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
    grown.set(this.bytes());
    this.#bytes = grown;
  }
}

/** Draws first how much survives (nothing, all, or some), then for each piece whether it does. */
export function survival(random: () => number): () => boolean {
  const share = Math.min(1, Math.max(0, random() * 2 - 0.5));
  return () => random() < share;
}
