/**
 * All watchers of a node. The store's changes are read once and handed to those they concern, whom `groups.ts` finds
 * without asking the others; what a change says is put into text once, and its bytes are shared.
 *
 * A watcher is live, and given each change as it comes, or it catches up (`catch-up.ts`). What a live one's client has
 * not read yet waits in its queue, which is bounded: where it overflows the client is told up to which revision it has
 * everything, and may come back for the rest. So nobody ever misses a revision without being told.
 */
import { Refusal } from "../problem.ts";
import type { HttpLimits } from "../limits.ts";
import { CatchUp } from "./catch-up.ts";
import { type Chunk, type Form, overflowChunk, refusedChunk } from "./event-text.ts";
import type { Filter } from "./filter.ts";
import { Groups } from "./groups.ts";
import { Pulse } from "./pulse.ts";
import type { WatchSource } from "./source.ts";
import { readSpan, type Span } from "./span.ts";
import { QueuedBytes, Watcher, type WatcherHost } from "./watcher.ts";

export type WatchLimits = Pick<
  HttpLimits,
  "watchersMax" | "watchQueueBytesMax" | "watchQueuesBytesMax" | "watchProgressIntervalMs"
>;

/** What a client asks for. */
export interface WatchRequest {
  readonly filter: Filter;
  readonly form: Form;
  /** The first revision to be told of; where it is not said, the next one. */
  readonly from: number | null;
  /** Asked whenever roles or tokens change: why the watcher may not go on, or null. */
  readonly refusal?: (() => Refusal | null) | null;
}

/** Changes are given to so many watchers at once before everything else has its turn. */
const turnDeliveriesMax = 64;
/** Watchers stay for long. */
const watchersRetrySeconds = 10;
/** More new revisions at once than this are not pushed: each watcher is given them as fast as its client reads. */
const burstRevisionsMax = 4096;

export class WatchHub {
  readonly #source: WatchSource;
  readonly #limits: WatchLimits;
  readonly #queued = new QueuedBytes();
  readonly #host: WatcherHost = {
    queued: this.#queued,
    onReady: (watcher) => {
      if (this.#catchUp.has(watcher)) this.#catchUp.wake();
    },
    onGone: (watcher) => this.#forget(watcher),
  };
  readonly #all = new Set<Watcher>();
  readonly #live = new Groups();
  readonly #catchUp: CatchUp;
  readonly #pulse: Pulse;
  #unwatch: () => void = () => {};
  /** Changes up to here were read for those who are live. */
  #seen = 0;
  /** Changes up to here were given to all of them. */
  #delivered = 0;
  /** What of the last changes is still to be given. */
  #round: Iterator<void> | null = null;
  #awake = false;
  #stopped = false;
  #cutOff = 0;

