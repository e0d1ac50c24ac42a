/**
 * What a node stands on gives way: the wall clock jumps by an hour, the event loop stands still, the disk stalls. The
 * cluster goes on under load, the node says what it saw, and comes back by itself or ends as it has to.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { join } from "node:path";
import { Cluster, eventually, longSetups, setups } from "./harness/cluster.ts";
import type { Faults } from "./harness/faulty-node.ts";
import { Load } from "./harness/load.ts";
import {
  freePort,
  NodeProcess,
  root,
  runtimes as allRuntimes,
  temporaryDirectory,
} from "./harness/node-process.ts";

const script = join(root, "test/matrix/harness/faulty-node.ts");
const HOUR_MS = 3_600_000;
const flags = ["--lease-reads", "--secret", "watchdogs watchdogs watchdogs watchdogs"];

function set(nodes: readonly NodeProcess[], faults: Faults): void {
  for (const { data } of nodes) writeFileSync(`${data}.faults`, JSON.stringify(faults));
}

async function start(runtimes: Parameters<typeof Cluster.layOut>[0]): Promise<Cluster> {
  const cluster = await Cluster.layOut(runtimes, flags, null, script);
  try {
    await cluster.startAll();
    await cluster.ready();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

async function metric(cluster: Cluster, node: NodeProcess, name: string): Promise<number> {
  const { text } = await cluster.http.request(`${node.url}/metrics`);
  const line = text().split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? NaN);
}

async function says(node: NodeProcess, words: RegExp): Promise<void> {
  await eventually(
    () => `${node.id} says ${words}\n${node.stderr}`,
    () => Promise.resolve(words.test(node.stderr) ? true : undefined),
  );
}

/** Every acknowledged write is there, at every node, and the history could be that of one copy. */
async function assertSound(cluster: Cluster, load: Load): Promise<void> {
  await cluster.ready();
  await load.stop();
  await load.readBack(cluster.nodes);
  assert.equal(load.history.flaw(), null, cluster.stderr());
  assert.ok(load.fates.done > 0);
}

for (const { name, runtimes } of longSetups) {
  describe(`watchdogs (${name})`, () => {
    it("a wall clock that jumps by an hour takes nothing from the cluster but its node", async () => {
      await using cluster = await start(runtimes);
      const { http } = cluster;
      await using load = new Load(cluster, "clock");
      const jumper = await cluster.leader();
      const lasting = await eventually("a key with a time to live is put", async () => {
        const url = `${jumper.url}/v1/kv/lasting?ttl=10m`;
        const answer = await http.request(url, { method: "PUT", body: "still here" });
        return answer.status === 201 ? answer : undefined;
      });
      assert.equal(lasting.status, 201);

      set([jumper], { aheadMs: HOUR_MS });
      const others = cluster.others(jumper.id);
      const leader = await cluster.leader(others);
      await load.acknowledgedAfter(performance.now());
      await says(jumper, /the wall clock jumped/);
      assert.ok(await metric(cluster, jumper, "holdfast_clock_jumps_total") >= 1);
      await says(leader, /clock and ours are too far apart/);
      const offset = await eventually("the offset is measured", async () => {
        const label = `holdfast_peer_clock_offset_seconds{peer="${jumper.id}"}`;
        const seconds = await metric(cluster, leader, label);
        return seconds > 60 ? seconds : undefined;
      });
      assert.ok(Math.abs(offset - 3600) < 60, `${offset} s`);
      const kept = await http.request(`${leader.url}/v1/kv/lasting`);
      assert.equal(kept.text(), "still here", "no time to live runs out by a wall clock");

      set([jumper], {});
      await cluster.ready();
      await says(leader, /clock agrees with ours again/);
      // Where all clocks jump together nobody is wrong.
      set(cluster.nodes, { aheadMs: -HOUR_MS });
      for (const node of cluster.nodes) await says(node, /"ms":-3\d{6}/);
      await cluster.ready();
      await load.acknowledgedAfter(performance.now());
      const after = await http.request(`${leader.url}/v1/kv/lasting`);
      assert.equal(after.text(), "still here");
      await assertSound(cluster, load);
    });

    it("an event loop that stands still loses its office, and tells", async () => {
      await using cluster = await start(runtimes);
      await using load = new Load(cluster, "loop");
      const still = await cluster.leader();
      set([still], { blockMs: 2500 });
      const leader = await cluster.leader(cluster.others(still.id));
      await load.acknowledgedAfter(performance.now());
      assert.notEqual(leader.id, still.id);
      await says(still, /the event loop stood still/);
      assert.ok(await metric(cluster, still, "holdfast_event_loop_stalls_total") >= 1);
      assert.ok(await metric(cluster, still, "holdfast_event_loop_lag_seconds_sum") > 1);
      await assertSound(cluster, load);
    });

    it("a leader whose disk stalls is succeeded, and comes back with it", async () => {
      await using cluster = await start(runtimes);
      const { http } = cluster;
      await using load = new Load(cluster, "disk");
      const stalled = await cluster.leader();
      set([stalled], { stalled: true });
      const leader = await cluster.leader(cluster.others(stalled.id));
      await load.acknowledgedAfter(performance.now());
      assert.notEqual(leader.id, stalled.id);
      await says(stalled, /the disk stalls/);
      assert.equal(await metric(cluster, stalled, "holdfast_disk_stalled"), 1);
      await eventually("it is not live", async () => {
        const { status } = await http.request(`${stalled.url}/livez`);
        return status === 503 ? true : undefined;
      });

      set([stalled], {});
      await says(stalled, /the disk answers again/);
      await assertSound(cluster, load);
      assert.equal(await metric(cluster, stalled, "holdfast_disk_stalled"), 0);
    });
  });
}

const chosen = new Set(setups.flatMap(({ runtimes }) => runtimes));
it("a disk that stalls for longer than the bound ends the process, and loses nothing", async () => {
  const runtimes = allRuntimes.filter((runtime) => chosen.has(runtime));
  await Promise.all(runtimes.map(async (runtime) => {
    using temporary = temporaryDirectory();
    const data = join(temporary.path, "n1");
    await using node = new NodeProcess({ id: "n1", runtime, port: await freePort(), data, script });
    await using cluster = await Cluster.layOut([]);
    const url = `${node.url}/v1/kv/k`;
    await node.start();
    await cluster.ready([node]);
    const before = await cluster.http.request(url, { method: "PUT", body: "acknowledged" });
    assert.equal(before.status, 201);
    set([node], { stalled: true });
    await eventually(`a write at ${runtime} is stuck`, async () => {
      const { status } = await cluster.http.request(url, { method: "PUT", body: "maybe" });
      return status === 504 ? true : undefined;
    });
    const ended = await node.ended();
    assert.equal(ended.status, 4, `${runtime}\n${ended.stderr}`);
    assert.match(ended.stderr, /a write to disk has not ended after 10000 ms/);

    set([node], {});
    await node.start();
    await cluster.ready([node]);
    const after = await cluster.http.request(url);
    assert.match(after.text(), /^(acknowledged|maybe)$/, runtime);
    await node.end("SIGTERM");
  }));
});
