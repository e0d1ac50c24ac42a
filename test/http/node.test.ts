import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Hono } from "hono";
import * as v from "valibot";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { createMemoryNetwork } from "../../src/adapters/memory-transport.ts";
import { openMemorySnapshots } from "../../src/adapters/memory-snapshots.ts";
import { openMemoryWal } from "../../src/adapters/memory-wal.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { proposalLimits, raftLimits } from "../../src/config.ts";
import { createApp } from "../../src/http/app.ts";
import { Metrics } from "../../src/http/metrics.ts";
import type { Bindings } from "../../src/http/target.ts";
import { StatusAnswer } from "../../src/http/wire.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import { Replica } from "../../src/replica.ts";
import { assertProblem, json } from "./fixture.ts";

interface Node {
  readonly replica: Replica<KvResult>;
  readonly app: Hono<{ Bindings: Bindings }>;
}

/** Nodes of one cluster in this process, in memory. Only those in `running` take part. */
async function openCluster(
  members: readonly string[],
  running: readonly string[],
): Promise<Node[]> {
  const clock = createSystemClock();
  const network = createMemoryNetwork({
    clock,
    limits: { bodyBytesMax: 4e6, records: { payloadBytesMax: 2e6, entriesMax: 10_000 } },
  });
  const urls = Object.fromEntries(members.map((id) => [id, `http://${id}`]));
  const birth = { voters: members, outgoing: [], learners: [], urls };
  return await Promise.all(running.map(async (id) => {
    const metrics = new Metrics();
    const machine = new KvMachine();
    const log = () => {};
    const replica = await Replica.open<KvResult>({
      options: {
        raft: {
          id,
          electionTimeoutMs: 150,
          heartbeatIntervalMs: 30,
          noticeDelayMs: 5,
          maxClockDrift: 0.1,
          limits: { ...raftLimits, trailingEntries: 100 },
          random: Math.random,
          seal: sealEntry,
        },
        clusterId: "c1",
        birth,
        snapshotEntries: 1000,
        snapshotBytes: 1e6,
        proposals: proposalLimits,
        peerTimeoutMs: 200,
        diskStallMs: 10_000,
      },
      ...openMemoryWal({ index: 0, term: 0, crc: 0 }),
      snapshots: openMemorySnapshots(),
      transport: network.transport(id),
      clock,
      machine,
      log,
      observer: metrics,
    });
    network.attach(id, replica);
    replica.start();
    const app = createApp({
      replica,
      machine,
      metrics,
      runtime: "test",
      version: "0",
      now: () => clock.now(),
      log,
      onDefect: (error) => {
        throw error;
      },
      leaseReads: false,
      limits: { requestTimeoutMs: members.length === running.length ? 10_000 : 200 },
    });
    return { replica, app };
  }));
}

async function stop(nodes: readonly Node[]): Promise<void> {
  await Promise.all(nodes.map(({ replica }) => replica.stop()));
}

