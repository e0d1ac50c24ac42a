/** What a replica says of itself. */
import type { RaftStatus } from "../raft/step.ts";
import type { RoomStatus } from "./room.ts";

export interface ReplicaStatus extends RaftStatus {
  readonly clusterId: string;
  readonly pendingProposals: number;
  /** Age of the oldest write that is not durable yet. */
  readonly persistLagMs: number;
  /** On the disk; null where nobody looks, or nobody has yet. */
  readonly room: RoomStatus | null;
}

/** One thing that has to hold for a node to be live or ready. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Whether a node lives, and whether it serves. */
export interface Health {
  readonly live: readonly HealthCheck[];
  readonly ready: readonly HealthCheck[];
}

/** What a node's health is judged by; times in milliseconds. */
export interface Vitals {
  readonly state: string;
  readonly leader: string | null;
  readonly persistLagMs: number;
  readonly stalenessMs: number | null;
  /** What disk and state may lag behind. */
  readonly patienceMs: number;
  readonly room: RoomStatus | null;
}

/** See {@link Health}. */
export function healthOf(vitals: Vitals): Health {
  const { state, leader, persistLagMs, stalenessMs, patienceMs, room } = vitals;
  const live = [
    { name: "running", ok: state === "running", detail: state },
    {
      name: "disk",
      ok: persistLagMs < patienceMs,
      detail: `${Math.round(persistLagMs)} ms behind`,
    },
  ];
  const ready = [
    ...live,
    // One that is read-only goes on serving reads.
    ...(room === null ? [] : [{ name: "room", ok: room.level !== "full", detail: roomText(room) }]),
    { name: "leader", ok: leader !== null, detail: leader ?? "none known" },
    {
      name: "caughtUp",
      ok: stalenessMs !== null && stalenessMs < patienceMs,
      detail: stalenessMs === null ? "never" : `${stalenessMs} ms old at most`,
    },
  ];
  return { live, ready };
}

function roomText({ level, freeBytes, wantedBytes }: RoomStatus): string {
  const numbers = `${freeBytes} bytes are free, ${wantedBytes} are wanted`;
  return level === "enough" ? numbers : `read-only, the disk is almost full: ${numbers}`;
}
