/**
 * What a leader knows of one peer, and every transition of it.
 *
 * - `probe`: where the logs agree is not known, or the peer did not answer. One append at a time, from `next`, empty
 *   while the peer doesn't answer; its success leads to `replicate`, its rejection moves `next` back.
 * - `replicate`: the logs agree up to `match`, appends are pipelined, `next` runs ahead of the answers.
 * - `snapshot`: the log no longer reaches back to `next`. No appends until the snapshot was answered or failed.
 *
 * Every request ends by one reply or by `unreachable`, and both name it: the window holds the requests that have
 * had neither. Invariants: `match < next`; `match` never goes back,
 * but for a peer whose disk lost a part of its log: it rejects an append that begins right where it had agreed.
 */
import { invariant } from "../assert.ts";
import type { Index, Millis, RequestId } from "./types.ts";
import type { RaftLimits } from "./step.ts";

interface Sent {
  /** Of its entries. */
  readonly bytes: number;
  /** It began at what the peer had acknowledged before it left: a peer that keeps its log can't reject it. */
  readonly isCertain: boolean;
}

export class Progress {
  #state: "probe" | "replicate" | "snapshot" = "probe";
  #match: Index = 0;
  #next: Index;
  /** Appends without an answer yet. */
  readonly #window: Map<RequestId, Sent> = new Map();
  #windowBytes = 0;
  /** The one request whose answer ends this probe or this snapshot. */
  #awaited: RequestId | null = null;
  /** Not even a probe goes out before the next heartbeat interval or a sign of life. */
  #paused = false;
  /** What the snapshot on its way stands for. */
  #offered: Index = 0;
  #answering = true;
  #lastAnswered: RequestId = 0;
  #commitSent: Index = 0;

  /** When a reply in this term last came. */
  lastReply: Millis | null = null;
  /** Who is to lead rather; see `priority.ts`. */
  priority = 0;
  keptUpSince: Millis | null = null;
  /** The last round of heartbeats that it answered. */
  round = 0;

  constructor(next: Index) {
    this.#next = next;
  }

  get state(): "probe" | "replicate" | "snapshot" {
    return this.#state;
  }
  get match(): Index {
    return this.#match;
  }
  get next(): Index {
    return this.#next;
  }
  /** False from `unreachable` until the next reply. */
  get answering(): boolean {
    return this.#answering;
  }

  /** The entry that it takes next if all goes well; Infinity where that isn't known. */
  get needs(): Index {
    if (this.#state === "probe") return Infinity;
    return (this.#state === "snapshot" ? this.#offered : this.#match) + 1;
  }

  /** Whether an append (or the snapshot in its stead) may leave now. */
  ready(limits: RaftLimits): boolean {
    switch (this.#state) {
      case "probe":
        return this.#awaited === null && !this.#paused;
      case "replicate":
        return this.#window.size < limits.inflightAppendsMax &&
          this.#windowBytes < limits.inflightBytesMax;
      case "snapshot":
        return false;
    }
  }

  /** Bytes that the next append may carry. */
  room(limits: RaftLimits): number {
    return Math.min(limits.appendBytesMax, limits.inflightBytesMax - this.#windowBytes);
  }

  /** Whether `commit` is news to the peer and no append is on its way, nor about to be, that could carry it. */
  wantsNotice(commit: Index): boolean {
    return this.#state === "replicate" && this.#window.size === 0 && this.#commitSent < commit;
  }

  /** An append left that reaches up to `last` and tells the peer of `commit`. */
  appendSent(
    request: RequestId,
    append: { readonly last: Index; readonly bytes: number; readonly commit: Index },
  ): void {
    this.#window.set(request, { bytes: append.bytes, isCertain: this.#next === this.#match + 1 });
    this.#windowBytes += append.bytes;
    this.#commitSent = Math.max(this.#commitSent, Math.min(append.commit, append.last));
    if (this.#state === "replicate") this.#next = append.last + 1;
    else this.#awaited = request;
  }

  /** The offer of a snapshot left. */
  snapshotSent(request: RequestId, index: Index): void {
    this.#state = "snapshot";
    this.#awaited = request;
    this.#offered = index;
  }

  /** Any reply of this term came: the peer lives. */
  answered(request: RequestId, now: Millis): void {
    this.lastReply = now;
    this.#lastAnswered = Math.max(this.#lastAnswered, request);
    this.#answering = true;
    this.#paused = false;
  }

  /** The peer's log agrees with ours up to `match`, durably; `firstIndex` is our log's. A late reply only raises `match`. */
  accepted(request: RequestId, match: Index, firstIndex: Index): void {
    const released = this.#release(request);
    this.#match = Math.max(this.#match, match);
    this.#next = Math.max(this.#next, this.#match + 1);
    if (this.#state === "probe" && released !== "unknown") this.#becomeReplicate();
    if (this.#state !== "snapshot") return;
    if (this.#match >= firstIndex - 1) this.#becomeReplicate();
    else if (released === "awaited") this.#becomeProbe(this.#match + 1);
  }

  /**
   * The peer's log didn't agree with ours at `rejected`; `next` is where to try. A late rejection says nothing new about
   * where they agree: it answers an append that a probe has overtaken, or that came before what has been matched since.
   * But its entries were not taken, so the latter sends them again. An append that can't be rejected, and is, tells of a
   * log that was lost (see `Core.owes`).
   */
  rejected(request: RequestId, rejected: Index, next: Index): void {
    const isCertain = this.#window.get(request)?.isCertain === true;
    const released = this.#release(request);
    const current = this.#state === "replicate" ? released === "pipelined" : released === "awaited";
    if (!current) return;
    if (isCertain) this.#match = Math.min(this.#match, Math.max(0, Math.min(next, rejected) - 1));
    if (rejected > this.#match) {
      this.#becomeProbe(Math.max(this.#match + 1, Math.min(next, rejected)));
    } else if (this.#state === "replicate") {
      this.#next = this.#match + 1;
    }
  }

  /** The offered snapshot was refused: tried again after a pause. */
  snapshotRefused(request: RequestId): void {
    if (this.#release(request) !== "awaited" || this.#state !== "snapshot") return;
    this.#becomeProbe(this.#match + 1);
    this.#paused = true;
  }

  /** The request's answer will not come. Where a later one was answered, the peer lives, and only this one was lost. */
  unreachable(request: RequestId): void {
    const released = this.#release(request);
    const lives = request < this.#lastAnswered;
    if (!lives) this.#answering = false;
    if (released === "unknown" && lives) return;
    // What this probe or this snapshot awaits may still be answered.
    if (this.#state !== "replicate" && released !== "awaited") return;
    this.#becomeProbe(this.#match + 1);
    this.#paused = !lives;
  }

  /** A heartbeat interval went by: a silent peer is probed once more. */
  interval(): void {
    this.#paused = false;
  }

  /** Takes `request` out of the window; says what it was. */
  #release(request: RequestId): "awaited" | "pipelined" | "unknown" {
    const sent = this.#window.get(request);
    if (sent !== undefined) {
      this.#window.delete(request);
      this.#windowBytes -= sent.bytes;
    }
    if (request === this.#awaited) {
      this.#awaited = null;
      return "awaited";
    }
    return sent === undefined ? "unknown" : "pipelined";
  }

  #becomeProbe(next: Index): void {
    invariant(next > this.#match, `next ${next} at or before match ${this.#match}`);
    this.#state = "probe";
    this.#next = next;
    this.#awaited = null;
    this.#commitSent = 0;
  }

  #becomeReplicate(): void {
    this.#state = "replicate";
    this.#next = this.#match + 1;
    this.#awaited = null;
  }
}
