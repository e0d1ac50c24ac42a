/** What must hold at every step of every run, watched from outside: thesis figure 3.2, and the promises of `Persist`. */
import { invariant } from "../../src/assert.ts";
import type {
  Answer,
  Configuration,
  Entry,
  Message,
  NodeId,
  Persist,
  RaftStatus,
  RequestId,
  SnapshotMeta,
} from "../../src/raft/mod.ts";
import { decodeConfiguration, membersOf } from "../../src/raft/membership.ts";
import { isReply } from "../../src/raft/mod.ts";
import type { Disk } from "./disk.ts";
import { entryName, messageText } from "./notation.ts";

/** What the watcher sees of a node; `entry` looks into its log in memory. */
export interface Watched {
  readonly id: NodeId;
  readonly disk: Disk;
  readonly status: RaftStatus;
  entry(index: number): Entry | undefined;
}

interface Committed {
  readonly term: number;
  readonly crc: number;
  /** The term of the leader that committed it; that entry's own, or a later one. */
  readonly byTerm: number;
}

export class Invariants {
  /** The furthest commit that anybody ever knew: what a linearizable read must reflect. */
  commit = 0;
  #time = 0;
  /** When the furthest commit was which. */
  readonly #commits: { readonly time: number; readonly index: number }[] = [];
  readonly #disks: ReadonlyMap<NodeId, Disk>;
  readonly #committed: Committed[] = [{ term: 0, crc: 0, byTerm: 0 }];
  /** The last one committed. */
  #configuration: Configuration;
  readonly #leaders = new Map<number, NodeId>();
  readonly #chains = new Map<string, number>();
  readonly #votes = new Map<string, NodeId>();
  readonly #lives = new Map<NodeId, RaftStatus>();
  readonly #floors = new Map<string, number>();
  /** Requests that a node received and has not answered, by receiver, sender and id. */
  readonly #owed = new Map<string, number>();

  constructor(disks: ReadonlyMap<NodeId, Disk>, birth: Configuration) {
    this.#disks = disks;
    this.#configuration = birth;
  }

