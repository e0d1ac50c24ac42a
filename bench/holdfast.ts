/** The subject: a cluster of this project's nodes on loopback, file storage, synced, default settings. */
import { Cluster, eventually } from "../test/matrix/harness/cluster.ts";
import type { RuntimeName } from "../test/matrix/harness/node-process.ts";
import { type BulkWork, documentOf, type Driver, pathOf, putsIn, requestsIn } from "./bulk.ts";
import { requestBytes, runLoad } from "./load.ts";
import { forget, type KeySpace, remember, type Replicated } from "./system.ts";
import { keyOf, type Measured, nextStamp, valueOf, type Work } from "./workload.ts";
import { Written, wroteOf } from "./written.ts";

const FILL_CONNECTIONS = 128;
const FILL_ATTEMPTS = 5;

export class Holdfast implements Replicated {
  readonly label: RuntimeName;
  readonly cluster: Cluster;
  readonly written: Written = new Written();
  readonly #drive: Driver;

  private constructor(label: RuntimeName, cluster: Cluster, drive: Driver) {
    this.label = label;
    this.cluster = cluster;
    this.#drive = drive;
  }

  static async start(runtime: RuntimeName, drive: Driver, nodes: number): Promise<Holdfast> {
    const cluster = await Cluster.layOut(Array.from({ length: nodes }, () => runtime));
    const holdfast = new Holdfast(runtime, cluster, drive);
    remember(holdfast);
    try {
      await cluster.startAll();
      await cluster.ready();
      return holdfast;
    } catch (error) {
      await holdfast[Symbol.asyncDispose]();
      throw error;
    }
  }

  get ids(): readonly string[] {
    return this.cluster.nodes.map(({ id }) => id);
  }

  pids(): readonly number[] {
    return this.cluster.nodes.filter(({ isRunning }) => isRunning).map(({ pid }) => pid);
  }

  pidOf(id: string): number {
    return this.cluster.node(id).pid;
  }

  dataOf(id: string): string {
    return this.cluster.node(id).data;
  }

  async leader(): Promise<string> {
    return (await this.cluster.leader(this.cluster.nodes.filter(({ isRunning }) => isRunning))).id;
  }

  async measure(work: Work): Promise<Measured> {
    const { url } = this.cluster.node(await this.leader());
    const measured = await this.#drive(url, work);
    if (work.method === "PUT") {
      this.written.add({ ...work, wrote: wroteOf(work.keys, measured) });
    }
    return measured;
  }

  /** Measures requests of many puts, and remembers these. */
  async measureBulk(work: BulkWork): Promise<Measured> {
    const { url } = this.cluster.node(await this.leader());
    await checkBulk(this.cluster.http, url, work);
    const measured = await this.#drive(url, work);
    const requests = requestsIn(work);
    const type = wroteOf(requests, measured).type === "all" ? "all" : "some";
    this.written.add({ ...work, wrote: { type, keys: requests * putsIn[work.method] } });
    return measured;
  }

  async fill({ from = 0, keys, valueBytes }: KeySpace): Promise<void> {
    const stamp = nextStamp();
    const { url } = this.cluster.node(await this.leader());
    await fillOverHttp(url, { from, keys, valueBytes }, stamp);
    this.written.add({ stamp, valueBytes, wrote: { type: from === 0 ? "all" : "some", keys } });
  }

  async read(key: string): Promise<readonly (string | null)[]> {
    const running = this.cluster.nodes.filter(({ isRunning }) => isRunning);
    return await Promise.all(running.map(({ url }) => readOverHttp(this.cluster.http, url, key)));
  }

  async put(id: string, key: string, value: string, timeoutMs: number): Promise<boolean> {
    const url = `${this.cluster.node(id).url}/v1/kv/${key}`;
    const options = { method: "PUT", body: value, timeoutMs };
    return await this.cluster.http.request(url, options)
      .then(({ status }) => status < 300, () => false);
  }

  async kill(id: string): Promise<void> {
    await this.cluster.node(id).end("SIGKILL");
  }

  async start(id: string, flags: readonly string[] = []): Promise<void> {
    const node = this.cluster.node(id);
    await node.start(flags);
    await this.cluster.ready([node]);
  }

  /** One metric of a node, such as `holdfast_mvcc_keys`. */
  async metric(id: string, name: string): Promise<number> {
    const { body } = await this.cluster.http.request(`${this.cluster.node(id).url}/metrics`);
    const line = body.toString().split("\n").find((text) => text.startsWith(`${name} `));
    return Number(line?.split(" ").at(-1) ?? NaN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    forget(this);
    await this.cluster[Symbol.asyncDispose]();
  }
}

/** Drivers see no further than an answer's status: the first one is looked at. */
async function checkBulk(http: Cluster["http"], url: string, work: BulkWork): Promise<void> {
  const { status, text } = await http.request(`${url}${pathOf[work.method]}`, {
    method: "POST",
    body: JSON.stringify(documentOf(work, 0)),
    headers: { "content-type": "application/json" },
  });
  const answer = text();
  const done = answer.match(/"version":/g)?.length ?? 0;
  if (status !== 200 || done !== putsIn[work.method]) {
    throw new Error(`a ${work.method} was answered ${status} ${answer.slice(0, 400)}`);
  }
}

/** What a node, or bare Hono, answers to a get; null for 404. */
export async function readOverHttp(
  http: Cluster["http"],
  url: string,
  key: string,
): Promise<string | null> {
  // A node that has just lost its leader may say so: that is no answer yet.
  const { value } = await eventually(`an answer to GET ${key} from ${url}`, async () => {
    const { status, text } = await http.request(`${url}/v1/kv/${key}`);
    if (status === 200) return { value: text() };
    if (status === 404) return { value: null };
    throw new Error(`${status} ${text()}`);
  });
  return value;
}

/** Puts each key once, and those that were refused again. */
export async function fillOverHttp(
  url: string,
  { from, keys, valueBytes }: Required<KeySpace>,
  stamp: string,
): Promise<void> {
  let missing: readonly number[] | null = null;
  for (let attempt = 1; attempt <= FILL_ATTEMPTS; attempt++) {
    const refused: number[] = [];
    const wanted: readonly number[] | null = missing;
    const keyAt = (at: number): number => wanted === null ? from + at : wanted[at] ?? NaN;
    await runLoad({
      urls: [url],
      connections: FILL_CONNECTIONS,
      requestsMax: wanted?.length ?? keys - from,
      request: (at) => {
        const n = keyAt(at);
        const value = Buffer.from(valueOf(n, stamp, valueBytes));
        return requestBytes("PUT", url, `/v1/kv/${keyOf(n)}`, value);
      },
      onAnswer: (at, status) => {
        if (status === 0 || status >= 400) refused.push(keyAt(at));
      },
    });
    if (refused.length === 0) return;
    missing = refused;
  }
  throw new Error(`${url} refused ${missing?.length ?? 0} of ${keys - from} puts`);
}
