/** A proposal's way through the leader, as spans of whoever asked to be told; nobody asks but where traces are collected. */
import type { Span } from "../ports.ts";
import type { Index } from "../raft/types.ts";

/** `append`, then `fsync` and `replicate` side by side, then `apply`. */
export class Trail {
  readonly #span: Span;
  /** What goes on now. */
  readonly #open: Map<string, Span>;
  #isOver = false;

  constructor(span: Span) {
    this.#span = span;
    this.#open = new Map([["append", span.child("append")]]);
  }

  /** Nothing of it is to come. */
  get isOver(): boolean {
    return this.#isOver && this.#open.size === 0;
  }

  /** It stands in the log; the disk has it before it, and so have the peers. */
  appended(): void {
    this.#end("append");
    this.#begin("fsync");
    this.#begin("replicate");
  }

  durable(): void {
    this.#end("fsync");
  }

  committed(): void {
    this.#end("replicate");
    this.#begin("apply");
  }

  /** Its fate is known; `error` says why it came to nothing. Where the peers were faster, the disk still has it to write. */
  end(error: string | null): void {
    this.#isOver = true;
    for (const [name, span] of this.#open) {
      if (name === "fsync" && error === null) continue;
      span.end(error);
      this.#open.delete(name);
    }
  }

  #begin(name: string): void {
    if (!this.#isOver) this.#open.set(name, this.#span.child(name));
  }

  #end(name: string): void {
    this.#open.get(name)?.end();
    this.#open.delete(name);
  }
}

/** The trails of what this leader has appended, by index. */
export class Trails {
  readonly #trails = new Map<Index, Trail>();

  appended(index: Index, trail: Trail): void {
    trail.appended();
    this.#trails.set(index, trail);
  }

  /** The disk has all up to `index`. */
  durable(index: Index): void {
    this.#each(index, (trail) => trail.durable());
  }

  /** All up to `index` is committed, and about to be applied. */
  committed(index: Index): void {
    this.#each(index, (trail) => trail.committed());
  }

  #each(upTo: Index, act: (trail: Trail) => void): void {
    for (const [index, trail] of this.#trails) {
      if (index <= upTo) act(trail);
      if (trail.isOver) this.#trails.delete(index);
    }
  }
}
