/**
 * Watchers that change nodes whenever a leader is killed, and whenever their own node goes, see every change of a loaded
 * run once, in order, and a transaction's events together.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { HttpAnswer } from "./harness/http-client.ts";
import type { NodeProcess } from "./harness/node-process.ts";
import { type Told, WatchStream } from "./harness/watching.ts";

const REVISIONS = 10_000;
const KILLS = 3;
const WRITERS = 24;
const BATCH = 40;

/** A watcher that comes back, to the next node, behind the last revision that it has seen whole. */
class Traveller implements AsyncDisposable {
  /** `key=value`, by revision. */
  readonly revisions: string[][] = [];
  /** Times that it changed nodes. */
  moves = 0;
  /** What should not have been: it ends the watching. */
  flaw: string | null = null;
  readonly #urls: readonly string[];
  readonly #watching: Promise<void>;
  #at: number;
  #stream: WatchStream | null = null;
  #isOver = false;
  #open: string[] = [];

  constructor(urls: readonly string[], first: number) {
    this.#urls = urls;
    this.#at = first;
    this.#watching = this.#watch();
  }

  /** Revisions that were told of whole. */
  get seen(): number {
    return this.revisions.length;
  }

  /** Goes to another node; resolves when it is there. */
  async move(): Promise<void> {
    const { moves } = this;
    this.#stream?.[Symbol.dispose]();
    await eventually("a watcher is at another node", () => {
      const isThere = this.moves > moves || this.flaw !== null;
      return Promise.resolve(isThere || undefined);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#stream?.[Symbol.dispose]();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver && this.flaw === null) {
      const url = this.#urls[this.#at++ % this.#urls.length] ?? "";
      const told = (event: Told): void => this.#take(event);
      this.#stream = new WatchStream({ url, query: "", behind: this.seen }, told);
      const status = await this.#stream.opened;
      if (status === 200) this.moves++;
      else if (status !== 0 && status !== 503) this.flaw = `answered ${status}`;
      if (this.#isOver) this.#stream[Symbol.dispose]();
      const overflow = await this.#stream.ended;
      if (overflow !== null && overflow.id !== this.seen) this.flaw = `cut at ${overflow.id}`;
      // Of a revision that broke off it has seen nothing.
      this.#open = [];
      if (status !== 200) await sleep(20);
    }
  }

  #take({ id, event, data }: Told): void {
    if (event === "progress") {
      if (id < this.seen) this.flaw ??= `progress ${id} behind ${this.seen}`;
      return;
    }
    if (id !== this.seen + 1) this.flaw ??= `revision ${id} behind ${this.seen}`;
    this.#open.push(`${data.key}=${data.value}`);
    if (data.more === true) return;
    this.revisions.push(this.#open);
    this.#open = [];
  }
}

/** Writes, by ones and by transactions and batches, until the store is at a revision; keeps what it was told became of it. */
class Writers {
  /** What was acknowledged, by revision. */
  readonly acknowledged: Map<number, string[]> = new Map();
  readonly #cluster: Cluster;
  readonly #workers: Promise<void>[];
  #revision = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#workers = Array.from({ length: WRITERS }, (_, worker) => this.#write(worker));
  }

  get revision(): number {
    return this.#revision;
  }

  async done(): Promise<void> {
    await Promise.all(this.#workers);
  }

  async #write(worker: number): Promise<void> {
    for (let n = 0; this.#revision < REVISIONS; n++) {
      const url = this.#cluster.urls[(worker + n) % this.#cluster.urls.length] ?? "";
      const text = (part: number): readonly [string, string] => [
        `w${worker}/${part}`,
        `${n}.${part}`,
      ];
      try {
        if (n % 4 === 0) await this.#putAll(url, [0, 1, 2].map(text));
        else if (n % 4 === 1) {
          await this.#putEach(
            url,
            Array.from({ length: BATCH }, (_, at) => text(at)),
          );
        } else await this.#put(url, text(0));
      } catch {
        await sleep(10);
      }
    }
  }

