/** The peer: etcd nodes on loopback, default settings, synced, each with a data directory of its own. */
import { join } from "node:path";
import { HttpClient } from "../test/matrix/harness/http-client.ts";
import { eventually } from "../test/matrix/harness/cluster.ts";
import {
  freePorts,
  RunningProcess,
  temporaryDirectory,
} from "../test/matrix/harness/node-process.ts";
import { EtcdClient } from "./etcd-client.ts";
import { etcdPaths, putFrame, rangeFrame } from "./etcd-wire.ts";
import type { H2load } from "./h2load.ts";
import { forget, type KeySpace, remember, type Replicated } from "./system.ts";
import { keyOf, type Measured, nextStamp, valueOf, type Work } from "./workload.ts";
import { Written, WrongData } from "./written.ts";

const FILL_OUTSTANDING = 256;
const READY_TIMEOUT_MS = 60_000;

export interface EtcdOptions {
  readonly nodes: number;
  /** Null where it is not installed: then nothing can be measured. */
  readonly h2load: H2load | null;
  readonly streams: number;
}

interface EtcdNode {
  readonly id: string;
  readonly url: string;
  readonly data: string;
  readonly command: [string, ...string[]];
  readonly client: EtcdClient;
  process: RunningProcess;
}

export class Etcd implements Replicated {
  readonly label = "etcd";
  readonly written: Written = new Written();
  readonly #nodes: readonly EtcdNode[];
  readonly #options: EtcdOptions;
  readonly #temporary: Disposable;
  readonly #http = new HttpClient();
  /** Runs so far: each hits another key. */
  #runs = 0;

  private constructor(nodes: readonly EtcdNode[], options: EtcdOptions, temporary: Disposable) {
    this.#nodes = nodes;
    this.#options = options;
    this.#temporary = temporary;
  }

  static async start(options: EtcdOptions): Promise<Etcd> {
    const temporary = temporaryDirectory();
    const first = await freePorts(2 * options.nodes);
    const urls = Array.from({ length: options.nodes }, (_, at) => ({
      id: `e${at + 1}`,
      client: `http://127.0.0.1:${first + 2 * at}`,
      peer: `http://127.0.0.1:${first + 2 * at + 1}`,
    }));
    const initial = urls.map(({ id, peer }) => `${id}=${peer}`).join(",");
    const nodes = urls.map(({ id, client, peer }): EtcdNode => {
      const data = join(temporary.path, id);
      const command: EtcdNode["command"] = ["etcd", "--name", id, "--data-dir", data];
      command.push("--listen-client-urls", client, "--advertise-client-urls", client);
      command.push("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer);
      command.push("--initial-cluster", initial);
      const process = new RunningProcess(command);
      return { id, url: client, data, command, client: new EtcdClient(client), process };
    });
    const etcd = new Etcd(nodes, options, temporary);
    remember(etcd);
    try {
      for (const node of nodes) await etcd.#ready(node);
      return etcd;
    } catch (error) {
      await etcd[Symbol.asyncDispose]();
      throw error;
    }
  }

  get ids(): readonly string[] {
    return this.#nodes.map(({ id }) => id);
  }

  pids(): readonly number[] {
    return this.#running().map(({ process }) => process.pid);
  }

  pidOf(id: string): number {
    return this.#node(id).process.pid;
  }

  dataOf(id: string): string {
    return this.#node(id).data;
  }

  async leader(): Promise<string> {
    return await eventually("etcd has a leader", async () => {
      for (const { id, url } of this.#running()) {
        const { body } = await this.#http.request(`${url}/metrics`, { timeoutMs: 2000 });
        if (/^etcd_server_is_leader 1$/m.test(body.toString())) return id;
      }
      return undefined;
    });
  }

  async measure(work: Work): Promise<Measured> {
    const { h2load, streams } = this.#options;
    if (h2load === null) throw new Error("without h2load etcd can't be measured");
    const { method, outstanding, seconds, keys, valueBytes, stamp } = work;
    const n = this.#runs++ * 37 % keys;
    const frame = method === "GET"
      ? rangeFrame(keyOf(n))
      : putFrame(keyOf(n), valueOf(n, stamp, valueBytes));
    const path = method === "GET" ? etcdPaths.range : etcdPaths.put;
    const { url, client } = this.#node(await this.leader());
    const before = (await client.get(keyOf(n))).revision;
    const run = await h2load({ url, path, frame, outstanding, seconds, streams });
    const { bodyBytes, ...measured } = run;
    // gRPC's errors are answers with status 200 too, and what was done must be as much as what was acknowledged.
    if (method === "GET" && bodyBytes < measured.succeeded * valueBytes) {
      throw new WrongData(`answers to ${measured.succeeded} ranges had ${bodyBytes} bytes`);
    }
    if (method === "PUT") {
      const puts = (await client.get(keyOf(n))).revision - before;
      if (puts < measured.succeeded) {
        throw new WrongData(`${measured.succeeded} puts were answered and ${puts} were done`);
      }
      const type = measured.failed === 0 ? "one" : "some";
      const wrote = type === "one" ? { type, key: n } as const : { type, keys } as const;
      this.written.add({ stamp, valueBytes, wrote });
    }
    return measured;
  }

  async fill({ from = 0, keys, valueBytes }: KeySpace): Promise<void> {
    const stamp = nextStamp();
    const { client } = this.#node(await this.leader());
    let next = from;
    await Promise.all(Array.from({ length: FILL_OUTSTANDING }, async () => {
      while (next < keys) {
        const n = next++;
        await client.put(keyOf(n), valueOf(n, stamp, valueBytes));
      }
    }));
    this.written.add({ stamp, valueBytes, wrote: { type: from === 0 ? "all" : "some", keys } });
  }

  async read(key: string): Promise<readonly (string | null)[]> {
    const answers = await Promise.all(
      this.#running().map(({ id, client }) =>
        eventually(`an answer to a range of ${key} from ${id}`, () => client.get(key))
      ),
    );
    return answers.map(({ value }) => value);
  }

  async put(id: string, key: string, value: string, timeoutMs: number): Promise<boolean> {
    return await this.#node(id).client.put(key, value, timeoutMs).then(() => true, () => false);
  }

  async kill(id: string): Promise<void> {
    const node = this.#node(id);
    node.process.signal("SIGKILL");
    await node.process.ended;
    node.client.close();
  }

  async start(id: string): Promise<void> {
    const node = this.#node(id);
    node.process = new RunningProcess(node.command);
    await this.#ready(node);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    forget(this);
    this.#http.close();
    for (const { client, process } of this.#nodes) {
      client.close();
      process.signal("SIGKILL");
    }
    await Promise.all(this.#nodes.map(({ process }) => process.ended));
    this.#temporary[Symbol.dispose]();
  }

  #running(): readonly EtcdNode[] {
    return this.#nodes.filter(({ process }) => !process.hasEnded);
  }

  #node(id: string): EtcdNode {
    const node = this.#nodes.find((one) => one.id === id);
    if (node === undefined) throw new Error(`there is no etcd node ${id}`);
    return node;
  }

  /** `/health` says true only where a linearizable read goes through. */
  async #ready({ id, url, process }: EtcdNode): Promise<void> {
    await eventually(() => `${id} is ready\n${process.stderr}`, async () => {
      const { body } = await this.#http.request(`${url}/health`, { timeoutMs: 2000 });
      return body.toString().includes('"true"') ? true : undefined;
    }, READY_TIMEOUT_MS);
  }
}