  /** A process died: what it held in memory may go back to what its disk has. */
  died(id: NodeId): void {
    this.#lives.delete(id);
    for (const keyed of [this.#floors, this.#owed]) {
      for (const key of keyed.keys()) if (key.startsWith(`${id} `)) keyed.delete(key);
    }
  }

  /** Reads that got no answer, and requests that got no reply, of those who live. */
  get open(): string[] {
    return [
      ...[...this.#floors.keys()].map((key) => `read ${key}`),
      ...[...this.#owed.keys()].map((key) => `request ${key}`),
    ];
  }

  receiving(message: Message): void {
    if (isReply(message)) return;
    const key = `${message.to} owes ${message.from} ${message.id} ${message.type}Reply`;
    this.#owed.set(key, (this.#owed.get(key) ?? 0) + 1);
  }

  /** After a step at `time`. */
  stepped(node: Watched, time: number): void {
    const { id, status } = node;
    this.#time = time;
    const before = this.#lives.get(id);
    this.#lives.set(id, status);
    if (before !== undefined) {
      invariant(
        status.term >= before.term,
        `${id}'s term went back from ${before.term} to ${status.term}`,
      );
      invariant(
        status.commit >= before.commit,
        `${id}'s commit went back from ${before.commit} to ${status.commit}`,
      );
    }
    invariant(status.commit <= status.lastIndex, `${id} commits beyond its log`);
    invariant(status.applied <= status.commit, `${id} applied what is not committed`);
    if (status.role === "leader") this.#led(node, before);
    for (
      let index = (before?.commit ?? status.snapshotIndex) + 1;
      index <= status.commit;
      index++
    ) {
      this.#learnedCommit(node, index, before ?? status);
    }
  }

  /** A node holds its state to be complete as of `time`. */
  fresh(id: NodeId, time: number, applied: number): void {
    // Times were converted between clocks: a microsecond's grace.
    const then = this.#commits.findLast((commit) => commit.time < time - 0.001);
    invariant(
      then === undefined || applied >= then.index,
      `${id} holds ${applied} to be complete as of ${time}, and ${then?.index} was committed then`,
    );
  }

  /** Before a write, of a step before which `committed` was the node's commit. Log matching: with chained CRCs, one index and term mean one history. */
  writing(node: Watched, persist: Persist, committed: number): void {
    const { id } = node;
    for (const entry of persist.entries) {
      const name = entryName(entry);
      const known = this.#chains.get(name);
      invariant(
        known === undefined || known === entry.crc,
        `log matching: ${id} has another history at ${name}`,
      );
      this.#chains.set(name, entry.crc);
    }
    invariant(
      persist.truncateFrom === null || persist.truncateFrom > committed,
      `${id} cuts from ${persist.truncateFrom}, and has committed ${committed}`,
    );
  }

  applying(node: Watched, entry: Entry, applied: number): void {
    const { id, disk, status } = node;
    invariant(
      entry.index === applied + 1,
      `${id} applies ${entry.index} after ${applied}`,
    );
    invariant(entry.index <= status.commit, `${id} applies ${entry.index} before it is committed`);
    const committed = this.#committed[entry.index];
    invariant(
      committed !== undefined && committed.term === entry.term && committed.crc === entry.crc,
      `state machine safety: ${id} applies ${entryName(entry)}, committed is ${committed?.term}`,
    );
    invariant(
      disk.entry(entry.index)?.crc === entry.crc,
      `${id} applies ${entryName(entry)} before it is durable there`,
    );
  }

  restoring(id: NodeId, meta: SnapshotMeta, applied: number): void {
    const committed = this.#committed[meta.index];
    invariant(meta.index > applied, `${id} goes back from ${applied} to snapshot ${meta.index}`);
    invariant(
      committed !== undefined && committed.crc === meta.crc && committed.term === meta.term,
      `${id} restores ${entryName(meta)}, which was not committed so`,
    );
  }

  /** As a message leaves: whatever it promises is durable. */
  sending(node: Watched, message: Message): void {
    const { disk, id } = node;
    const { hardState } = disk;
    const { type, term } = message;
    const check = (holds: boolean, broken: string): void => {
      if (!holds) invariant(false, `${messageText(message)}: ${broken}`);
    };
    check(message.from === id && message.to !== id, `sent by ${id}`);
    if (isReply(message)) check(this.#paid(message), "answers no request");
    if (type !== "preVote" && type !== "preVoteReply") {
      check(hardState.term >= term, "the term is not durable");
    }
    const pledged = type === "vote"
      ? id
      : type === "voteReply" && message.granted
      ? message.to
      : null;
    if (pledged !== null) {
      check(hardState.term > term || hardState.vote === pledged, "the vote is not durable");
      this.#voted(id, term, pledged);
    }
    if (type === "appendReply" && message.success) {
      // A later leader may have cut what this one still saw; then our term is past the message's.
      const last = Math.max(disk.lastIndex, disk.snapshot.meta.index);
      check(hardState.term > term || message.match <= last, `the disk ends at ${last}`);
    }
  }

  /** Each request gets exactly one reply. */
  #paid(reply: Message): boolean {
    const key = `${reply.from} owes ${reply.to} ${reply.id} ${reply.type}`;
    const owed = this.#owed.get(key) ?? 0;
    if (owed > 1) this.#owed.set(key, owed - 1);
    else this.#owed.delete(key);
    return owed > 0;
  }

  readAsked(id: NodeId, request: RequestId): void {
    this.#floors.set(`${id} ${request}`, this.commit);
  }

  answered(id: NodeId, answer: Answer): void {
    if (answer.type !== "readable" && answer.type !== "readRejected") return;
    const key = `${id} ${answer.id}`;
    const floor = this.#floors.get(key);
    invariant(floor !== undefined, `${id} answers read ${answer.id}, which nobody waits for`);
    this.#floors.delete(key);
    if (answer.type === "readRejected") return;
    invariant(
      answer.index >= floor,
      `stale read: ${id} answers ${answer.index}, and ${floor} was committed when it was asked`,
    );
  }

  #led(node: Watched, before: RaftStatus | undefined): void {
    const { id, status } = node;
    const known = this.#leaders.get(status.term);
    invariant(known === undefined || known === id, `${known} and ${id} both lead ${status.term}`);
    this.#leaders.set(status.term, id);
    if (before?.role === "leader" && before.term === status.term) return;
    this.#committed.forEach((committed, index) => {
      if (committed.byTerm <= status.term) this.#holds(node, index, committed);
    });
  }

