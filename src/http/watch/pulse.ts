/**
 * Tells every watcher, again and again, up to which revision it has seen everything: the client sees that the stream is
 * alive, and a watcher whom nothing concerns can still come back to where it was. One timer serves all of them, a part
 * of them at a time: ten thousand at once would hold everything else up.
 */
import { type Chunk, progressChunk } from "./event-text.ts";
import type { Watcher } from "./watcher.ts";

const turns = 64;

export interface PulseParts {
  /** From one progress event of a watcher to its next. */
  readonly intervalMs: number;
  readonly stalenessMs: () => number | null;
  readonly seenBy: (watcher: Watcher) => number;
  /** Called with those whose turn it is, before they are told. */
  readonly onTurn: (watchers: readonly Watcher[]) => void;
}

export class Pulse {
  readonly #parts: PulseParts;
  readonly #watchers: readonly Set<Watcher>[] = Array.from({ length: turns }, () => new Set());
  readonly #turnOf = new Map<Watcher, Set<Watcher>>();
  #next = 0;
  #turn = 0;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(parts: PulseParts) {
    this.#parts = parts;
  }

  /** Tells `watcher` at once, and from now on. */
  add(watcher: Watcher): void {
    this.#tell([watcher]);
    const turn = this.#watchers[this.#next++ % turns]!;
    turn.add(watcher);
    this.#turnOf.set(watcher, turn);
    this.#timer ??= setInterval(() => this.#beat(), this.#parts.intervalMs / turns);
  }

  remove(watcher: Watcher): void {
    this.#turnOf.get(watcher)?.delete(watcher);
    this.#turnOf.delete(watcher);
    if (this.#turnOf.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #beat(): void {
    const turn = this.#watchers[this.#turn++ % turns]!;
    this.#parts.onTurn([...turn]);
    this.#tell(turn);
  }

  #tell(watchers: Iterable<Watcher>): void {
    const stalenessMs = this.#parts.stalenessMs();
    const chunks = new Map<number, Chunk>();
    for (const watcher of watchers) {
      const revision = this.#parts.seenBy(watcher);
      let chunk = chunks.get(revision);
      if (chunk === undefined) {
        chunk = progressChunk({ revision, stalenessMs });
        chunks.set(revision, chunk);
      }
      watcher.give([chunk]);
    }
  }
}
