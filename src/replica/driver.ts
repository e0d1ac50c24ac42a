/**
 * The driver: takes events to the consensus core and carries out its effects. The one place where purity meets I/O.
 *
 * What the core wants sent leaves at once, what it wants written goes to the WAL in order, promises leave when their
 * write is durable, and what is committed is applied. A broken invariant or a failed write halts it: nothing is
 * acknowledged any more, and `halted` tells the host to end the process.
 */
import { DiskFailure, NotApplied, PeerUnreachable } from "../errors.ts";
import type { SnapshotChunk, SnapshotChunkReply } from "../ports.ts";
import { isReply, type Message, type ReplyMessage, type RequestMessage } from "../raft/message.ts";
import { Raft } from "../raft/mod.ts";
import type { Answer, Effects, Persist, RaftEvent } from "../raft/step.ts";
import type { Configuration, Entry, Index, SnapshotMeta } from "../raft/types.ts";
import { Applier, type ApplierListener } from "./applier.ts";
import { clockJumpMs, ClockWatch } from "./clock-watch.ts";
import { DebtWatch } from "./debt.ts";
import { DiskWatch } from "./disk-watch.ts";
import { Inbox } from "./inbox.ts";
import { Notices } from "./notices.ts";
import { OneTimer } from "./one-timer.ts";
import type { ReplicaParts } from "./parts.ts";
import { Room } from "./room.ts";
import { sendSnapshot, transferTimeouts } from "./snapshot-transfer.ts";

/** Whom the driver tells what came of requests. */
export interface DriverListener<Result> extends ApplierListener<Result> {
  onAnswer(answer: Answer): void;
  /** On their way into the log, from whichever leader. */
  onLogged(entries: readonly Entry[]): void;
  /** They are on this disk. */
  onDurable(entries: readonly Entry[]): void;
  /** Role, term or leader changed. */
  onOffice(): void;
  /** No further event comes. */
  onEnd(): void;
}

/** Requests from peers that may await their reply at a time. */
const inboxMax = 4096;

export class Driver<Result> {
  readonly raft: Raft;
  readonly halted: Promise<Error>;
  /** On the disk. */
  readonly room: Room;
  readonly #parts: ReplicaParts<Result>;
  readonly #inbox = new Inbox(inboxMax);
  readonly #applier: Applier<Result>;
  readonly #clocks: ClockWatch;
  readonly #notices: Notices;
  readonly #events: RaftEvent[] = [];
  readonly #disk: DiskWatch;
  readonly #debt: DebtWatch;
  #listener: DriverListener<Result> | null = null;
  #state: "new" | "running" | "stopped" | "halted" = "new";
  #halt: (error: Error) => void = () => {};
  #draining = false;
  readonly #timer: OneTimer;
  /** Non-null while a received snapshot is put in place: what goes to the disk behind it waits here, in order. */
  #held: (() => void)[] | null = null;