describe("the app over real replicas", () => {
  let nodes: Node[] = [];
  before(async () => {
    nodes = await openCluster(["n1", "n2", "n3"], ["n1", "n2", "n3"]);
  });
  after(() => stop(nodes));
  const at = (i: number) => {
    const node = nodes[i];
    assert.ok(node !== undefined);
    return node.app;
  };

  it("writes on any node and reads it at once on any other", async () => {
    for (let i = 0; i < 9; i++) {
      const put = await at(i % 3).request("/v1/kv/a", { method: "PUT", body: `value ${i}` });
      assert.equal(put.status, i === 0 ? 201 : 200);
      assert.deepEqual(await json(put), { revision: i + 1, version: i + 1 });
      for (let j = 0; j < 3; j++) {
        const got = await at(j).request("/v1/kv/a");
        assert.equal(await got.text(), `value ${i}`);
        assert.equal(got.headers.get("etag"), `"${i + 1}"`);
        assert.equal(got.headers.get("holdfast-revision"), `${i + 1}`);
        assert.ok(Number(got.headers.get("holdfast-term")) > 0);
      }
    }
  });

  it("lets one of many that create the same key win", async () => {
    const headers = { "if-none-match": "*" };
    const answers = await Promise.all(
      Array.from(
        { length: 30 },
        async (_, i) =>
          await at(i % 3).request("/v1/kv/once", { method: "PUT", body: `${i}`, headers }),
      ),
    );
    const created = answers.filter(({ status }) => status === 201);
    assert.equal(created.length, 1);
    const etag = created[0]?.headers.get("etag");
    for (const answer of answers.filter(({ status }) => status !== 201)) {
      assert.equal(answer.headers.get("etag"), etag);
      await assertProblem(answer, 412, "precondition_failed", "not_applied");
    }
  });

  it("counts with If-Match from every node, and loses nothing", async () => {
    await at(0).request("/v1/kv/count", { method: "PUT", body: "0" });
    let refused = 0;
    const increment = async (i: number): Promise<void> => {
      const got = await at(i % 3).request("/v1/kv/count");
      const match = { "if-match": got.headers.get("etag") ?? "" };
      const body = String(Number(await got.text()) + 1);
      const put = await at((i + 1) % 3).request("/v1/kv/count", {
        method: "PUT",
        body,
        headers: match,
      });
      if (put.status === 200) return;
      assert.equal(put.status, 412);
      refused++;
      await increment(i);
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => increment(i)));
    assert.equal(await (await at(0).request("/v1/kv/count")).text(), "12");
    assert.ok(refused > 0);
  });

  it("tells of the same cluster on every node", async () => {
    const seen = await Promise.all([0, 1, 2].map(async (i) => {
      // A linearizable read, so that the node knows its leader.
      await (await at(i).request("/v1/kv/a")).text();
      return v.parse(StatusAnswer, await (await at(i).request("/v1/status")).json());
    }));
    const leaders = seen.filter(({ role }) => role === "leader");
    assert.equal(leaders.length, 1);
    const [leader] = leaders;
    for (const status of seen) {
      assert.equal(status.leader, leader?.id);
      assert.deepEqual(status.members.map(({ id }) => id), ["n1", "n2", "n3"]);
    }
    for (const { match } of leader?.members ?? []) assert.ok((match ?? 0) > 0);
    for (let i = 0; i < 3; i++) {
      const [ready, stale] = [
        await at(i).request("/readyz"),
        await at(i).request(
          "/v1/kv/a?consistency=stale&max_stale=10s",
        ),
      ];
      assert.equal(ready.status, 200);
      assert.match(stale.headers.get("holdfast-staleness-ms") ?? "", /^\d+$/);
      const log = await json(await at(i).request("/v1/log?limit=5"));
      assert.ok(Array.isArray(log["entries"]));
      assert.equal(log["entries"][0].index, 1);
      assert.match(await (await at(i).request("/metrics")).text(), /server_has_leader 1/);
    }
  });
});

describe("the app over a replica without a majority", () => {
  it("refuses writes and reads in time, changes nothing, and is live but not ready", async () => {
    const nodes = await openCluster(["n1", "n2", "n3"], ["n1"]);
    try {
      const app = nodes[0]?.app;
      assert.ok(app !== undefined);
      const put = await app.request("/v1/kv/a", { method: "PUT", body: "x" });
      await assertProblem(put, 503, "no_leader", "not_applied");
      await assertProblem(await app.request("/v1/kv/a"), 503, "no_leader");
      assert.equal((await app.request("/v1/kv/a?consistency=stale")).status, 404);
      const bounded = await app.request("/v1/kv/a?consistency=stale&max_stale=1h");
      await assertProblem(bounded, 503, "too_stale");
      assert.equal((await app.request("/livez")).status, 200);
      const ready = await assertProblem(await app.request("/readyz"), 503, "not_ready");
      assert.ok(Array.isArray(ready["checks"]) && ready["checks"].length > 0);
    } finally {
      await stop(nodes);
    }
  });
});
