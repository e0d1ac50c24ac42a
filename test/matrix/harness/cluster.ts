/** A cluster of real nodes on free loopback ports, with temporary data, gone when its scope is left. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, NodeProcess, type RuntimeName, temporaryDirectory } from "./node-process.ts";
import { type ClientTls, HttpClient } from "./http-client.ts";

export interface Setup {
  readonly name: string;
  readonly runtimes: readonly RuntimeName[];
}

const allSetups: readonly Setup[] = [
  { name: "bun", runtimes: ["bun", "bun", "bun"] },
  { name: "deno", runtimes: ["deno", "deno", "deno"] },
  { name: "node", runtimes: ["node", "node", "node"] },
  { name: "mixed", runtimes: ["bun", "deno", "node"] },
];

/** Every combination that a test runs on; `HOLDFAST_MATRIX=bun,mixed` chooses some. */
export const setups: readonly Setup[] = allSetups.filter(({ name }) => {
  const chosen = process.env["HOLDFAST_MATRIX"];
  return chosen === undefined || chosen.split(",").includes(name);
});

/** For what lasts long: one cluster that has each runtime in it, unless `HOLDFAST_MATRIX` asks for others. */
export const longSetups: readonly Setup[] = process.env["HOLDFAST_MATRIX"] === undefined
  ? allSetups.filter(({ name }) => name === "mixed")
  : setups;

/** A node's `/v1/status`, the part that tests use. */
export interface Status {
  readonly id: string;
  readonly clusterId: string;
  readonly role: string;
  readonly term: number;
  readonly leader: string | null;
  readonly commit: number;
  readonly applied: number;
  readonly lastLog: number;
  readonly snapshot: number;
  readonly revision: number;
  readonly version: string;
  /** Missing where 0.1.0 answers. */
  readonly clusterVersion?: number;
  readonly members: readonly { readonly id: string; readonly speaks?: number }[];
}

const POLL_MS = 20;

/** Resolves with the first result that is not undefined; throws with the last error after the deadline. */
export async function eventually<T>(
  what: string | (() => string),
  attempt: () => Promise<T | undefined>,
  timeoutMs: number = 15_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const result = await attempt();
      if (result !== undefined) return result;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const name = typeof what === "string" ? what : what();
      throw new Error(`not within ${timeoutMs} ms: ${name}`, { cause: last });
    }
    await sleep(POLL_MS);
  }
}

export class Cluster implements AsyncDisposable {
  readonly http: HttpClient;
  readonly directory: string;
  readonly #temporary: Disposable;
  readonly #nodes: NodeProcess[];

  private constructor(
    nodes: readonly NodeProcess[],
    temporary: { path: string } & Disposable,
    tls: ClientTls | null,
  ) {
    this.http = new HttpClient(undefined, tls);
    this.#nodes = [...nodes];
    this.directory = temporary.path;
    this.#temporary = temporary;
  }

  /** Lays a cluster out without starting it; with `tls` its URLs are of https, and `flags` say the rest. */
  static async layOut(
    runtimes: readonly RuntimeName[],
    flags: readonly string[] = [],
    tls: ClientTls | null = null,
    script?: string,
  ): Promise<Cluster> {
    const scheme = tls === null ? "http" : "https";
    const temporary = temporaryDirectory();
    const ports = await Promise.all(runtimes.map(() => freePort()));
    const peers = ports.map((port, at) => `n${at + 1}=${scheme}://127.0.0.1:${port}`).join(",");
    const nodes = runtimes.map((runtime, at) => {
      const id = `n${at + 1}`;
      const data = join(temporary.path, id);
      return new NodeProcess({
        id,
        runtime,
        port: ports[at] ?? 0,
        data,
        peers,
        flags,
        scheme,
        script,
      });
    });
    return new Cluster(nodes, temporary, tls);
  }

  /** Starts a cluster and waits until every node knows the leader. */
  static async start(
    runtimes: readonly RuntimeName[],
    flags: readonly string[] = [],
    tls: ClientTls | null = null,
  ): Promise<Cluster> {
    const cluster = await Cluster.layOut(runtimes, flags, tls);
    try {
      await cluster.startAll();
      await cluster.ready();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All that there are now, newcomers at the end. */
  get nodes(): readonly NodeProcess[] {
    return [...this.#nodes];
  }

  get urls(): readonly string[] {
    return this.nodes.map(({ url }) => url);
  }

  node(id: string): NodeProcess {
    const found = this.nodes.find((node) => node.id === id);
    assert.ok(found, `there is no node ${id}`);
    return found;
  }

  others(id: string): readonly NodeProcess[] {
    return this.nodes.filter((node) => node.id !== id);
  }

  /** Starts a node that waits to be taken in by those that are there. */
  async join(runtime: RuntimeName, flags: readonly string[] = []): Promise<NodeProcess> {
    const id = `n${this.#nodes.length + 1}`;
    const contacts = this.#nodes.map((node) => `${node.id}=${node.url}`).join(",");
    const node = new NodeProcess({
      id,
      runtime,
      port: await freePort(),
      data: join(this.directory, id),
      flags: ["--join", contacts, ...flags],
    });
    this.#nodes.push(node);
    await node.start();
    return node;
  }

  async startAll(): Promise<readonly string[]> {
    return await Promise.all(this.nodes.map((node) => node.start()));
  }

  /** Waits until every running node answers `/readyz`. */
  async ready(nodes: readonly NodeProcess[] = this.nodes): Promise<void> {
    for (const node of nodes) {
      await eventually(() => `${node.id} is ready\n${this.stderr()}`, async () => {
        const { status } = await this.http.request(`${node.url}/readyz`, { timeoutMs: 1000 });
        return status === 200 ? true : undefined;
      });
    }
  }

  async status(node: NodeProcess): Promise<Status> {
    const { status, json } = await this.http.request(`${node.url}/v1/status`, { timeoutMs: 2000 });
    assert.equal(status, 200);
    return json() as Status;
  }

  /** The node that leads, as it says itself, and the highest term where two say so. */
  async leader(among: readonly NodeProcess[] = this.nodes): Promise<NodeProcess> {
    return await eventually(() => `a leader\n${this.stderr()}`, async () => {
      const said = await Promise.allSettled(among.map((node) => this.status(node)));
      const leaders = said.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []))
        .filter(({ role }) => role === "leader").sort((a, b) => b.term - a.term);
      return leaders[0] === undefined ? undefined : this.node(leaders[0].id);
    });
  }

  /** What the nodes wrote to standard error, for a failure's message. */
  stderr(): string {
    return this.nodes.map((node) => `--- ${node.id} (${node.runtime})\n${node.stderr}`).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.http.close();
    await Promise.all(this.nodes.map((node) => node.kill()));
    this.#temporary[Symbol.dispose]();
  }
}
