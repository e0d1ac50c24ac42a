/** Consensus alone: three cores, without I/O. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import { raftLimits } from "../../src/config.ts";
import {
  type Effects,
  type Message,
  type NodeId,
  Raft,
  type RaftEvent,
} from "../../src/raft/mod.ts";

const COMPACT_EVERY = 10_000;

/** Three replicas that share a thread, a clock that the loop moves on, and disks that are done at once. */
export class Trio {
  readonly #rafts = new Map<NodeId, Raft>();
  #now = 1;
  #id = 0;

  constructor() {
    const ids = ["n1", "n2", "n3"];
    const configuration = { voters: ids, outgoing: [], learners: [], urls: {} };
    for (const [at, id] of ids.entries()) {
      this.#rafts.set(
        id,
        new Raft({
          id,
          electionTimeoutMs: 500 + at * 10_000,
          heartbeatIntervalMs: 50,
          noticeDelayMs: 0,
          maxClockDrift: 0.1,
          maxClockJumpMs: 20,
          limits: { ...raftLimits, trailingEntries: 100 },
          random: () => 0,
          seal: sealEntry,
        }, {
          hardState: { term: 0, vote: null, commit: 0 },
          snapshot: { index: 0, term: 0, crc: 0, configuration },
          logStart: { index: 0, term: 0, crc: 0 },
          entries: [],
        }),
      );
    }
    for (const id of ids) this.#step(id, { type: "timeout" });
    while (this.leader.role !== "leader") {
      this.#now += 10;
      this.#step("n1", { type: "timeout" });
    }
  }

  get leader(): Raft {
    return this.#raft("n1");
  }

  propose(batch: readonly Uint8Array[]): void {
    this.#now += 0.1;
    this.#step("n1", { type: "propose", id: ++this.#id, commands: batch });
    this.#step("n1", { type: "timeout" });
    const { commit } = this.leader;
    if (commit - this.leader.status().snapshotIndex > COMPACT_EVERY) this.#compact();
  }

  #compact(): void {
    for (const [id, raft] of this.#rafts) {
      const index = raft.status().applied;
      const meta = {
        index,
        term: raft.termAt(index) ?? 0,
        crc: raft.crcAt(index) ?? 0,
        configuration: raft.configurationAt(index),
      };
      this.#step(id, { type: "snapshotted", meta });
    }
  }

  #raft(id: NodeId): Raft {
    const raft = this.#rafts.get(id);
    if (raft === undefined) throw new Error(`there is no ${id}`);
    return raft;
  }

  /** Steps, and then whatever follows from it, until nothing does. */
  #step(id: NodeId, event: RaftEvent): void {
    const queue: [NodeId, RaftEvent][] = [[id, event]];
    for (const [to, next] of queue) {
      const effects = this.#raft(to).step(next, this.#now);
      for (const message of sent(effects)) queue.push([message.to, { type: "receive", message }]);
      if (effects.persist !== null) {
        queue.push([to, { type: "persisted", seq: effects.persist.seq }]);
      }
      const last = effects.apply.at(-1);
      if (last !== undefined) queue.push([to, { type: "applied", index: last.index }]);
    }
  }
}

function sent({ send, persist }: Effects): readonly Message[] {
  return persist === null ? send : [...send, ...persist.sendAfter];
}