  /** `stalenessMs` is how old the source's state is at most. */
  constructor(source: WatchSource, stalenessMs: () => number | null, limits: WatchLimits) {
    this.#source = source;
    this.#limits = limits;
    this.#catchUp = new CatchUp(source, {
      caughtUp: (watcher) => this.#live.add(watcher),
      lost: (watcher) => this.#cut(watcher),
    });
    this.#pulse = new Pulse({
      intervalMs: limits.watchProgressIntervalMs,
      stalenessMs,
      seenBy: (watcher) => this.#seenBy(watcher),
      onTurn: (watchers) => {
        for (const watcher of watchers) this.#catchUp.check(watcher);
        this.#relieve();
      },
    });
  }

  /** Watchers whose streams have not ended. */
  get size(): number {
    return this.#all.size;
  }

  /** Bytes that wait for clients to read them; what several wait for counts once. */
  get queuedBytes(): number {
    return this.#queued.total;
  }

  /** Bytes that clients were handed so far. */
  get handedBytes(): number {
    return this.#queued.handed;
  }

  /** Watchers that were cut off so far, because they read too slowly or lost what they were to be told. */
  get cutOff(): number {
    return this.#cutOff;
  }

  /**
   * Begins to watch; the stream ends when it is cancelled, when its reader is too slow, or with {@link stop}.
   * @throws {Refusal} 410 where the changes from `from` on are not all kept, 429, 503.
   */
  open(
    { filter, form, from, refusal = null }: WatchRequest,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    if (this.#stopped) throw new Refusal("not_ready", "this node is stopping");
    if (this.#all.size >= this.#limits.watchersMax) {
      throw new Refusal("overloaded", "too many watchers are open", {
        bound: "watchers",
        retryAfter: watchersRetrySeconds,
      });
    }
    if (from !== null) this.check(from);
    const { store } = this.#source;
    const upTo = (from ?? store.revision + 1) - 1;
    if (this.#all.size === 0) this.#begin();
    const watcher = new Watcher({ filter, form, upTo, refusal }, this.#host);
    this.#all.add(watcher);
    if (upTo < store.revision) this.#catchUp.add(watcher);
    else this.#live.add(watcher);
    this.#pulse.add(watcher);
    return watcher.stream;
  }

  /** @throws {Refusal} 410 where the changes from `from` on are not all kept. */
  check(from: number): void {
    const oldest = this.#source.store.floor + 1;
    if (from >= oldest) return;
    throw new Refusal("compacted", `changes before revision ${oldest} are not kept any more`, {
      members: { oldest },
    });
  }

  /** Ends all streams, for good. */
  stop(): void {
    this.#stopped = true;
    for (const watcher of [...this.#all]) watcher.end();
  }

  #begin(): void {
    this.#seen = this.#source.store.revision;
    this.#delivered = this.#seen;
    const ends = [
      this.#source.watch(() => this.#wake()),
      this.#source.watchAccess(() => this.#onAccess()),
    ];
    this.#unwatch = () => {
      for (const end of ends) end();
    };
  }

  #forget(watcher: Watcher): void {
    if (!this.#live.remove(watcher)) this.#catchUp.remove(watcher);
    this.#pulse.remove(watcher);
    this.#all.delete(watcher);
    if (this.#all.size === 0) this.#unwatch();
  }

  /** What `watcher` was given everything up to. */
  #seenBy(watcher: Watcher): number {
    if (this.#catchUp.has(watcher)) return watcher.upTo;
    return Math.max(watcher.upTo, this.#delivered);
  }

  /** Its client may come back for what it has not read. */
  #cut(watcher: Watcher): void {
    this.#cutOff++;
    this.#close(watcher, overflowChunk);
  }

  /** Whoever may not go on is told nothing of what comes from now on, nor of what waits. */
  #onAccess(): void {
    for (const watcher of [...this.#all]) {
      const refusal = watcher.refusal?.() ?? null;
      if (refusal === null) continue;
      const code = refusal.code === "forbidden" ? "forbidden" : "unauthenticated";
      this.#close(watcher, (last) => refusedChunk({ ...last, code, detail: refusal.message }));
    }
  }

  #close(watcher: Watcher, last: (upTo: { readonly revision: number }) => Chunk): void {
    const revision = watcher.handedUpTo(this.#seenBy(watcher));
    if (!this.#live.remove(watcher)) this.#catchUp.remove(watcher);
    this.#pulse.remove(watcher);
    watcher.cut(last({ revision }));
  }

  /** After all of the commands that are applied together. */
  #wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    queueMicrotask(() => this.#advance());
  }

  /** Reads what is new and gives it out. Where that is much, everything else has its turn in between. */
  #advance(): void {
    this.#awake = false;
    this.#round ??= this.#nextRound();
    if (this.#round === null) return;
    for (let left = turnDeliveriesMax; left > 0; left--) {
      if (this.#round.next().done !== true) continue;
      this.#round = null;
      this.#delivered = this.#seen;
      this.#relieve();
      if (this.#seen >= this.#source.store.revision) return;
      break;
    }
    this.#awake = true;
    setImmediate(() => this.#advance());
  }

  #nextRound(): Iterator<void> | null {
    const { store } = this.#source;
    if (store.floor > this.#seen) this.#lose(store.floor);
    if (this.#live.size === 0 || store.revision - this.#seen > burstRevisionsMax) {
      this.#sendBack(store.revision);
    }
    if (store.revision <= this.#seen) return null;
    const span = readSpan(store, this.#live, this.#seen + 1);
    this.#seen = span.upTo;
    return this.#deliver(span);
  }

  /** Changes up to `floor` are not kept any more, and nobody can tell whom they concerned. */
  #lose(floor: number): void {
    for (const watcher of [...this.#live.watchers()]) {
      if (watcher.upTo < floor) this.#cut(watcher);
    }
    this.#seen = floor;
    this.#delivered = floor;
  }

  /** All who have not seen `revision` are to catch up. */
  #sendBack(revision: number): void {
    for (const watcher of [...this.#live.watchers()]) {
      if (watcher.upTo >= revision) continue;
      this.#live.remove(watcher);
      watcher.upTo = this.#seenBy(watcher);
      this.#catchUp.add(watcher);
    }
    this.#seen = revision;
    this.#delivered = revision;
  }

  /** Gives a span to one watcher after the other. Who comes meanwhile has seen it. */
  *#deliver({ concerned, upTo }: Span): Generator<void> {
    for (const concern of concerned) {
      for (const watcher of concern.group.watchers) {
        if (watcher.upTo >= upTo) continue;
        const chunks = concern.chunks(watcher.form, watcher.upTo);
        // A queue that is empty takes all that comes together: its reader is not slow.
        const isFull = watcher.queuedBytes > this.#limits.watchQueueBytesMax;
        if (isFull && chunks.length > 0) {
          this.#cut(watcher);
        } else {
          watcher.give(chunks);
          watcher.upTo = upTo;
        }
        yield;
      }
    }
  }

  /** Where all queues together hold too much, the longest go. */
  #relieve(): void {
    const { watchQueuesBytesMax } = this.#limits;
    if (this.#queued.total <= watchQueuesBytesMax) return;
    const longest = [...this.#all].toSorted((a, b) => b.queuedBytes - a.queuedBytes);
    for (const watcher of longest) {
      if (this.#queued.total <= watchQueuesBytesMax || watcher.queuedBytes === 0) return;
      this.#cut(watcher);
    }
  }
}