  #holds(node: Watched, index: number, committed: Committed): void {
    const { status } = node;
    if (index < status.firstIndex || index === 0) return;
    const entry = node.entry(index);
    invariant(
      entry !== undefined && entry.crc === committed.crc,
      `leader completeness: ${status.id}, elected in ${status.term}, lacks ${index}@${committed.term}`,
    );
  }

  #learnedCommit(node: Watched, index: number, before: RaftStatus): void {
    const { id, status } = node;
    const entry = node.entry(index);
    const known = this.#committed[index];
    if (entry === undefined) return;
    if (known !== undefined) {
      invariant(known.crc === entry.crc, `${id} commits another ${index} than others did`);
      return;
    }
    invariant(
      index === this.#committed.length,
      `${id} commits ${index}, and ${this.#committed.length} is unknown`,
    );
    this.#committed.push({ term: entry.term, crc: entry.crc, byTerm: status.term });
    this.commit = index;
    this.#commits.push({ time: this.#time, index });
    if (entry.kind === "configuration") this.#reconfigures(decodeConfiguration(entry.payload));
    invariant(
      // Counted before the step's own change of membership, or after it.
      [before, status].some(({ configuration }) => this.#durableOnQuorum(configuration, entry)),
      `${id} commits ${entryName(entry)}, which a majority's disks don't have`,
    );
  }

  /** Majorities overlap from each configuration to the next, and nobody comes back (thesis 4.3). */
  #reconfigures(next: Configuration): void {
    const { voters, outgoing, removed = [] } = this.#configuration;
    const same = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
      a.length === b.length && a.every((id) => b.includes(id));
    const entersJoint = outgoing.length === 0 && same(next.outgoing, voters);
    const leavesJoint = same(next.voters, voters) &&
      (next.outgoing.length === 0 || same(next.outgoing, outgoing));
    invariant(
      entersJoint || leavesJoint,
      `from voters ${voters.join()} to ${next.voters.join()} at once`,
    );
    for (const id of removed) {
      invariant(next.removed?.includes(id) === true, `${id} is not removed any more`);
      invariant(!membersOf(next).includes(id), `${id} comes back`);
    }
    this.#configuration = next;
  }

  #durableOnQuorum(configuration: Configuration, entry: Entry): boolean {
    const durable = (id: NodeId): boolean => {
      const disk = this.#disks.get(id);
      // A member that only a test's hand speaks for is taken at its word.
      if (disk === undefined) return true;
      return disk.snapshot.meta.index >= entry.index || disk.entry(entry.index)?.crc === entry.crc;
    };
    return [configuration.voters, configuration.outgoing].every((half) =>
      half.length === 0 || half.filter(durable).length * 2 > half.length
    );
  }

  #voted(id: NodeId, term: number, vote: NodeId): void {
    const key = `${id}@${term}`;
    const known = this.#votes.get(key);
    invariant(known === undefined || known === vote, `${key} votes for ${known} and for ${vote}`);
    this.#votes.set(key, vote);
  }
}
