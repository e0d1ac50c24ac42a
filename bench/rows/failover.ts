/** How long no write is acknowledged when the leader is ended by SIGKILL. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { RuntimeName } from "../../test/matrix/harness/node-process.ts";
import { type Bench, NODES, type Section, startEtcd, startHoldfast } from "../bench.ts";
import type { Replicated } from "../system.ts";
import { milliseconds, NONE, spread } from "../table.ts";
import { judge, type Verdict, verdictCell } from "../targets.ts";
import { keyOf, median, nextStamp, valueOf } from "../workload.ts";
import { WrongData } from "../written.ts";

/** A put starts this often whatever became of those before it, at the two nodes that stay, in turn. */
const EVERY_MS = 5;
const PENDING_MAX = 2000;
const PUT_TIMEOUT_MS = 5000;
/** Puts go on this long before the leader is ended. */
const BEFORE_MS = 1000;
/** What is still acknowledged so soon after was on its way. */
const ECHO_MS = 50;
/** It is over when so many were acknowledged again. */
const AGAIN = 100;
const OVER_MS_MAX = 60_000;
const SAMPLE = 100;

interface Failover {
  readonly runtime: RuntimeName;
  readonly holdfastMs: readonly number[];
  readonly etcdMs: readonly number[];
}

export async function failover(bench: Bench): Promise<Section> {
  const data: Failover[] = [];
  for (const runtime of bench.options.runtimes) {
    const measured = await bench.attempt(`failover, ${runtime}`, () => alternate(bench, runtime));
    if (measured !== null) data.push(measured);
  }
  const verdicts: Verdict[] = [];
  const rows = data.map(({ runtime, holdfastMs, etcdMs }) => {
    const cells = [runtime, spread(holdfastMs, milliseconds), spread(etcdMs, milliseconds)];
    if (etcdMs.length === 0) return [...cells, NONE];
    const verdict = judge("failover", runtime, median(holdfastMs) / median(etcdMs));
    verdicts.push(verdict);
    return [...cells, verdictCell(verdict)];
  });
  return {
    title: "Longest gap between acknowledged writes after kill -9 of the leader",
    heads: ["runtime", "Holdfast ms (min–max)", "etcd ms (min–max)", "÷ etcd"],
    rows,
    notes: [
      `a put every ${EVERY_MS} ms, at the surviving nodes in turn; what was acknowledged was there afterwards`,
    ],
    data,
    verdicts,
  };
}

async function alternate(bench: Bench, runtime: RuntimeName): Promise<Failover> {
  const { progress, options: { rounds } } = bench;
  progress(`${runtime}: starting`);
  await using stack = new AsyncDisposableStack();
  const etcd = bench.etcd ? stack.use(await startEtcd(bench, NODES)) : null;
  const holdfast = stack.use(await startHoldfast(bench, runtime, NODES));
  const gaps = { holdfastMs: [] as number[], etcdMs: [] as number[] };
  for (let round = 1; round <= rounds; round++) {
    progress(`${runtime}: round ${round} of ${rounds}: kill -9 of the leader`);
    if (etcd !== null) gaps.etcdMs.push(await writeGap(etcd));
    gaps.holdfastMs.push(await writeGap(holdfast));
  }
  return { runtime, ...gaps };
}

/** Ends the leader amid puts, waits until puts go through again, checks them, and starts the node again. */
async function writeGap(store: Replicated): Promise<number> {
  const stamp = nextStamp();
  const leader = await store.leader();
  const survivors = store.ids.filter((id) => id !== leader);
  const puts = new Puts(store, survivors, stamp);
  await sleep(BEFORE_MS);
  const killedAt = performance.now();
  await store.kill(leader);
  while (puts.since(killedAt + ECHO_MS).length < AGAIN) {
    await sleep(EVERY_MS);
    if (performance.now() - killedAt > OVER_MS_MAX) {
      void puts.stop();
      throw new Error(`${store.label} took no writes for ${OVER_MS_MAX} ms`);
    }
  }
  const times = puts.since(killedAt - BEFORE_MS / 2);
  await puts.stop();
  await verify(store, puts.acknowledged, stamp);
  await store.start(leader);
  return times.reduce((gap, at, n) => Math.max(gap, at - (times[n - 1] ?? at)), 0);
}

/** Puts at a steady pace. */
class Puts {
  /** Numbers of keys, and when each was acknowledged. */
  readonly acknowledged: number[] = [];
  readonly #times: number[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(store: Replicated, ids: readonly string[], stamp: string) {
    let next = 0;
    this.#timer = setInterval(() => {
      if (this.#pending.size >= PENDING_MAX) return;
      const n = next++;
      const id = ids[n % ids.length] ?? "";
      const put = store.put(id, keyOf(n), valueOf(n, stamp, 64), PUT_TIMEOUT_MS).then((done) => {
        this.#pending.delete(put);
        if (!done) return;
        this.acknowledged.push(n);
        this.#times.push(performance.now());
      });
      this.#pending.add(put);
    }, EVERY_MS);
  }

  /** When puts were acknowledged, from `at`. */
  since(at: number): readonly number[] {
    return this.#times.filter((time) => time >= at);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
  }
}

async function verify(store: Replicated, keys: readonly number[], stamp: string): Promise<void> {
  const step = Math.max(1, Math.floor(keys.length / SAMPLE));
  for (let at = keys.length - 1; at >= 0; at -= step) {
    const n = keys[at] ?? 0;
    for (const value of await store.read(keyOf(n))) {
      if (value === valueOf(n, stamp, 64)) continue;
      throw new WrongData(`${store.label} lost ${keyOf(n)} with its leader: ${String(value)}`);
    }
  }
}
