/** What a process tells of itself: who leads, and what a new leader has. */
import type { KvResult } from "../../src/kv/result.ts";
import type { ReplicaObserver } from "../../src/ports.ts";
import type { Replica } from "../../src/replica.ts";
import { statusText } from "../raft/notation.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";

/** One life of one node. */
export interface Observed {
  readonly id: string;
  readonly oracles: Oracles;
  readonly probes: Probes;
  /** Null where this life is over, or has not begun to serve. */
  readonly replica: () => Replica<KvResult> | null;
  readonly note: (text: () => string) => void;
}

export function observerOf(observed: Observed): ReplicaObserver {
  let led = false;
  return {
    roleChanged: ({ role, term }) => {
      const replica = observed.replica();
      if (replica === null) return;
      const status = replica.status();
      observed.note(() => statusText(status));
      if (led && role !== "leader") observed.probes.reached("leader stepped down");
      led = role === "leader";
      if (led) leads(observed, replica, term);
    },
    persisted: () => {},
    proposalEnded: () => {},
    snapshotWritten: () => {},
    applied: () => {},
    readEnded: () => {},
    snapshotSent: () => {},
    snapshotInstalled: () => {},
  };
}

function leads({ id, oracles, probes }: Observed, replica: Replica<KvResult>, term: number): void {
  probes.reached(
    oracles.reference.lastIndex === 0 ? "leader elected" : "leader changed in the middle of a run",
  );
  const { firstIndex, configuration, commit } = replica.status();
  oracles.becameLeader(id, term, {
    firstIndex,
    configuration,
    commit,
    crcAt: (index) => replica.entries(index, 1)[0]?.crc,
  });
  oracles.onElected(id);
}