  private constructor(
    parts: ReplicaParts<Result>,
    raft: Raft,
    applier: Applier<Result>,
    room: Room,
  ) {
    this.#parts = parts;
    this.raft = raft;
    this.#applier = applier;
    this.room = room;
    this.#clocks = new ClockWatch(parts.clock);
    this.#disk = new DiskWatch(parts.clock, parts.options.diskStallMs);
    this.#debt = new DebtWatch(parts.debt ?? null, parts.log);
    this.halted = new Promise((resolve) => this.#halt = resolve);
    this.#notices = new Notices(parts);
    const { heartbeatIntervalMs } = parts.options.raft;
    this.#timer = new OneTimer(parts.clock, heartbeatIntervalMs, () => this.#onTimer());
  }

  /**
   * Restores the state machine from the newest snapshot and the core from the log behind it.
   * @throws {CorruptData} {InvariantViolation} where snapshot and log contradict each other.
   */
  static async open<Result>(parts: ReplicaParts<Result>): Promise<Driver<Result>> {
    const room = new Room(parts);
    const { snapshots, options, recovered } = parts;
    const birth = { index: 0, term: 0, crc: 0, configuration: options.birth };
    const snapshot = snapshots.latest() ?? birth;
    const applier = await Applier.open(parts, snapshot, room);
    const raftOptions = { ...options.raft, maxClockJumpMs: clockJumpMs };
    const raft = new Raft(raftOptions, { ...recovered, snapshot, owes: parts.debt?.owes ?? null });
    return new Driver(parts, raft, applier, room);
  }

  /** Resolves when the log that was applied says that this replica is a member no more. */
  get removed(): Promise<void> {
    return this.#notices.removed;
  }

  get state(): "new" | "running" | "stopped" | "halted" {
    return this.#state;
  }

  /** The state machine reflects the log up to here. */
  get appliedIndex(): Index {
    return this.#applier.index;
  }

  /** Who takes part, as of {@link appliedIndex}. */
  get appliedConfiguration(): Configuration {
    return this.#applier.configuration;
  }

  /** Age of the oldest write that is not durable yet, in milliseconds. */
  get persistLagMs(): number {
    return this.#disk.lagMs;
  }

  /** Begins to take part. */
  start(listener: DriverListener<Result>): void {
    this.#listener = listener;
    this.#state = "running";
    this.step({ type: "applied", index: this.#applier.index });
    this.room.start(this);
  }

  /** Ends at once; resolves when the disk has what was handed to it. */
  async stop(): Promise<void> {
    if (this.#state === "stopped") return;
    const wasHalted = this.#state === "halted";
    this.#state = "stopped";
    this.#end();
    await this.#applier.abandonSnapshot();
    this.#parts.transport.close();
    if (!wasHalted) await this.#parts.wal.close();
  }

  async receive(message: RequestMessage): Promise<ReplyMessage> {
    this.assertRunning();
    if (message.type === "installSnapshot" && !this.#mayInstall(message.meta)) {
      const { from, to, id } = message;
      return {
        type: "installSnapshotReply",
        from: to,
        to: from,
        term: this.raft.term,
        id,
        success: false,
        match: 0,
      };
    }
    const { request, reply } = this.#inbox.admit(message);
    this.step({ type: "receive", message: request });
    return await reply;
  }

  async receiveChunk(chunk: SnapshotChunk): Promise<SnapshotChunkReply> {
    this.assertRunning();
    if (chunk.term < this.raft.term) return { offset: 0, refused: true };
    try {
      return await this.#applier.receiver.onChunk(chunk);
    } catch (error) {
      // What a sync failed on no later sync writes: the next life writes the part anew before it believes it.
      if (error instanceof DiskFailure) this.#haltWith(error);
      throw error;
    }
  }

  /** @throws {NotApplied} `not_ready` when halted or stopped. */
  assertRunning(): void {
    if (this.#state !== "running") throw new NotApplied("not_ready", "this node is stopping");
  }

  /** Steps the core, and through all that follows from it, one event at a time. */
  step(event: RaftEvent): void {
    // Before anything else after a suspension: what was timed so far must not answer it.
    if (!this.#draining && this.#clocks.jumped()) this.#events.push({ type: "clockJumped" });
    this.#events.push(event);
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        if (this.#state !== "running") break;
        this.#perform(this.raft.step(next, this.#parts.clock.now()));
        this.#debt.look(this.raft.owes);
      }
      if (this.#state === "running") {
        this.#armTimer();
        if (this.#notices.office(this.raft)) this.#listener?.onOffice();
        this.#notices.configuration(this.raft.configuration);
      }
    } catch (error) {
      this.#haltWith(error);
    } finally {
      this.#draining = false;
    }
  }

  #perform(effects: Effects): void {
    for (const message of effects.send) this.#send(message);
    if (effects.persist !== null) this.#persist(effects.persist, effects.restore);
    for (const answer of effects.answers) this.#listener?.onAnswer(answer);
    if (effects.apply.length > 0) this.#apply(effects.apply);
    if (effects.compactBefore !== null) {
      const before = effects.compactBefore;
      this.#inOrder(() => this.#parts.wal.compactBefore(before)).catch((error: unknown) =>
        this.#haltWith(error)
      );
    }
  }

  #send(message: Message): void {
    if (isReply(message)) return this.#inbox.onReply(message);
    this.#request(message).then(
      (reply) => this.step({ type: "receive", message: reply }),
      (error: unknown) => {
        if (!(error instanceof PeerUnreachable)) return this.#haltWith(error);
        this.#parts.log("debug", "a peer did not answer", {
          peer: message.to,
          type: message.type,
          error: error.message,
        });
        this.step({ type: "unreachable", peer: message.to, request: message.id });
      },
    );
  }

