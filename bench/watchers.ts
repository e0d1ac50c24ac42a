/** Watchers over raw sockets, which count what they are told: they share the machine with what they watch. */
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";

/** What watchers were told. */
export interface Told {
  /** Events, by watcher. */
  readonly events: readonly number[];
  /** Watchers that read too slowly, or whose connection broke. */
  readonly cut: number;
  /** From the first event to the last, in seconds. */
  readonly seconds: number;
}

// Of one length, so that the same rest of a piece may hold the beginning of either. Servers put whole events into each
// chunk of the transfer coding; one that didn't would seem to lose some.
const put = Buffer.from("event: put\n");
const overflow = Buffer.from("event: over");

export class Watchers {
  readonly #events: number[] = [];
  readonly #sockets: Socket[] = [];
  #cut = 0;
  #first = NaN;
  #last = NaN;

  /** Resolves when all of them are answered. Whoever is not answered with 200 rejects. */
  static async open(url: string, count: number): Promise<Watchers> {
    const watchers = new Watchers();
    // In parts: not more than a server takes at once.
    for (let from = 0; from < count; from += OPENING) {
      const part = Array.from({ length: Math.min(OPENING, count - from) }, (_, at) => from + at);
      await Promise.all(part.map((at) => watchers.#watch(url, at)));
    }
    return watchers;
  }

  told(): Told {
    const seconds = (this.#last - this.#first) / 1000;
    return { events: [...this.#events], cut: this.#cut, seconds };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #watch(url: string, at: number): Promise<void> {
    const { hostname, port, host } = new URL(url);
    this.#events[at] = 0;
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port) });
      this.#sockets.push(socket);
      let rest: Buffer = Buffer.alloc(0);
      socket.once("data", (head: Buffer) => {
        if (head.toString("latin1", 9, 12) === "200") resolve();
        else reject(new Error(`a watcher was answered ${head.toString().slice(0, 400)}`));
      });
      socket.on("data", (chunk: Buffer) => {
        const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        this.#count(at, bytes);
        // What may be the beginning of a mark; a whole one is longer.
        rest = bytes.subarray(Math.max(0, bytes.length - put.length + 1));
      });
      socket.on("error", reject);
      socket.on("close", () => this.#cut++);
      socket.write(`GET /v1/watch?prefix=key- HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    });
  }

  #count(at: number, bytes: Buffer): void {
    let found = 0;
    for (let from = bytes.indexOf(put); from !== -1; from = bytes.indexOf(put, from + put.length)) {
      found++;
    }
    if (bytes.indexOf(overflow) !== -1) this.#sockets[at]?.destroy();
    if (found === 0) return;
    this.#events[at] = (this.#events[at] ?? 0) + found;
    this.#last = performance.now();
    if (Number.isNaN(this.#first)) this.#first = this.#last;
  }
}

const OPENING = 100;
