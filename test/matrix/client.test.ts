/**
 * The client library under each runtime, against one cluster whose leader is killed twice while they work: what is
 * counted is counted once, watches see each value once and in order, and a lock is held by one at a time.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { connect } from "../../src/client/mod.ts";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import { root, run, type RuntimeName, runtimes as allRuntimes } from "./harness/node-process.ts";

const ROUNDS = 150;
const LOCKED_ROUNDS = 10;
/** Of what all count: when a leader dies, and where the work then waits until it is back. */
const DEATHS = [{ at: 0.1, pauseAt: 0.3 }, { at: 0.4, pauseAt: null }];

interface Came {
  readonly added: number;
  readonly watched: readonly number[];
  readonly tokens: readonly number[];
  readonly retries: number;
}

for (const { name, runtimes } of longSetups) {
  describe(`the client library (${name})`, () => {
    it("counts once, watches all and locks safely while leaders die", async (t) => {
      await using cluster = await Cluster.start(runtimes);
      const working = allRuntimes.map((runtime) => work(cluster, runtime));
      const client = connect({ endpoints: cluster.urls, timeoutMs: 60_000 });
      const total = allRuntimes.length * ROUNDS * 5;
      for (const { at, pauseAt } of DEATHS) {
        await eventually(`${at} of the work is done`, async () => {
          return await counted(client, "all") >= at * total ? true : undefined;
        }, 120_000);
        const leader = await cluster.leader();
        await leader.end("SIGKILL");
        assert.ok(await counted(client, "all") < total, "it was killed in the middle");
        await leader.start();
        await cluster.ready();
        if (pauseAt !== null) await client.put("go", "");
      }

      const tokens: number[] = [];
      for (const [at, ended] of (await Promise.all(working)).entries()) {
        assert.equal(ended.status, 0, `${ended.stdout}${ended.stderr}\n${cluster.stderr()}`);
        const came: Came = JSON.parse(ended.stdout);
        t.diagnostic(`${allRuntimes[at]}: ${came.added} added, ${came.retries} retries`);
        assert.deepEqual(came.watched, Array.from({ length: ROUNDS }, (_, value) => value + 1));
        assert.deepEqual(came.tokens, came.tokens.toSorted((a, b) => a - b));
        tokens.push(...came.tokens);
        assert.equal(await counted(client, `own/${allRuntimes[at]}`), ROUNDS);
      }
      assert.equal(await counted(client, "all"), total);
      assert.equal(new Set(tokens).size, allRuntimes.length * LOCKED_ROUNDS);
      assert.equal(await counted(client, "guarded"), allRuntimes.length * LOCKED_ROUNDS);
    });
  });
}

async function counted(client: ReturnType<typeof connect>, key: string): Promise<number> {
  const item = await client.get(key);
  return item === null ? 0 : Number(new TextDecoder().decode(item.value));
}

function work(cluster: Cluster, runtime: RuntimeName): ReturnType<typeof run> {
  const binary = join(root, "node_modules/.bin", runtime);
  const script = join(root, "test/matrix/harness/client-work.ts");
  const allowed = runtime === "deno" ? ["run", "--no-check", "--allow-net"] : [];
  const order = {
    endpoints: cluster.urls.slice(0, 2),
    name: runtime,
    rounds: ROUNDS,
    lockedRounds: LOCKED_ROUNDS,
    pauseAt: ROUNDS * (DEATHS[0]?.pauseAt ?? 0),
  };
  return run([binary, ...allowed, script, JSON.stringify(order)], { timeoutMs: 300_000 });
}
