import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { proposalLimits } from "../../src/config.ts";
import { NotApplied } from "../../src/errors.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { Wal } from "../../src/ports.ts";
import { key, put, TestCluster, until } from "./cluster.ts";

function putFor(name: string, ttlMs: number): Uint8Array {
  return encodeCommand({
    type: "put",
    key: key(name),
    value: new Uint8Array(1),
    contentType: "text/plain",
    conditions: [],
    extras: { metadata: null, ttlMs, lease: null },
  });
}

describe("what is due", () => {
  it("is deleted on all nodes, by a revision of its own, by whoever leads then", async () => {
    const cluster = new TestCluster(3);
    await cluster.start();
    try {
      const leader = await cluster.leader();
      await leader.propose(putFor("short", 300), 2000);
      await leader.propose(putFor("long", 600_000), 2000);
      await leader.propose(put("stays", "1"), 2000);
      await cluster.crash(leader.id);
      const next = await cluster.leader();
      assert.notEqual(next.id, leader.id);
      const left = cluster.followers(leader.id);
      await until(
        "the key is gone everywhere",
        () => left.every(({ machine }) => (machine as KvMachine).store.revision === 4),
      );
      for (const { machine } of left) {
        const { store } = machine as KvMachine;
        assert.deepEqual([...store.list({ start: "", end: null })].map(([name]) => name), [
          "long",
          "stays",
        ]);
        assert.deepEqual(store.change(4)?.events.map(({ key, item }) => [key, item]), [[
          "short",
          null,
        ]]);
      }
    } finally {
      await cluster.stop();
    }
  });

  it("keeps its time through a restart of all nodes, from the last that is in the log", async () => {
    const cluster = new TestCluster(3);
    await cluster.start();
    try {
      const leader = await cluster.leader();
      const { result } = await leader.propose(
        encodeCommand({ type: "grant", ttlMs: 60_000 }),
        2000,
      );
      assert.deepEqual(result, { type: "lease", revision: 0, lease: 1, ttlMs: 60_000 });
      const before = leader.time();
      const ids = [...cluster.replicas.keys()];
      for (const id of ids) await cluster.crash(id);
      await cluster.start(ids);
      const again = await cluster.leader();
      await again.read("linearizable", 2000);
      const due = (again.machine as KvMachine).lease(1)?.due ?? 0;
      assert.ok(due >= 60_000 && due <= before + 60_000, `${due}`);
      assert.ok(again.time() >= due - 60_000, `${again.time()} goes on from ${due - 60_000}`);
    } finally {
      await cluster.stop();
    }
  });

  it("comes into the log while what clients propose is refused as overloaded", async () => {
    const held: (() => void)[] = [];
    let holds = false;
    const holding = (_: string, wal: Wal): Wal => ({
      append: async (write) => {
        if (holds) await new Promise<void>((go) => held.push(go));
        await wal.append(write);
      },
      compactBefore: (index) => wal.compactBefore(index),
      close: () => wal.close(),
    });
    const cluster = new TestCluster(1, { wal: holding });
    await cluster.start();
    try {
      const leader = await cluster.leader();
      await leader.propose(putFor("short", 800), 2000);
      holds = true;
      const fates = Array.from(
        { length: proposalLimits.pendingMin },
        () => leader.propose(put("a", "1"), 10_000),
      );
      await until("those before take too long", async () => {
        const fate = leader.propose(put("a", "1"), 10_000);
        fates.push(fate);
        const soon = new Promise((resolve) => setTimeout(resolve, 5));
        const error: unknown = await Promise.race([fate.catch((error: unknown) => error), soon]);
        return error instanceof NotApplied && error.reason === "overloaded";
      });
      // None but the expiry comes now.
      const taken = leader.status().lastIndex;
      await until("what is due is in the log", () => leader.status().lastIndex === taken + 1);
      holds = false;
      for (const go of held) go();
      await until("it is gone", () => cluster.value(leader.id, "short") === undefined);
      await Promise.allSettled(fates);
    } finally {
      holds = false;
      for (const go of held) go();
      await cluster.stop();
    }
  });
});
