/**
 * Who takes part, as the logs on the disks say it: the configurations that were committed, one after the other, those
 * that may come next, and what was asked for. They are read and judged here by rules of their own, not by the core's.
 */
import type { MemberRequest, MembersView } from "../../src/ports.ts";
import type { Configuration, Entry, SnapshotMeta } from "../../src/raft/types.ts";
import {
  type Asked,
  canonical,
  configurationIn,
  fulfils,
  goalOf,
  isQuorum,
  membersOf,
  sameGoal,
  sameIds,
  wanted,
} from "./member-requests.ts";
import type { Probes } from "./probes.ts";
import type { Point, WalModel } from "./wal-model.ts";

/** A configuration, and the entry that brought it. */
export interface Seat extends Point {
  readonly configuration: Configuration;
  /** The name of the one before it in its log. */
  readonly parent: string;
}

/** What somebody was told to have got. */
interface Claim {
  readonly request: MemberRequest;
  readonly view: MembersView;
}

export interface MembershipParts {
  readonly birth: Configuration;
  /** Of every node that ever was. */
  readonly logs: ReadonlyMap<string, WalModel>;
  readonly probes: Probes;
  readonly fail: (what: string) => void;
}

export class Memberships {
  readonly #parts: MembershipParts;
  /** All that anybody ever wrote, by their entries' names. */
  readonly #known = new Map<string, Seat>();
  /** Oldest first. */
  readonly #committed: Seat[];
  /** The entry that opened each term. */
  readonly #opened = new Map<number, Point>();
  readonly #removed = new Set<string>();
  readonly #asked: Asked[] = [];
  /** Who may have asked for what was committed. */
  readonly #causes = new Map<Seat, Set<Asked>>();
  #claims: Claim[] = [];

  constructor(parts: MembershipParts) {
    this.#parts = parts;
    const { birth } = parts;
    this.#committed = [{ index: 0, term: 0, crc: 0, configuration: birth, parent: "" }];
  }

  /** The last that is known to be committed. */
  get last(): Seat {
    const last = this.#committed.at(-1);
    if (last === undefined) throw new RangeError("no configuration was ever committed");
    return last;
  }

  /** Ids that were members, and never will be again. */
  get removed(): ReadonlySet<string> {
    return this.#removed;
  }

  /** What a state that reflects the committed log up to `index` says. */
  at(index: number): Seat {
    return this.#committed.findLast((seat) => seat.index <= index) ?? this.last;
  }

  /** What a node goes by, or would go by if it began anew from its disk. */
  of(log: WalModel, as: "runs" | "restarts"): Configuration {
    const seat = as === "runs" ? log.begunSeats.at(-1) : log.lastSeat;
    const known = seat === undefined ? undefined : this.#known.get(nameOf(seat));
    return (known ?? this.at(log.base.index)).configuration;
  }

