/**
 * Ten thousand watchers of one node: what each costs in memory, what they cost a write, and that all are told what they
 * asked for, also while one of them doesn't read; it is cut off, and resumes. Then all go, and are forgotten.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { quantile, requestBytes, runLoad } from "../../bench/load.ts";
import { eventually } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";
import { freePort, NodeProcess, runtimes, temporaryDirectory } from "./harness/node-process.ts";
import { type Told, WatchStream } from "./harness/watching.ts";

const WATCHERS = 10_000;
/** Files that each of the two processes has open beside them. */
const OTHER_FILES = 500;
const OPENING = 128;
const PUTS = 400;
const BATCH = 1000;
const KIB = 1024;
/** Above what was seen on any runtime (5 to 60 KiB). */
const BYTES_EACH_MAX = 100 * KIB;
const VALUE = "x".repeat(64 * KIB);
/** Of values that nobody reads: more than both sockets and the queue may come to hold. */
const UNREAD = 16 * Math.ceil((socketBytesMax() + 4 * 1024 * KIB) / VALUE.length / 16);

function socketBytesMax(): number {
  const maxima = ["tcp_rmem", "tcp_wmem"].map((name) =>
    Number(/(\d+)\s*$/.exec(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8"))?.[1])
  );
  return maxima.reduce((sum, bytes) => sum + bytes, 0);
}

/** As many as this machine lets a process have open. */
function watchersHere(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const [, files = "0"] = /^Max open files\s+\d+\s+(\d+)/m.exec(limits) ?? [];
  return Math.min(WATCHERS, Number(files) - OTHER_FILES);
}

/** A node in memory, alone, with room for as many files as the machine allows. */
class LoneNode extends NodeProcess {
  override command(extra: readonly string[] = []): [string, ...string[]] {
    const line = super.command(extra);
    return ["/bin/sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh", ...line];
  }
}

function residentBytes(pid: number): number {
  const [, kib = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * KIB;
}

/** A watcher that counts what it is told, by revision. */
class Counter {
  readonly stream: WatchStream;
  revisions: number[] = [];

  constructor(url: string, query: string, behind?: number) {
    const told = ({ id, event }: Told): void => {
      if (event !== "progress") this.revisions.push(id);
    };
    this.stream = new WatchStream(
      { url, query, ...(behind === undefined ? {} : { behind }) },
      told,
    );
  }
}

/** A node, its watchers, and what is done to both. */
class Crowd implements AsyncDisposable {
  readonly node: LoneNode;
  readonly http: HttpClient = new HttpClient();
  watchers: Counter[] = [];

  constructor(node: LoneNode) {
    this.node = node;
  }

  /** Half of them watch a key each, a quarter a prefix each, the others one prefix together. */
  async gather(count: number): Promise<void> {
    const queue = Array.from({ length: count }, (_, n) => n).values();
    await Promise.all(Array.from({ length: OPENING }, async () => {
      for (const n of queue) {
        const watcher = new Counter(this.node.url, queryOf(n));
        this.watchers.push(watcher);
        assert.equal(await watcher.stream.opened, 200, `watcher ${n}\n${this.node.stderr}`);
      }
    }));
  }

  /** Milliseconds that a write takes, one after the other; nobody watches the keys. */
  async writeLatency(): Promise<string> {
    const { url } = this.node;
    const value = new TextEncoder().encode("value");
    const { succeeded, latencies } = await runLoad({
      urls: [url],
      connections: 1,
      requestsMax: PUTS,
      request: (n) => requestBytes("PUT", url, `/v1/kv/unwatched/${n % 10}`, value),
    });
    assert.equal(succeeded, PUTS);
    return `${quantile(latencies, 0.5).toFixed(2)} (p99 ${quantile(latencies, 0.99).toFixed(1)})`;
  }

  /** The revisions of puts of these keys, in their order. */
  async put(keys: readonly string[], value: string): Promise<number[]> {
    const revisions: number[] = [];
    for (let at = 0; at < keys.length; at += BATCH) {
      const ops = keys.slice(at, at + BATCH).map((key) => ({ put: { key, value } }));
      const { status, json, text } = await this.http.request(`${this.node.url}/v1/batch`, {
        method: "POST",
        body: JSON.stringify({ ops }),
        headers: { "content-type": "application/json" },
        timeoutMs: 30_000,
      });
      assert.equal(status, 200, text());
      const { results } = json() as { results: { revision: number }[] };
      revisions.push(...results.map(({ revision }) => revision));
    }
    return revisions;
  }

  /** Resolves when each watcher was told of these revisions, and of no others before. */
  async told(expected: (n: number) => readonly number[]): Promise<void> {
    for (const [n, watcher] of this.watchers.entries()) {
      const revisions = expected(n);
      await eventually(
        () => `watcher ${n}: ${shown(watcher.revisions)}, not ${shown(revisions)}`,
        () => Promise.resolve(watcher.revisions.length >= revisions.length || undefined),
        30_000,
      );
      assert.deepEqual(watcher.revisions, revisions, `watcher ${n}`);
      watcher.revisions = [];
    }
  }

  async gauge(): Promise<number> {
    const { text } = await this.http.request(`${this.node.url}/metrics`);
    return Number(/^holdfast_mvcc_watchers (\d+)$/m.exec(text())?.[1]);
  }

  disperse(): void {
    for (const { stream } of this.watchers) stream[Symbol.dispose]();
    this.watchers = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disperse();
    this.http.close();
    await this.node.kill();
  }
}

const shown = (revisions: readonly number[]): string => `told of [${revisions.join(", ")}]`;
const isTogether = (n: number): boolean => n % 4 === 3;
const keyOf = (n: number): string => isTogether(n) ? "together/x" : `w/${n}/x`;
const queryOf = (n: number): string => {
  if (isTogether(n)) return "prefix=together/";
  return n % 4 === 0 ? `prefix=w/${n}/` : `key=w/${n}/x`;
};

/** Node's, unless `HOLDFAST_MATRIX` asks for others: it takes half a minute. */
const chosen = process.env["HOLDFAST_MATRIX"]?.split(",") ?? ["node"];

for (const runtime of runtimes.filter((name) => chosen.includes(name))) {
  describe(`a crowd of watchers (${runtime})`, () => {
    it("is told all it asked for, within bounds, and doesn't hold up a write", async (t) => {
      const count = watchersHere();
      if (count < WATCHERS) t.diagnostic(`this machine allows no more than ${count} watchers`);
      using temporary = temporaryDirectory();
      const flags = ["--storage", "memory", "--history-bytes", "256MiB"];
      const data = join(temporary.path, "n1");
      const port = await freePort();
      await using crowd = new Crowd(new LoneNode({ id: "n1", runtime, port, data, flags }));
      await crowd.node.start();
      await crowd.writeLatency();
      const alone = await crowd.writeLatency();
      const before = residentBytes(crowd.node.pid);
      await crowd.gather(count);
      const each = (residentBytes(crowd.node.pid) - before) / count;
      const watched = await crowd.writeLatency();
      assert.equal(await crowd.gauge(), count);

      const own = crowd.watchers.map((_, n) => n).filter((n) => !isTogether(n));
      const revisions = await crowd.put(own.map(keyOf), "v");
      const byWatcher = new Map(own.map((n, at) => [n, revisions[at] ?? 0]));
      await crowd.told((n) => isTogether(n) ? [] : [byWatcher.get(n) ?? 0]);
      const common = await crowd.put(["together/x", "together/y"], "v");
      await crowd.told((n) => isTogether(n) ? common : []);

      const cut = await starveAndResume(crowd);
      await crowd.told(() => []);
      crowd.disperse();
      await eventually("all are forgotten", async () => (await crowd.gauge()) === 0 || undefined);
      await crowd.gather(10);
      const streams = crowd.watchers.map(({ stream }) => stream.ended);
      assert.equal((await crowd.node.end("SIGTERM")).status, 0);
      assert.deepEqual(await Promise.all(streams), Array(10).fill(null));
      t.diagnostic(
        `${runtime}: ${count} watchers, ${
          (each / KIB).toFixed(1)
        } KiB each; a write takes ${alone} ms without ` +
          `and ${watched} ms with them; one that did not read was cut off after ${cut} of ${UNREAD} values`,
      );
      assert.ok(each < BYTES_EACH_MAX, `${each} bytes each`);
    });
  });
}

/** One more watcher, which stops to read: how many it was told of before it was cut off. It then sees the others too. */
async function starveAndResume(crowd: Crowd): Promise<number> {
  const { url } = crowd.node;
  const starved = new Counter(url, "prefix=unread/");
  assert.equal(await starved.stream.opened, 200);
  starved.stream.pause();
  const revisions: number[] = [];
  for (let n = 0; n < UNREAD; n += 16) {
    const keys = Array.from({ length: 16 }, (_, at) => `unread/${n + at}`);
    revisions.push(...await crowd.put(keys, VALUE));
  }
  starved.stream.resume();
  let hasEnded = false;
  void starved.stream.ended.then(() => hasEnded = true);
  await eventually(
    () => `it is at its end, after ${starved.revisions.length} of ${UNREAD} values`,
    () => Promise.resolve(hasEnded || starved.revisions.length === UNREAD || undefined),
    60_000,
  );
  assert.ok(hasEnded, "it was told of all, without having been cut off");
  const overflow = await starved.stream.ended;
  assert.equal(overflow?.event, "overflow");
  const told = starved.revisions.length;
  assert.equal(overflow.id, starved.revisions.at(-1));
  assert.deepEqual(starved.revisions, revisions.slice(0, told));
  const resumed = new Counter(url, "prefix=unread/", overflow.id);
  const rest = revisions.slice(told);
  await eventually(
    "what it missed is told",
    () => Promise.resolve(resumed.revisions.length >= rest.length || undefined),
  );
  assert.deepEqual(resumed.revisions, rest);
  resumed.stream[Symbol.dispose]();
  return told;
}
