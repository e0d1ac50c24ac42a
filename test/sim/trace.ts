/** What happened, as a hash of all of it and as text of the last of it, in the notation of the golden scripts. */
import { crc32 } from "node:zlib";

/** Lines that are kept of each node. */
const keptLines = 30;

export class Trace {
  /** Prints every line as it comes, where it is set. */
  print: ((line: string) => void) | null = null;
  #low = 0x811c9dc5;
  #high = 0x1b873593;
  readonly #tails = new Map<string, { readonly at: number; readonly text: () => string }[]>();
  readonly #now: () => number;

  /** @param now microseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Hashes a number below 2^53. */
  mix(value: number): void {
    this.#mix32(value | 0);
    this.#mix32((value / 0x1_0000_0000) | 0);
  }

  mixBytes(bytes: Uint8Array): void {
    this.#mix32(crc32(bytes) | 0);
  }

  mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix32(text.charCodeAt(i));
  }

  /** Something worth reading that happened at a node, or at `net`, or at a client. */
  note(where: string, text: () => string): void {
    const tail = this.#tails.get(where) ?? [];
    if (tail.length === 0) this.#tails.set(where, tail);
    tail.push({ at: this.#now(), text });
    if (tail.length > 2 * keptLines) tail.splice(0, keptLines);
    if (this.print !== null) this.print(`${time(this.#now())} ${where}: ${text()}`);
  }

  /** 16 hex digits. */
  get hash(): string {
    return [this.#low, this.#high].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join(
      "",
    );
  }

  /** The last lines of each node. */
  tail(): string {
    const blocks = [...this.#tails].sort(([a], [b]) => (a < b ? -1 : 1)).map(([where, lines]) =>
      [`${where}:`, ...lines.slice(-keptLines).map(({ at, text }) => `  ${time(at)} ${text()}`)]
        .join("\n")
    );
    return blocks.join("\n");
  }

  #mix32(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high ^ value ^ this.#low, 0x85ebca6b);
    this.#high ^= this.#high >>> 13;
  }
}

function time(us: number): string {
  return `${(us / 1_000_000).toFixed(6)}s`;
}
