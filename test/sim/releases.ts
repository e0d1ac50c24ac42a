/**
 * Which release each node runs, where they are upgraded while the cluster serves: a process of the old one knows
 * nothing of the cluster's versions, as 0.1.0 doesn't, and those of the new one see to it that it needn't.
 */
import type { DataDirectory } from "../../src/adapters/data-directory.ts";
import type { WireVersion } from "../../src/adapters/wire-version.ts";
import { PeerUnreachable } from "../../src/errors.ts";
import { newestVersion } from "../../src/kv/cluster-version.ts";
import { decodeCommand } from "../../src/kv/command-codec.ts";
import { KvMachine, type KvMachineOptions } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Clock } from "../../src/ports.ts";
import type { Replica } from "../../src/replica.ts";
import { Versions } from "../../runtimes/versions.ts";
import type { Random } from "./random.ts";
import type { Simulation } from "./simulation.ts";

/** What the wire of a process says and hears. */
export interface ReleaseWire extends Pick<WireVersion, "speaks" | "needs" | "raise"> {
  hear(from: string, version: number): void;
}

/** How often a node is started as the other release. */
const upgradeShare = 0.5;
const wayBackShare = 0.15;

/** A state machine that knows what 0.1.0 knew. */
class OldMachine extends KvMachine {
  override apply(entry: { readonly payload: Uint8Array }): KvResult {
    const { type } = decodeCommand(entry.payload);
    if (type !== "upgrade") return super.apply(entry);
    return { type: "malformed", revision: this.store.revision, detail: "of no known type" };
  }

  override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await super.restore(chunks);
    if (this.version > 1) throw new Error("0.1.0 has read a snapshot that it doesn't know");
  }
}

/** What a node's processes run, one after the other. */
export class Releases {
  /** Whether one has ever run the new one. */
  wasNew = false;
  isSettled = false;
  readonly #sim: Simulation;
  readonly #random: Random;
  #speaks = 1;

  constructor(sim: Simulation, random: Random) {
    this.#sim = sim;
    this.#random = random;
  }

  /** It was started as the old one. */
  get isOld(): boolean {
    return this.#speaks === 1;
  }

  /** What the next process runs: what an operator takes, who doesn't start the old one where that is barred. */
  begin(
    storage: DataDirectory,
    { clock, onDefect }: { readonly clock: Clock; readonly onDefect: (error: Error) => void },
  ): ReleaseProcess {
    const { probes } = this.#sim;
    const roll = this.#random.next();
    const wasOld = this.isOld;
    const goesBack = !wasOld && roll < wayBackShare && !this.isSettled;
    this.#speaks = this.isSettled || roll < upgradeShare ? newestVersion : this.#speaks;
    if (goesBack) this.#speaks = 1;
    if (this.isOld && storage.format > 1) {
      probes.reached("old release barred from a directory");
      this.#speaks = newestVersion;
    } else if (goesBack) probes.reached("node taken back to the old release");
    if (wasOld && !this.isOld) probes.reached("node upgraded");
    if (this.isOld) return oldProcess;
    this.wasNew = true;
    return this.#newProcess(storage, clock, onDefect);
  }

  #newProcess(
    storage: DataDirectory,
    clock: Clock,
    onDefect: (error: Error) => void,
  ): ReleaseProcess {
    const versions = new Versions();
    versions.open({ storage, clock, log: () => {}, onDefect });
    return {
      wire: versions,
      machine: (options) =>
        new KvMachine({ ...options, spokenByAll: () => this.#looked(versions.spokenByAll()) }),
      attach: (replica) => {
        this.#members = () => replica.members().configuration;
        versions.attach(replica);
      },
    };
  }

  #members: () => ReturnType<Replica<KvResult>["members"]>["configuration"] = () => ({
    voters: [],
    outgoing: [],
    learners: [],
    urls: {},
  });

  #looked(spoken: number): number {
    if (spoken === 1) return spoken;
    const { voters, outgoing, learners } = this.#members();
    for (const id of [...voters, ...outgoing, ...learners]) {
      if (this.#sim.releases.get(id)?.wasNew !== false) continue;
      this.#sim.oracles.fail(`the version rises, and ${id} has never run the new release`);
    }
    return spoken;
  }
}

/** What a release brings to a process. */
export interface ReleaseProcess {
  readonly wire: ReleaseWire;
  readonly machine: (options: KvMachineOptions) => KvMachine;
  readonly attach: (replica: Replica<KvResult>) => void;
}

const oldProcess: ReleaseProcess = {
  wire: { speaks: 1, needs: 1, raise: () => Promise.resolve(), hear: () => {} },
  machine: (options) => new OldMachine(options),
  attach: () => {},
};

/** Of a run in which no node is upgraded: no version rises. */
export const onlyProcess: ReleaseProcess = {
  wire: oldProcess.wire,
  machine: (options) => new KvMachine(options),
  attach: () => {},
};

/** What a message says of its sender. */
export interface Saying {
  readonly from: string;
  readonly spoken: number;
  /** Its own version: what its sender needed. */
  readonly version: number;
}

export function sayingOf(from: string, { speaks, needs }: ReleaseWire): Saying {
  return { from, spoken: speaks, version: needs };
}

/** As the peer routes do. @throws {PeerUnreachable} where a message is refused. */
export async function admit(
  wire: ReleaseWire,
  { from, spoken, version }: Saying,
  reached: (what: "old speaker refused" | "new message refused by the old release") => void,
): Promise<void> {
  if (version > wire.speaks) {
    reached("new message refused by the old release");
    throw new PeerUnreachable(`there is no path of version ${version}`, true);
  }
  if (spoken < wire.needs) {
    reached("old speaker refused");
    throw new PeerUnreachable(`${from} speaks version ${spoken}`, true);
  }
  if (version > wire.needs) await wire.raise(version);
  wire.hear(from, spoken);
}