  #request(message: RequestMessage): Promise<ReplyMessage> {
    const { transport, snapshots, clock, observer, options } = this.#parts;
    if (message.type !== "installSnapshot") {
      return transport.request(message, options.peerTimeoutMs);
    }
    const wanted = () => this.#state === "running" && this.raft.leader === options.raft.id;
    const parts = { store: snapshots, transport, clock, observer };
    return sendSnapshot(parts, message, wanted, transferTimeouts(options.peerTimeoutMs));
  }

  #persist(persist: Persist, restore: SnapshotMeta | null): void {
    const { clock, observer } = this.#parts;
    if (persist.entries.length > 0) this.#listener?.onLogged(persist.entries);
    const at = clock.now();
    this.#disk.begun(persist.seq, at);
    if (restore !== null) {
      this.#inOrder(() => this.#restore(restore)).catch((error: unknown) => this.#haltWith(error));
    }
    this.#inOrder(() => this.#parts.wal.append(persist)).then(
      () => {
        this.#disk.ended(persist.seq);
        if (this.#state !== "running") return;
        const bytes = persist.entries.reduce((sum, { record }) => sum + record.length, 0);
        observer.persisted((clock.now() - at) / 1000, bytes);
        this.#listener?.onDurable(persist.entries);
        for (const message of persist.sendAfter) this.#send(message);
        this.step({ type: "persisted", seq: persist.seq });
      },
      (error: unknown) => this.#haltWith(error),
    );
  }

  async #restore(meta: SnapshotMeta): Promise<void> {
    this.#held = [];
    await this.#applier.restore(meta, this.#listener);
    this.#notices.applied(this.#applier.configuration);
    const held = this.#held;
    this.#held = null;
    for (const act of held) act();
  }

  /** At once, or behind the restoring that is under way. */
  #inOrder(act: () => Promise<void>): Promise<void> {
    if (this.#held === null) return act();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#held.push(() => void this.#inOrder(act).then(resolve, reject));
    return promise;
  }

  #apply(entries: readonly Entry[]): void {
    this.#applier.apply(entries, this.#listener);
    this.#notices.applied(this.#applier.configuration);
    this.#events.push({ type: "applied", index: this.#applier.index });
    this.snapshotIfDue();
  }

  /** Takes a snapshot where one is due: what was applied, or that the disk is almost full, may have made it so. */
  snapshotIfDue(): void {
    const onTaken = (meta: SnapshotMeta): void => this.step({ type: "snapshotted", meta });
    this.#applier.snapshotWhileDue(() => this.raft.snapshotIndex, onTaken).catch(
      (error: unknown) => this.#haltWith(error),
    );
  }

  /** A snapshot at or below commit changes nothing and needs no bytes; any other must be here, whole and sound. */
  #mayInstall(meta: SnapshotMeta): boolean {
    return meta.index <= this.raft.commit || this.#applier.receiver.holds(meta);
  }

  /** When somebody wants to be called. */
  #armTimer(): void {
    this.#timer.arm(Math.min(this.raft.deadline(), this.#disk.deadline()));
  }

  #onTimer(): void {
    if (this.#state !== "running") return;
    if (this.#disk.isOverdue()) {
      const { diskStallMs } = this.#parts.options;
      this.#haltWith(new DiskFailure(`a write to disk has not ended after ${diskStallMs} ms`));
      return;
    }
    if (this.raft.deadline() <= this.#parts.clock.now()) this.step({ type: "timeout" });
    else this.#armTimer();
  }

  /** How old the state machine's state is at most, in milliseconds; null where that is not known. */
  get ageMs(): number | null {
    if (this.#clocks.jumped()) this.step({ type: "clockJumped" });
    const now = this.#parts.clock.now();
    const at = this.raft.freshAt(now, this.#applier.index);
    if (at === null) return null;
    return at >= now ? 0 : now - at + Math.max(0, this.#clocks.gainedMs());
  }

  #haltWith(error: unknown): void {
    if (this.#state === "halted" || this.#state === "stopped") return;
    this.#state = "halted";
    const reason = error instanceof Error ? error : new Error(String(error));
    this.#parts.log("error", "halted", { reason: reason.name, error: reason.message });
    this.#end();
    this.#halt(reason);
  }

  #end(): void {
    this.#timer.cancel();
    this.room.stop();
    this.#events.length = 0;
    this.#inbox.abandon();
    this.#listener?.onEnd();
  }
}