  /** What is committed, and what a leader has made of that and may still get committed. */
  inPlay(): readonly Configuration[] {
    const { last } = this;
    const name = nameOf(last);
    const next = [...this.#known.values()].filter(({ parent }) => parent === name);
    return [last, ...next].map(({ configuration }) => configuration);
  }

  /** Whether quorums are left of all that is in play without `id`, where `unreliable` ones are gone as well. */
  maySpare(id: string, unreliable: (id: string) => boolean): boolean {
    const halves = this.inPlay().flatMap(({ voters, outgoing, next }) => [
      voters,
      outgoing,
      next?.voters ?? [],
    ]);
    return halves.every((half) => {
      const gone = half.filter((each) => each === id || unreliable(each));
      return !half.includes(id) || 2 * gone.length < half.length;
    });
  }

  /** A node begins to write these; its log has them already. */
  begun(id: string, log: WalModel, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { index, term, crc } = entry;
      if (!this.#opened.has(term)) this.#opened.set(term, { index, term, crc });
      if (entry.kind !== "configuration" || this.#known.has(nameOf(entry))) continue;
      const parent = log.begunSeats.findLast((seat) => seat.index < index);
      const before = parent === undefined
        ? this.at(log.base.index)
        : this.#known.get(nameOf(parent)) ?? this.last;
      const configuration = configurationIn(entry.payload);
      const seat = { index, term, crc, configuration, parent: nameOf(before) };
      this.#known.set(nameOf(entry), seat);
      this.#mayBegin(id, seat, before);
    }
  }

  /**
   * One at a time, and none before this term's first commit (thesis 4.1, and its erratum); and whoever is to vote has
   * come as far as to where it was let in.
   */
  #mayBegin(id: string, entry: Seat, before: Seat): void {
    const { fail, logs } = this.#parts;
    for (const voter of entry.configuration.voters) {
      if (before.configuration.voters.includes(voter)) continue;
      const { index, crc } = this.#letIn(voter, before);
      if (logs.get(voter)?.holds(index, crc) === true) continue;
      fail(`${id} lets ${voter} vote at ${nameOf(entry)}, and it doesn't even have ${index}`);
    }
    if (!this.#isOnQuorum(before.configuration, before)) {
      fail(`${id} changes the members at ${nameOf(entry)}, and ${nameOf(before)} isn't committed`);
    }
    const opened = this.#opened.get(entry.term) ?? entry;
    if (opened.index === entry.index || !this.#isOnQuorum(before.configuration, opened)) {
      fail(
        `${id} changes the members at ${nameOf(entry)}, before anything of its term is committed`,
      );
    }
  }

  /** Where it was said, the last time before `seat`, that `voter` is to vote. */
  #letIn(voter: string, seat: Seat): Seat {
    const before = this.#known.get(seat.parent);
    const isFirst = before?.configuration.next?.voters.includes(voter) !== true;
    return isFirst ? seat : this.#letIn(voter, before);
  }

  #isOnQuorum(configuration: Configuration, { index, crc }: Point): boolean {
    return isQuorum(configuration, (id) => this.#parts.logs.get(id)?.holds(index, crc) === true);
  }

  /** A node says, to itself or to others, that its log is committed up to `commit`. */
  committed(id: string, commit: number): void {
    const seats = this.#parts.logs.get(id)?.begunSeats ?? [];
    if ((seats.at(-1)?.index ?? 0) <= this.last.index) return;
    for (const point of seats) {
      const seat = this.#known.get(nameOf(point));
      if (seat === undefined || seat.index <= this.last.index || seat.index > commit) continue;
      this.#adopt(id, seat);
    }
  }

