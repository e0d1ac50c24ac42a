/** Load on a cluster while something happens to it, and what became of every request. */
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cluster, eventually } from "./cluster.ts";
import { History } from "./history.ts";
import { get, put } from "./kv.ts";
import type { NodeProcess } from "./node-process.ts";

const KEYS = 3;

/** Writers and readers, one of each per node, until they are told to stop; knows when writes were acknowledged. */
export class Load implements AsyncDisposable {
  readonly history: History = new History();
  readonly acknowledged: number[] = [];
  readonly fates: { done: number; notApplied: number; unknown: number } = {
    done: 0,
    notApplied: 0,
    unknown: 0,
  };
  /** When writes were refused. */
  readonly refused: number[] = [];
  /** Those that are asked. */
  nodes: readonly NodeProcess[];
  readonly #cluster: Cluster;
  readonly #prefix: string;
  readonly #stopping = new AbortController();
  readonly #workers: Promise<void>[];

  /** Its keys begin with `prefix`, so that its history is all that happened to them. */
  constructor(cluster: Cluster, prefix: string) {
    this.#cluster = cluster;
    this.#prefix = prefix;
    this.nodes = cluster.nodes;
    this.#workers = cluster.nodes.flatMap((_, at) => [this.#write(at), this.#read(at)]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#workers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Resolves when a write was acknowledged later than `time`. */
  async acknowledgedAfter(time: number): Promise<void> {
    await eventually("writes are acknowledged again", () => {
      const isAgain = (this.acknowledged.at(-1) ?? 0) > time;
      return Promise.resolve(isAgain ? true : undefined);
    });
  }

  /** Reads every key from each node and keeps what it saw: a write that was acknowledged and is gone is a flaw. */
  async readBack(nodes: readonly NodeProcess[]): Promise<void> {
    const { http } = this.#cluster;
    for (const { url } of nodes) {
      for (let n = 0; n < KEYS; n++) {
        const key = `${this.#prefix}-${n}`;
        const { type } = await this.history.record(key, null, () => get({ http, url, key }));
        assert.equal(type, "done", `${key} from ${url}`);
      }
    }
  }

  /** How many times writes were refused, where those less than `apartMs` apart are one time. */
  momentsRefused(apartMs: number): number {
    const times = this.refused.toSorted((a, b) => a - b);
    return times.filter((time, at) => time - (times[at - 1] ?? -Infinity) > apartMs).length;
  }

  /** The longest time between two acknowledgements from `since` on, in milliseconds. */
  gapSince(since: number): number {
    const times = this.acknowledged.filter((time) => time >= since).sort((a, b) => a - b);
    let longest = 0;
    let last = since;
    for (const time of times) {
      longest = Math.max(longest, time - last);
      last = time;
    }
    return longest;
  }

  #url(n: number): string {
    return this.nodes[n % this.nodes.length]?.url ?? "";
  }

  async #write(at: number): Promise<void> {
    const { http } = this.#cluster;
    for (let n = 0; !this.#stopping.signal.aborted; n++) {
      const url = this.#url(at + n);
      const key = `${this.#prefix}-${n % KEYS}`;
      const value = `${at}-${n}`;
      const { type } = await this.history.record(key, value, () => put({ http, url, key }, value));
      this.fates[type]++;
      if (type === "done") this.acknowledged.push(performance.now());
      else {
        if (type === "notApplied") this.refused.push(performance.now());
        await sleep(10);
      }
    }
  }

  async #read(at: number): Promise<void> {
    const { http } = this.#cluster;
    for (let n = 0; !this.#stopping.signal.aborted; n++) {
      const url = this.#url(at + n);
      const key = `${this.#prefix}-${n % KEYS}`;
      const { type } = await this.history.record(key, null, () => get({ http, url, key }));
      await sleep(type === "done" ? 2 : 10);
    }
  }
}
