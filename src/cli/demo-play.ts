/** What `demo` plays: three replicas in this process, in memory, narrated step by step. */
import { createMemoryNetwork, type MemoryNetwork } from "../adapters/memory-transport.ts";
import { createSystemClock } from "../adapters/system-clock.ts";
import {
  assembleReplica,
  birthOf,
  type MemoryStorage,
  openMemory,
  version,
  wireLimits,
} from "../../runtimes/open-node.ts";
import { readNodeConfig } from "../config.ts";
import { connect } from "../client/mod.ts";
import { createApp } from "../http/app.ts";
import { Metrics } from "../http/metrics.ts";
import { KvMachine } from "../kv/machine.ts";
import type { KvResult } from "../kv/result.ts";
import type { Clock, ReplicaObserver } from "../ports.ts";
import type { Replica } from "../replica.ts";
import type { Arguments } from "./arguments.ts";
import { officeLine } from "./command.ts";
import { thisRuntime } from "./node.ts";
import { printAnswer } from "./output.ts";

const urls: Readonly<Record<string, string>> = {
  n1: "http://127.0.0.1:4001",
  n2: "http://127.0.0.1:4002",
  n3: "http://127.0.0.1:4003",
};
const ids = Object.keys(urls);
const peers = Object.entries(urls).map(([id, url]) => `${id}=${url}`).join(",");
/** Changes that are made in all. */
const REVISIONS = 3;
/** Far more than any step takes. */
const STEP_TIMEOUT_MS = 20_000;

interface Member {
  readonly id: string;
  readonly replica: Replica<KvResult>;
  /** The HTTP interface, called without HTTP. */
  request(target: string, init?: RequestInit): Promise<Response>;
  /** Cuts its connections. */
  readonly death: AbortController;
}

/** One performance. */
export class Demo {
  readonly #clock: Clock = createSystemClock();
  readonly #members = new Map<string, Member>();
  /** What each one's log holds, as a disk would: it outlives the replica. */
  readonly #storages = new Map<string, MemoryStorage>();
  readonly #args: Arguments;
  readonly #since = performance.now();
  #network: MemoryNetwork | null = null;

  constructor(args: Arguments) {
    this.#args = args;
  }

  async play(): Promise<void> {
    this.#network = createMemoryNetwork({ clock: this.#clock, limits: wireLimits });
    await this.#tell(
      "Three replicas start. None knows a leader; each waits a random while before it asks for votes.",
    );
    for (const id of ids) await this.#start(id);
    const first = await this.#leader();
    await this.#tell(
      `${first.id} asked first, got a majority of votes, and leads in term ${first.replica.status().term}.`,
    );
    await this.#tell(
      "A client watches all keys from now on. It asks the leader, but may ask anybody.",
    );
    const watching = this.#watch(first.id);
    // It is awaited below, where what went wrong ends the demonstration.
    watching.catch(() => {});
    await this.#write(first.id, "greeting", "hello");
    await this.#readEverywhere("greeting");
    await this.#transact(first);

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
    const seen = await watching;
    await this.#tell(
      `The watcher was told of revisions ${
        seen.join(", ")
      }: each once, in order, over the leader's death.`,
    );
    for (const { replica } of this.#members.values()) await replica.stop();
    await this.#tell("That is all. `npm start` runs three such nodes as processes, with disks.");
  }

  async #start(id: string): Promise<void> {
    const network = this.#network;
    if (network === null) return;
    const listen = urls[id]?.slice("http://".length);
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
      death: new AbortController(),
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
      persisted: (seconds) => metrics.persisted(seconds),
      proposalEnded: (outcome, seconds) => metrics.proposalEnded(outcome, seconds),
      snapshotWritten: (seconds) => metrics.snapshotWritten(seconds),
      applied: (seconds) => metrics.applied(seconds),
      readEnded: (level, outcome, seconds) => metrics.readEnded(level, outcome, seconds),
      snapshotSent: (to, outcome, seconds) => metrics.snapshotSent(to, outcome, seconds),
      snapshotInstalled: (seconds) => metrics.snapshotInstalled(seconds),
    };
  }

  async #kill(id: string): Promise<void> {
    this.#network?.detach(id);
    const member = this.#members.get(id);
    this.#members.delete(id);
    member?.death.abort();
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

  async #transact(leader: Member): Promise<void> {
    await this.#tell("A transaction changes two keys in one revision, if a third is as expected:");
    const body = JSON.stringify({
      if: [{ key: "greeting", value: "hello" }],
      then: [{ put: { key: "farewell", value: "bye" } }, { add: { key: "words", delta: 2 } }],
    });
    await this.#note(`POST /v1/txn ${body}`);
    const headers = { "content-type": "application/json" };
    const response = await leader.request("/v1/txn", { method: "POST", headers, body });
    await this.#note(`→ ${response.status} ${await response.text()}`);
    if (!response.ok) throw new Error(`the transaction was answered ${response.status}`);
  }

  /** Tells of every change, until it has seen as many as there are. Resolves with their revisions. */
  async #watch(first: string): Promise<readonly number[]> {
    const order = [first, ...ids.filter((id) => id !== first)];
    const client = connect({
      endpoints: order.map((id) => urls[id] ?? ""),
      fetch: (url, init) => this.#fetch(url, init),
    });
    const revisions: number[] = [];
    for await (const { revision, events } of client.watch({ from: 1 })) {
      revisions.push(revision);
      const changes = events.map((event) =>
        event.type === "delete"
          ? `${String(event.key)} is gone`
          : `${String(event.key)} = "${new TextDecoder().decode(event.item.value)}"`
      );
      await this.#note(`the watcher is told: revision ${revision}, ${changes.join(", ")}`);
      if (revision === REVISIONS) break;
    }
    return revisions;
  }

  /** As by a connection that breaks with the node's death. */
  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const { origin } = new URL(url);
    const member = [...this.#members.values()].find(({ id }) => urls[id] === origin);
    if (member === undefined) throw new Error(`nobody is at ${origin}`);
    const { status, headers, body } = await member.request(url.slice(origin.length), init);
    const stream = body?.pipeThrough(new TransformStream(), { signal: member.death.signal });
    return new Response(stream ?? null, { status, headers });
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
    await printAnswer(this.#args, { step: sentence }, `\n${sentence}\n`);
  }

  async #note(line: string): Promise<void> {
    const time = ((performance.now() - this.#since) / 1000).toFixed(3);
    await printAnswer(
      this.#args,
      { seconds: Number(time), note: line },
      `  ${time.padStart(7)} s  ${line}\n`,
    );
  }
}
