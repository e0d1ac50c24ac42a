/** One watcher: the stream that its client reads, and what waits to be read. */
import { type Chunk, type Form, joined } from "./event-text.ts";
import type { Refusal } from "../problem.ts";
import type { Filter } from "./filter.ts";

/** What small chunks cost beside their bytes, about. */
const chunkOverheadBytes = 128;
/** So much of what waits is handed over at a time, or one chunk. */
const handedBytesMax = 64 * 1024;

/** Bytes that wait in all queues, each chunk counted once. */
export class QueuedBytes {
  total = 0;
  /** That were handed to clients, for each of them, since the node began. */
  handed = 0;

  hold(chunk: Chunk): void {
    if (chunk.holders++ === 0) this.total += sizeOf(chunk);
  }

  release(chunk: Chunk): void {
    if (--chunk.holders === 0) this.total -= sizeOf(chunk);
  }
}

function sizeOf({ bytes }: Chunk): number {
  return bytes.length + chunkOverheadBytes;
}

/** What all watchers share, and who hears of them. */
export interface WatcherHost {
  readonly queued: QueuedBytes;
  /** Its client takes more, and nothing waits. */
  readonly onReady: (watcher: Watcher) => void;
  /** Nobody reads it any more. */
  readonly onGone: (watcher: Watcher) => void;
}

export class Watcher {
  readonly filter: Filter;
  readonly form: Form;
  /** Why it may not go on, or null; itself null where nothing can end its right. */
  readonly refusal: (() => Refusal | null) | null;
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** It was given everything up to this revision, and maybe more that did not concern it. */
  upTo: number;
  readonly #host: WatcherHost;
  /** Made by the stream's constructor. */
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #queue: Chunk[] = [];
  #queuedBytes = 0;
  /** The stream asked for more and has had none since. */
  #isAsked = false;
  #state: "open" | "ending" | "ended" = "open";

  /** It has everything up to `upTo` already. */
  constructor(
    { filter, form, upTo, refusal }: Pick<Watcher, "filter" | "form" | "upTo" | "refusal">,
    host: WatcherHost,
  ) {
    this.#host = host;
    this.filter = filter;
    this.form = form;
    this.refusal = refusal;
    this.upTo = upTo;
    // What waits does so here, where it can be counted, shared and thrown away: the stream itself keeps nothing.
    this.stream = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#onPull(),
      cancel: () => this.#leave(),
    }, { highWaterMark: 0 });
  }

  /** Whether its client waits for more. */
  get isReady(): boolean {
    return this.#isAsked && this.#state === "open";
  }

  /** What waits to be read, in bytes. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** The revision up to which its client has been handed everything; `seen` is what there was to be given. */
  handedUpTo(seen: number): number {
    const [next] = this.#queue;
    return next === undefined ? Math.max(this.upTo, seen) : next.first - 1;
  }

  /** Adds to what is to be read. */
  give(chunks: readonly Chunk[]): void {
    if (this.#state !== "open") return;
    for (const chunk of chunks) {
      this.#queue.push(chunk);
      this.#queuedBytes += sizeOf(chunk);
      this.#host.queued.hold(chunk);
    }
    if (this.#isAsked && this.#queue.length > 0) this.#hand();
  }

  /** Throws away what waits; `last` is all that its client still gets. */
  cut(last: Chunk): void {
    if (this.#state !== "open") return;
    this.#empty();
    this.give([last]);
    this.#state = "ending";
    if (this.#queue.length === 0) this.end();
  }

  /** Ends the stream at once. */
  end(): void {
    if (this.#state === "ended") return;
    this.#leave();
    this.#controller.close();
  }

  #onPull(): void {
    this.#isAsked = true;
    if (this.#queue.length > 0) this.#hand();
    else if (this.#state === "open") this.#host.onReady(this);
  }

  #hand(): void {
    const first = this.#queue[0];
    if (first === undefined) return;
    let count = 1;
    for (let bytes = first.bytes.length; count < this.#queue.length; count++) {
      bytes += this.#queue[count]!.bytes.length;
      if (bytes > handedBytesMax) break;
    }
    const handed = this.#queue.splice(0, count);
    for (const chunk of handed) {
      this.#forget(chunk);
      this.#host.queued.handed += chunk.bytes.length;
    }
    this.#isAsked = false;
    this.#controller.enqueue(handed.length === 1 ? first.bytes : joined(handed));
    if (this.#state === "ending") this.end();
  }

  #forget(chunk: Chunk): void {
    this.#queuedBytes -= sizeOf(chunk);
    this.#host.queued.release(chunk);
  }

  #empty(): void {
    for (const chunk of this.#queue) this.#forget(chunk);
    this.#queue = [];
  }

  #leave(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#empty();
    this.#host.onGone(this);
  }
}
