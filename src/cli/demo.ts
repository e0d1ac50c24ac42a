/** `demo`: three replicas in this process, in memory, narrated step by step. */
import { createMemoryNetwork, type MemoryNetwork } from "../adapters/memory-transport.ts";
import { createSystemClock } from "../adapters/system-clock.ts";
import type { MemoryStorage } from "../../runtimes/open-node.ts";
import { readNodeConfig } from "../config.ts";
import { createApp } from "../http/app.ts";
import { Metrics } from "../http/metrics.ts";
import { KvMachine } from "../kv/machine.ts";
import type { KvResult } from "../kv/result.ts";
import type { Clock, ReplicaObserver } from "../ports.ts";
import type { Replica } from "../replica.ts";
import { type Command, exit, officeLine, print } from "./command.ts";
import { thisRuntime } from "./node.ts";

const ids = ["n1", "n2", "n3"] as const;
const peers = ids.map((id, index) => `${id}=http://127.0.0.1:${4001 + index}`).join(",");
/** Far more than any step takes. */
const STEP_TIMEOUT_MS = 20_000;

/** `demo`. */
export const demo: Command = {
  summary: "watch three replicas in one process elect, replicate and survive",
  help: `holdfast demo

Runs three replicas in this process, in memory, over a network that is only pretended, and tells
what they do: an election, a write, the leader's death, a read on every node, its return.

Exit status: 0 it all went as told.
`,
  syntax: { flags: {}, operands: [] },
  run: async () => {
    await new Demo().play();
    return exit.done;
  },
};

interface Member {
  readonly id: string;
  readonly replica: Replica<KvResult>;
  /** The HTTP interface, called without HTTP. */
  request(target: string, init?: RequestInit): Promise<Response>;
}

class Demo {
  readonly #clock: Clock = createSystemClock();
  readonly #members = new Map<string, Member>();
  /** What each one's log holds, as a disk would: it outlives the replica. */
  readonly #storages = new Map<string, MemoryStorage>();
  #network: MemoryNetwork | null = null;
  #since = performance.now();

  async play(): Promise<void> {
    const { wireLimits } = await import("../../runtimes/open-node.ts");
    this.#network = createMemoryNetwork({ clock: this.#clock, limits: wireLimits });
    await this.#tell(
      "Three replicas start. None knows a leader; each waits a random while before it asks for votes.",
    );
    for (const id of ids) await this.#start(id);
    const first = await this.#leader();
    await this.#tell(
      `${first.id} asked first, got a majority of votes, and leads in term ${first.replica.status().term}.`,
    );
    await this.#write(first.id, "greeting", "hello");
    await this.#readEverywhere("greeting");

    await this.#tell(`${first.id} dies, as by kill -9: from now on nobody hears from it.`);
    await this.#kill(first.id);
    const diedAt = performance.now();
    const second = await this.#leader();
    const gap = Math.round(performance.now() - diedAt);
    await this.#tell(
      `${second.id} leads in term ${second.replica.status().term}, ${gap} ms later: two of three are a majority.`,
    );
    await this.#readEverywhere("greeting");
    await this.#write(second.id, "greeting", "still here");

    await this.#tell(
      `${first.id} comes back with what its log held, and the leader sends it the rest.`,
    );
    await this.#start(first.id);
    await this.#readEverywhere("greeting");
    for (const { replica } of this.#members.values()) await replica.stop();
    await this.#tell("That is all. `npm start` runs three such nodes as processes, with disks.");
  }

  async #start(id: string): Promise<void> {
    const { birthOf, openMemory, assembleReplica, version } = await import(
      "../../runtimes/open-node.ts"
    );
    const network = this.#network;
    if (network === null) return;
    const listen = peers.split(",").find((peer) => peer.startsWith(`${id}=`))?.slice(id.length + 8);
    const config = readNodeConfig({ id, peers, listen, storage: "memory" }, {});
    // Which life each lives matters where a disk may be lost; here none is.
    const lives = Object.fromEntries(ids.map((each) => [each, each]));
    const cluster = birthOf(config.peers, lives);
    const storage = openMemory({ id, incarnation: id }, this.#storages.get(id));
    this.#storages.set(id, storage);
    const machine = new KvMachine();
    const metrics = new Metrics();
    const replica = await assembleReplica({
      config,
      storage,
      cluster,
      transport: network.transport(id),
      clock: this.#clock,
      log: () => {},
      observer: this.#observer(id, metrics),
      machine,
    });
    const app = createApp({
      replica,
      machine,
      metrics,
      runtime: thisRuntime,
      version,
      now: () => this.#clock.now(),
      log: () => {},
      onDefect: (error) => {
        throw error;
      },
      leaseReads: false,
    });
    network.attach(id, replica);
    this.#members.set(id, {
      id,
      replica,
      request: async (target, init) => await app.request(target, init),
    });
    replica.start();
  }

  #observer(id: string, metrics: Metrics): ReplicaObserver {
    return {
      roleChanged: (status) => {
        metrics.roleChanged(status);
        if (this.#members.has(id)) {
          void this.#note(officeLine(status));
        }
      },
      persisted: (seconds, bytes) => metrics.persisted(seconds, bytes),
      proposalEnded: (outcome, seconds) => metrics.proposalEnded(outcome, seconds),
      snapshotWritten: (seconds) => metrics.snapshotWritten(seconds),
    };
  }

  async #kill(id: string): Promise<void> {
    this.#network?.detach(id);
    const member = this.#members.get(id);
    this.#members.delete(id);
    await member?.replica.stop();
  }

  /** Waits until those alive agree on a leader that is alive. */
  async #leader(): Promise<Member> {
    const deadline = performance.now() + STEP_TIMEOUT_MS;
    while (performance.now() < deadline) {
      const alive = [...this.#members.values()];
      const leaders = new Set(alive.map(({ replica }) => replica.status().leader));
      const [only] = leaders;
      const leader = alive.find(({ id }) => id === only);
      if (leaders.size === 1 && leader !== undefined) return leader;
      await new Promise((resolve) => this.#clock.timer(this.#clock.now() + 5, () => resolve(null)));
    }
    throw new Error("no leader was elected in time");
  }

  async #write(by: string, key: string, value: string): Promise<void> {
    const via = [...this.#members.keys()].find((id) => id !== by) ?? by;
    await this.#tell(
      `A client writes ${key} = "${value}" through ${via}, which hands it to the leader ${by}.`,
    );
    const response = await this.#members.get(via)?.request(`/v1/kv/${key}`, {
      method: "PUT",
      body: value,
    });
    await this.#note(`PUT /v1/kv/${key} → ${response?.status} ${await response?.text()}`);
    if (response?.ok !== true) throw new Error(`the write was answered ${response?.status}`);
    await this.#tell("It is acknowledged: a majority has it in its log, in the same place.");
  }

  async #readEverywhere(key: string): Promise<void> {
    await this.#tell(
      "Every node answers a linearizable read, once the leader has confirmed that it still leads:",
    );
    for (const [id, member] of this.#members) {
      const response = await member.request(`/v1/kv/${key}`);
      await this.#note(`${id}: GET /v1/kv/${key} → ${response.status} ${await response.text()}`);
      if (!response.ok) throw new Error(`${id} answered ${response.status}`);
    }
  }

  async #tell(sentence: string): Promise<void> {
    await print(`\n${sentence}\n`);
  }

  async #note(line: string): Promise<void> {
    const time = ((performance.now() - this.#since) / 1000).toFixed(3);
    await print(`  ${time.padStart(7)} s  ${line}\n`);
  }
}
