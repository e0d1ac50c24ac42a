import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DiskFailure, NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import type { SnapshotStore, Wal } from "../../src/ports.ts";
import { put, silent, TestCluster, until } from "./cluster.ts";

async function withCluster(cluster: TestCluster, test: () => Promise<void>): Promise<void> {
  await cluster.start();
  try {
    await test();
  } finally {
    await cluster.stop();
  }
}

/** All of a store, to be changed in part. */
function passing(store: SnapshotStore): SnapshotStore {
  return {
    latest: () => store.latest(),
    write: (meta, chunks) => store.write(meta, chunks),
    read: () => store.read(),
    openFile: () => store.openFile(),
    install: (meta) => store.install(meta),
    stage: (identity) => store.stage(identity),
  };
}

describe("a replica", () => {
  it("applies a follower's write at the leader and reads it on another follower", async () => {
    const cluster = new TestCluster(3);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      const [first, second] = cluster.followers(leader.id);
      assert(first !== undefined && second !== undefined);
      const { result } = await first.propose(put("a", "1"), 2000);
      assert.deepEqual(result, { type: "put", revision: 1, version: 1, created: 1 });
      await second.read("linearizable", 2000);
      assert.equal(cluster.value(second.id, "a"), "1");
    });
  });

  it("works alone", async () => {
    const cluster = new TestCluster(1);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      await leader.propose(put("a", "1"), 2000);
      await leader.read("lease", 2000);
      assert.equal(cluster.value("n1", "a"), "1");
      assert.equal(leader.stalenessMs(), 0);
    });
  });

  it("halts when a received snapshot can't be synced, and doesn't try that again", async () => {
    const failing = (store: SnapshotStore): SnapshotStore => ({
      ...passing(store),
      stage: async (identity) => {
        const staged = await store.stage(identity);
        staged.finish = () => Promise.reject(new DiskFailure("no sync"));
        return staged;
      },
    });
    const cluster = new TestCluster(1, { snapshots: failing });
    await withCluster(cluster, async () => {
      const { id, term } = (await cluster.leader()).status();
      const chunk = { from: "n2", to: id, term, index: 9, snapshotTerm: term, size: 1, offset: 0 };
      const replica = cluster.replica(id);
      await assert.rejects(
        replica.receiveChunk({ ...chunk, bytes: Uint8Array.of(1) }),
        DiskFailure,
      );
      assert.equal(replica.health().live[0]?.detail, "halted");
      assert.equal((await replica.halted).message, "no sync");
    });
  });

  it("closes its log where a snapshot under way fails while it stops", async () => {
    const begun = Promise.withResolvers<void>();
    const failed = Promise.withResolvers<void>();
    const failing = (store: SnapshotStore): SnapshotStore => ({
      ...passing(store),
      write: async () => {
        begun.resolve();
        await failed.promise;
        throw new DiskFailure("no sync");
      },
    });
    let closed = 0;
    const counting = (_: string, wal: Wal): Wal => ({
      append: (write) => wal.append(write),
      compactBefore: (index) => wal.compactBefore(index),
      close: () => {
        closed++;
        return wal.close();
      },
    });
    const settings = { snapshots: failing, wal: counting, snapshotEntries: 2 };
    const cluster = new TestCluster(1, settings);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      for (const value of ["1", "2", "3"]) await leader.propose(put("a", value), 2000);
      await begun.promise;
      const stopped = leader.stop();
      failed.resolve();
      await stopped;
      assert.equal(closed, 1);
    });
  });

  it("tells how many bytes of the log became durable", async () => {
    let durable = 0;
    const observer = {
      ...silent,
      persisted: (_: number, bytes: number) => void (durable += bytes),
    };
    const cluster = new TestCluster(1, { observer });
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      await leader.propose(put("a", "x".repeat(1000)), 2000);
      assert(durable > 1000 && durable < 1200, `${durable} bytes`);
    });
  });

  it("takes a write in when the leader has died, once there is another", async () => {
    const cluster = new TestCluster(3);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      await leader.propose(put("a", "1"), 2000);
      const [follower] = cluster.followers(leader.id);
      assert(follower !== undefined);
      await cluster.crash(leader.id);
      // The connection to the dead leader is refused, so the write was certainly not proposed and may wait.
      await follower.propose(put("a", "2"), 5000);
      await follower.read("linearizable", 2000);
      assert.equal(cluster.value(follower.id, "a"), "2");
    });
  });

  it("has its state again after a restart of all", async () => {
    const cluster = new TestCluster(3, { snapshotEntries: 10, trailingEntries: 2 });
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      for (let i = 0; i < 35; i++) await leader.propose(put(`k${i}`, `${i}`), 2000);
      await until("a snapshot is taken", () => leader.status().snapshotIndex >= 20);
      await cluster.stop();
      await cluster.start();
      const next = await cluster.leader();
      await next.read("linearizable", 2000);
      for (let i = 0; i < 35; i++) assert.equal(cluster.value(next.id, `k${i}`), `${i}`);
    });
  });

  it("brings back a node whose log is gone from the leader's by a snapshot", async () => {
    const cluster = new TestCluster(3, { snapshotEntries: 10, trailingEntries: 2 });
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      const [away] = cluster.followers(leader.id);
      assert(away !== undefined);
      await cluster.crash(away.id);
      for (let i = 0; i < 50; i++) await leader.propose(put(`k${i}`, `${i}`), 2000);
      await until("the log is compacted", () => leader.status().firstIndex > 30);
      await cluster.start([away.id]);
      await cluster.replica(away.id).read("linearizable", 5000);
      for (let i = 0; i < 50; i++) assert.equal(cluster.value(away.id, `k${i}`), `${i}`);
      assert(cluster.replica(away.id).status().snapshotIndex > 30);
    });
  });

  it("says not_applied without a majority when nothing was proposed, unknown when it was", async () => {
    const cluster = new TestCluster(3);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      await until("a quorum was heard from", () => leader.stalenessMs() !== null);
      for (const follower of cluster.followers(leader.id)) await cluster.crash(follower.id);
      await assert.rejects(leader.propose(put("a", "1"), 50), OutcomeUnknown);
      await until("the leader steps down", () => leader.status().role !== "leader");
      await assert.rejects(leader.propose(put("a", "2"), 200), NotApplied);
      await assert.rejects(leader.read("linearizable", 200), NotApplied);
      assert.notEqual(leader.stalenessMs(), null);
    });
  });

  it("hands leadership over", async () => {
    const cluster = new TestCluster(3);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      const [target] = cluster.followers(leader.id);
      assert(target !== undefined);
      assert.equal(await leader.transferLeadership(target.id, 2000), target.id);
      assert.equal((await cluster.leader()).id, target.id);
      await assert.rejects(leader.transferLeadership("n9", 1000), NotApplied);
    });
  });

  it("27 halts at the first failed write and acknowledges nothing any more", async () => {
    let failing = "";
    const wal = (id: string, real: Wal): Wal => ({
      append: (write) =>
        id === failing ? Promise.reject(new DiskFailure("no space left")) : real.append(write),
      compactBefore: (index) => real.compactBefore(index),
      close: () => real.close(),
    });
    const cluster = new TestCluster(3, { wal });
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      await leader.propose(put("a", "1"), 2000);
      failing = leader.id;
      await assert.rejects(leader.propose(put("a", "2"), 2000), OutcomeUnknown);
      assert.equal((await leader.halted).message, "no space left");
      await assert.rejects(leader.propose(put("a", "3"), 2000), NotApplied);
      assert(leader.health().live.some(({ ok }) => !ok));
    });
  });

  it("26 halts when a write to disk does not end", async () => {
    let stuck = "";
    const wal = (id: string, real: Wal): Wal => ({
      append: (write) => id === stuck ? new Promise(() => {}) : real.append(write),
      compactBefore: (index) => real.compactBefore(index),
      close: () => real.close(),
    });
    const cluster = new TestCluster(3, { wal, diskStallMs: 100 });
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      stuck = leader.id;
      await assert.rejects(leader.propose(put("a", "1"), 100), OutcomeUnknown);
      assert.match((await leader.halted).message, /has not ended after 100 ms/);
    });
  });

  it("does not take a process that was stopped for a disk that is", async () => {
    const wal = (_: string, real: Wal): Wal => ({
      append: async (write) => {
        await new Promise((resolve) => setTimeout(resolve, 60));
        await real.append(write);
      },
      compactBefore: (index) => real.compactBefore(index),
      close: () => real.close(),
    });
    const cluster = new TestCluster(3, { wal, diskStallMs: 200 });
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      const written = leader.propose(put("a", "1"), 5000);
      await until("it is being written", () => leader.status().persistLagMs > 0);
      // The heartbeat's timer is due before the write's: it looks at a write that seems to be overdue.
      const stopped = performance.now();
      while (performance.now() - stopped < 400);
      // Whoever leads after such a pause, and whatever became of the write: nobody may have halted.
      await written.catch(() => undefined);
      for (const { id } of cluster.replicas.values()) {
        await until(
          "its disk is well",
          () => cluster.replica(id).health().live.every(({ ok }) => ok),
        );
      }
    });
  });

  it("tells how old its state is at most, from a heartbeat round on", async () => {
    const cluster = new TestCluster(3);
    await withCluster(cluster, async () => {
      const leader = await cluster.leader();
      const [follower] = cluster.followers(leader.id);
      assert(follower !== undefined);
      await until("the follower knows", () => follower.stalenessMs() !== null);
      for (const [from, to] of [[leader.id, follower.id], [follower.id, leader.id]] as const) {
        cluster.network.cut(from, to);
      }
      const before = follower.stalenessMs() ?? 0;
      await until("it grows old", () => (follower.stalenessMs() ?? 0) > before + 20);
    });
  });
});