  async #put(url: string, [key, value]: readonly [string, string]): Promise<void> {
    const { http } = this.#cluster;
    const answer = await http.request(`${url}/v1/kv/${key}`, { method: "PUT", body: value });
    this.#acknowledge(answer, [`${key}=${value}`]);
  }

  async #putAll(url: string, items: readonly (readonly [string, string])[]): Promise<void> {
    const then = items.map(([key, value]) => ({ put: { key, value } }));
    const answer = await this.#post(`${url}/v1/txn`, { if: [], then, else: [] });
    this.#acknowledge(answer, items.map((item) => item.join("=")));
  }

  async #putEach(url: string, items: readonly (readonly [string, string])[]): Promise<void> {
    const ops = items.map(([key, value]) => ({ put: { key, value } }));
    const answer = await this.#post(`${url}/v1/batch`, { ops });
    if (answer.status !== 200) throw new Error(answer.text());
    const { results } = answer.json() as { results: { revision: number }[] };
    for (const [at, { revision }] of results.entries()) {
      this.acknowledged.set(revision, [items[at]?.join("=") ?? ""]);
      this.#revision = Math.max(this.#revision, revision);
    }
  }

  async #post(url: string, body: object): Promise<HttpAnswer> {
    const headers = { "content-type": "application/json" };
    const { http } = this.#cluster;
    return await http.request(url, { method: "POST", body: JSON.stringify(body), headers });
  }

  #acknowledge(answer: HttpAnswer, items: string[]): void {
    if (answer.status >= 300) throw new Error(answer.text());
    const { revision } = answer.json() as { revision: number };
    this.acknowledged.set(revision, items);
    this.#revision = Math.max(this.#revision, revision);
  }
}

for (const { name, runtimes } of longSetups) {
  describe(`watching a loaded cluster (${name})`, () => {
    it("tells of each revision once, in order, through every leader's death", async (t) => {
      await using cluster = await Cluster.start(runtimes);
      await using first = new Traveller(cluster.urls, 0);
      await using second = new Traveller(cluster.urls, 1);
      await using third = new Traveller(cluster.urls, 2);
      const travellers = [first, second, third];
      const writers = new Writers(cluster);
      for (let kill = 1; kill <= KILLS; kill++) {
        const due = kill * REVISIONS / (KILLS + 1);
        await eventually(
          `the load is at ${due}`,
          () => Promise.resolve(writers.revision >= due || undefined),
          60_000,
        );
        await killAndRestart(cluster, await cluster.leader());
        for (const traveller of travellers) await traveller.move();
      }
      await writers.done();
      const { revision } = writers;
      for (const traveller of travellers) {
        await eventually(
          () => `a watcher is at ${revision}: ${traveller.seen}, ${traveller.flaw}`,
          () => Promise.resolve(traveller.seen >= revision || traveller.flaw !== null || undefined),
          30_000,
        );
        assert.equal(traveller.flaw, null, cluster.stderr());
        assert.ok(traveller.moves > KILLS);
        for (const [at, items] of writers.acknowledged) {
          assert.deepEqual(traveller.revisions[at - 1], items, `revision ${at}`);
        }
        // A write that was not acknowledged may come late.
        assert.deepEqual(told(traveller, revision), told(first, revision));
      }
      const moves = travellers.map((traveller) => traveller.moves).join(", ");
      t.diagnostic(
        `${name}: ${revision} revisions, ${writers.acknowledged.size} acknowledged, connected ${moves} times`,
      );
    });
  });
}

function told({ revisions }: Traveller, upTo: number): readonly string[][] {
  return revisions.slice(0, upTo);
}

async function killAndRestart(cluster: Cluster, leader: NodeProcess): Promise<void> {
  await leader.end("SIGKILL");
  await cluster.leader(cluster.others(leader.id));
  await leader.start();
}
