/**
 * Room on the disk. A write that finds none ends the process, so a replica looks ahead. Three levels:
 *
 * - `enough`: the reserve and the next snapshot fit.
 * - `short`: they don't. The node is read-only: as a leader it refuses what makes the state larger, before it appends, and
 *   gives way to a voter that has room; as a follower it goes on, for the cluster is not to stop over one disk. It
 *   takes a snapshot as soon as that can free some of the log.
 * - `full`: half of the reserve is gone too. What is left is for votes, terms, and what few entries a leader makes of its
 *   own. No command comes in, and as a follower it takes neither commands nor snapshots, but answers its leader.
 *
 * Room that comes back is believed once there is a quarter of the reserve more of it, so that nothing flaps.
 */
import { NotApplied, PeerUnreachable } from "../errors.ts";
import type { DiskSpace, SnapshotChunk, StateMachine } from "../ports.ts";
import type { RequestMessage } from "../raft/message.ts";
import type { RaftEvent } from "../raft/step.ts";
import type { Shortage } from "../raft/room.ts";
import type { NodeId, RoomLevel } from "../raft/types.ts";
import type { ReplicaParts } from "./parts.ts";

/** How often the disk is looked at, in milliseconds. */
export const roomLookMs = 250;
/** How long a leader waits for the refusal of its entries, so that it doesn't send them all the time, in milliseconds. */
const refusalDelayMs = 200;

/** As it was at the last look. Sizes in bytes. */
export interface RoomStatus {
  readonly level: RoomLevel;
  readonly freeBytes: number;
  /** What has to be free: the reserve, and the next snapshot. */
  readonly wantedBytes: number;
}

/** What a room stands on; `ReplicaParts` are such. */
export interface RoomParts extends Pick<ReplicaParts<unknown>, "clock" | "log" | "space"> {
  readonly options: { readonly raft: { readonly id: NodeId } };
  readonly machine: Pick<StateMachine<unknown>, "isFrugal">;
}

/** What follows from a change of level, for the driver to do: a snapshot may be due now, or fit. */
export interface RoomListener {
  step(event: RaftEvent & { readonly type: "room" }): void;
  snapshotIfDue(): void;
}

export class Room {
  readonly #parts: RoomParts;
  #level: RoomLevel = "enough";
  #freeBytes: number | null = null;
  /** At most so large is the next snapshot. */
  #snapshotBytes: () => number = () => 0;
  #listener: RoomListener | null = null;
  #cancel: () => void = () => {};
  #running = false;
  #untold = true;
  /** Leaders are told that it is short. */
  #tells = false;

  constructor(parts: RoomParts) {
    this.#parts = parts;
  }

  get level(): RoomLevel {
    return this.#level;
  }

  /** Null before the first look, and where nobody looks. */
  get status(): RoomStatus | null {
    if (this.#freeBytes === null) return null;
    return { level: this.#level, freeBytes: this.#freeBytes, wantedBytes: this.#wantedBytes };
  }

  /** Told by whoever writes snapshots: how large the next one is at most. */
  expectSnapshot(bytes: () => number): void {
    this.#snapshotBytes = bytes;
  }

  /** Looks, and goes on doing so. */
  start(listener: RoomListener): void {
    const { space } = this.#parts;
    if (space === null || space === undefined) return;
    this.#running = true;
    this.#listener = listener;
    void this.#look(space);
  }

  stop(): void {
    this.#running = false;
    this.#cancel();
  }

  /** Whether a file of so many bytes may be written, and a quarter of the reserve is left. */
  fits(bytes: number): boolean {
    return this.#freeBytes === null || this.#freeBytes - bytes >= this.#reserveBytes / 4;
  }

  /** Whether this message's entries can't be kept. Those that leaders make of their own are few, and needed to serve. */
  refuses(message: RequestMessage): boolean {
    return this.#level === "full" && message.type === "append" &&
      message.entries.some(({ kind }) => kind === "command");
  }

  /** Whether what is to come of this snapshot can't be kept. */
  refusesChunk({ size, offset }: SnapshotChunk): boolean {
    return this.#level === "full" || !this.fits(size - offset);
  }

  /** Rejects, in a while, with what the leader takes for a message that was not delivered. */
  async refuse(): Promise<never> {
    const { clock } = this.#parts;
    await new Promise<void>((resolve) => void clock.timer(clock.now() + refusalDelayMs, resolve));
    throw new PeerUnreachable(this.#why([this.#id]), false);
  }

  /**
   * Of a command that is about to be appended here. `shortage` is the leader's, who knows of the others' disks, too.
   * @throws {NotApplied} where it must not be.
   */
  admit(command: Uint8Array, shortage: Shortage | null): void {
    if (shortage === null) return;
    const { level, voters } = shortage;
    if (level === "short" && this.#parts.machine.isFrugal?.(command) === true) return;
    throw new NotApplied("not_ready", this.#why(voters));
  }

  get #id(): NodeId {
    return this.#parts.options.raft.id;
  }

  get #reserveBytes(): number {
    return this.#parts.space?.reserveBytes ?? 0;
  }

  get #wantedBytes(): number {
    return this.#reserveBytes + this.#snapshotBytes();
  }

  #why(short: readonly NodeId[]): string {
    const { status } = this;
    const numbers = status !== null && status.level !== "enough"
      ? `: ${this.#id} has ${status.freeBytes} bytes left and wants ${status.wantedBytes}`
      : "";
    const what = short.length === 1
      ? `the disk of ${short[0]} is`
      : `the disks of ${short.join(", ")} are`;
    return `${what} almost full${numbers}; nothing is written until there is room again`;
  }

  async #look(space: DiskSpace): Promise<void> {
    const { clock, log } = this.#parts;
    try {
      this.#freeBytes = await space.free();
    } catch (error) {
      if (this.#untold) log("warn", "how full the disk is can't be told", { error: String(error) });
      this.#untold = false;
    }
    if (!this.#running) return;
    if (this.#freeBytes !== null) this.#judge(this.#freeBytes);
    this.#cancel = clock.timer(clock.now() + roomLookMs, () => void this.#look(space));
  }

  #judge(freeBytes: number): void {
    const before = this.#level;
    const reserve = this.#reserveBytes;
    const isFull = freeBytes < (before === "full" ? 0.75 : 0.5) * reserve;
    const wanted = this.#wantedBytes + (before === "enough" ? 0 : reserve / 4);
    this.#level = isFull ? "full" : freeBytes < wanted ? "short" : "enough";
    const level = this.#level;
    const tells = level !== "enough" && this.#parts.space?.isUnderstood?.() !== false;
    if (level === before && tells === this.#tells) return;
    this.#tells = tells;
    this.#listener?.step({ type: "room", level, tells });
    if (level === before) return;
    this.#tell(freeBytes);
    this.#listener?.snapshotIfDue();
  }

  #tell(freeBytes: number): void {
    const { log } = this.#parts;
    const fields = { id: this.#id, freeBytes, wantedBytes: this.#wantedBytes };
    switch (this.#level) {
      case "enough":
        return log("info", "the disk has room again: this node takes writes", fields);
      case "short":
        return log("warn", "the disk is almost full: this node is read-only", fields);
      case "full":
        return log("error", "the disk is full: this node takes no entries any more", fields);
    }
  }
}