  #adopt(id: string, seat: Seat): void {
    const { fail, probes } = this.#parts;
    const before = this.last;
    const { configuration } = seat;
    if (seat.parent !== nameOf(before)) {
      fail(`${nameOf(seat)} changes ${seat.parent}, where ${nameOf(before)} was committed`);
    }
    if (!this.#isOnQuorum(configuration, seat)) {
      fail(`${id} commits ${nameOf(seat)}, which a majority's disks don't have`);
    }
    const wrong = this.#wrongStep(before.configuration, configuration);
    if (wrong !== null) fail(`${nameOf(seat)}: ${wrong}`);
    this.#seekCause(before.configuration, seat);
    if (configuration.outgoing.length > 0) probes.reached("members changed jointly");
    const stay = membersOf(configuration);
    for (const gone of membersOf(before.configuration)) {
      if (stay.includes(gone)) continue;
      this.#removed.add(gone);
      probes.reached("member removed");
    }
    this.#committed.push(seat);
  }

  /** Quorums overlap from each configuration to the next, and nobody comes back (thesis 4.3). */
  #wrongStep(before: Configuration, after: Configuration): string | null {
    const { voters, outgoing, removed = [] } = before;
    const entersJoint = outgoing.length === 0 && sameIds(after.outgoing, voters);
    const leavesJoint = sameIds(after.voters, voters) &&
      (after.outgoing.length === 0 || sameIds(after.outgoing, outgoing));
    if (!entersJoint && !leavesJoint) {
      return `from voters ${voters.join()} to ${after.voters.join()} at once`;
    }
    const members = membersOf(after);
    const back = members.find((id) => this.#removed.has(id));
    if (back !== undefined) return `${back} was removed, and comes back`;
    const gone = [...removed, ...membersOf(before).filter((id) => !members.includes(id))];
    const forgotten = gone.find((id) => after.removed?.includes(id) !== true);
    return forgotten === undefined ? null : `${forgotten} is gone, and not said to be removed`;
  }

  /** Nothing changes that nobody asked for, or that was refused. */
  #seekCause(before: Configuration, seat: Seat): void {
    const { fail, probes } = this.#parts;
    const { configuration } = seat;
    const goal = goalOf(configuration);
    if (sameGoal(goalOf(before), goal)) {
      if (
        before.next !== undefined && before.outgoing.length === 0 &&
        configuration.outgoing.length > 0
      ) {
        probes.reached("newcomer promoted");
      }
      return;
    }
    const { voters, learners, next } = before;
    if (
      next !== undefined && configuration.next === undefined && sameGoal(goal, { voters, learners })
    ) {
      return probes.reached("newcomer given up");
    }
    if (next !== undefined) probes.reached("newcomer taken back");
    const causes = this.#asked.filter(({ request, outcome }) =>
      outcome !== "refused" && sameGoal(wanted(goalOf(before), request), goal)
    );
    if (causes.length === 0) {
      fail(
        `${nameOf(seat)} makes ${JSON.stringify(goal)} of ${
          JSON.stringify(goalOf(before))
        }, which nobody asked for`,
      );
    }
    this.#causes.set(seat, new Set(causes));
  }

  /** A snapshot stands for the log up to its index, the membership among it. */
  snapshot(id: string, { index, configuration }: SnapshotMeta): void {
    const expected = this.at(index);
    if (canonical(configuration) === canonical(expected.configuration)) return;
    this.#parts.fail(
      `${id} has a snapshot of ${index} with ${canonical(configuration)}, where ${
        canonical(expected.configuration)
      } was committed`,
    );
  }

  // What was asked for.

  asked(request: MemberRequest): Asked {
    const asked: Asked = { request, outcome: "open" };
    this.#asked.push(asked);
    return asked;
  }

  /** Nothing was done about it, and nothing ever will be. */
  refused(asked: Asked, how: string): void {
    asked.outcome = "refused";
    for (const [seat, causes] of this.#causes) {
      if (!causes.delete(asked) || causes.size > 0) continue;
      this.#parts.fail(
        `${JSON.stringify(asked.request)} was answered as ${how}, and stands at ${nameOf(seat)}`,
      );
    }
  }

  /** It is so, or has begun to be. */
  answered(asked: Asked, view: MembersView): void {
    asked.outcome = view.changing ? "begun" : "over";
    this.#claims.push({ request: asked.request, view });
  }

  /** At the end of a run: whether what was told was so. */
  close(): void {
    this.#claims = this.#claims.filter((claim) => !this.#isTrue(claim));
    const [{ request, view } = {}] = this.#claims;
    if (request === undefined || view === undefined) return;
    this.#parts.fail(
      `${JSON.stringify(request)} was answered with ${canonical(view.configuration)}, ${
        view.changing ? "begun" : "over"
      }, which was never so`,
    );
  }

  /** Newcomers that didn't catch up stay learners: then the change had begun, and was given up. */
  #isTrue({ request, view: { configuration, changing } }: Claim): boolean {
    const text = canonical(configuration);
    const was = this.#committed.find((seat) => canonical(seat.configuration) === text);
    if (!changing && was === undefined) return false;
    const until = changing ? Infinity : was?.index ?? 0;
    return this.#committed.some((seat) =>
      seat.index <= until && fulfils(seat.configuration, request)
    );
  }
}

function nameOf({ index, term }: Pick<Point, "index" | "term">): string {
  return `${index}@${term}`;
}
