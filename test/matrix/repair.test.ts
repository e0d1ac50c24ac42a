/** A member whose log or snapshot has decayed while it was down gets it again from the others, while they serve. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, eventually } from "./harness/cluster.ts";
import { find, flip } from "./harness/decay.ts";
import { get, put } from "./harness/kv.ts";
import type { NodeProcess } from "./harness/node-process.ts";

const mebibyte = 1024 * 1024;

/** Puts under fresh keys, on and on, by way of `nodes`; knows what was acknowledged. */
class Writer implements AsyncDisposable {
  readonly acknowledged: Map<string, string> = new Map();
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;

  constructor(cluster: Cluster, nodes: readonly NodeProcess[], prefix: string) {
    this.#done = this.#write(cluster, nodes, prefix);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #write({ http }: Cluster, nodes: readonly NodeProcess[], prefix: string): Promise<void> {
    for (let n = 0; !this.#stopping.signal.aborted; n++) {
      const url = nodes[n % nodes.length]?.url ?? "";
      const key = `${prefix}-${n}`;
      const value = `value-${n}-${"x".repeat(100)}`;
      const { type } = await put({ http, url, key }, value);
      if (type === "done") this.acknowledged.set(key, value);
      else await sleep(10);
    }
  }
}

/** The fields of the first log line that says so. */
async function said(node: NodeProcess, words: RegExp): Promise<Record<string, unknown>> {
  return await eventually(() => `${node.id} says ${words}\n${node.stderr}`, () => {
    const line = node.stderr.split("\n").find((each) => each.startsWith("{") && words.test(each));
    return Promise.resolve(line === undefined ? undefined : JSON.parse(line));
  });
}

/** Whether a node's own store has all that was acknowledged. */
async function holds(
  { http }: Cluster,
  node: NodeProcess,
  acknowledged: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [key, value] of acknowledged) {
    const answer = await get({ http, url: node.url, key }, "?consistency=stale");
    assert.equal(answer.type === "done" ? answer.value : answer.type, value, key);
  }
}

describe("a member whose disk has decayed (mixed)", () => {
  it("is repaired from a flipped bit in the middle of its log, and loses nothing", async () => {
    await using cluster = await Cluster.start(["bun", "deno", "node"]);
    const leader = await cluster.leader();
    const [victim, other] = cluster.others(leader.id);
    assert.ok(victim && other);
    const acknowledged = new Map<string, string>();
    {
      await using writer = new Writer(cluster, cluster.nodes, "before");
      await eventually("writes are acknowledged", () => {
        return Promise.resolve(writer.acknowledged.size >= 60 ? true : undefined);
      });
      await writer.stop();
      for (const each of writer.acknowledged) acknowledged.set(...each);
    }
    await victim.end("SIGKILL");
    const { file, offset } = find(join(victim.data, "wal"), "value-50-");
    flip(file, offset + 20);

    await using writer = new Writer(cluster, [leader, other], "meanwhile");
    await victim.start();
    const found = await said(victim, /put aside/);
    assert.equal(found["level"], "warn");
    assert.equal(found["file"], file);
    assert.ok(Number(found["offset"]) <= offset + 20);
    assert.equal(Number(found["askedFrom"]), Number(found["keptTo"]) + 1);
    assert.ok(Number(found["keptTo"]) > 20);
    await said(victim, /"repaired/);
    await eventually("the writes go on", () => {
      return Promise.resolve(writer.acknowledged.size >= 20 ? true : undefined);
    });
    await writer.stop();
    for (const each of writer.acknowledged) acknowledged.set(...each);
    await cluster.ready();
    const { commit } = await cluster.status(await cluster.leader());
    await eventually("it has caught up", async () => {
      return (await cluster.status(victim)).applied >= commit ? true : undefined;
    });
    await holds(cluster, victim, acknowledged);
    assert.ok(readdirSync(join(victim.data, "damaged")).length > 0);
  });

  it("is repaired from a flipped bit in its snapshot, whose log is gone, and votes then", async () => {
    const flags = ["--snapshot-entries", "20", "--trailing-entries", "0", "--history-bytes", "0"];
    await using cluster = await Cluster.start(["bun", "deno", "node"], flags);
    const { http } = cluster;
    const leader = await cluster.leader();
    const [victim, other] = cluster.others(leader.id);
    assert.ok(victim && other);
    // The log outgrows its files, so that those with its beginning go.
    for (let n = 0; n < 40; n++) {
      const written = await put(
        { http, url: leader.url, key: "large" },
        `${n}`.repeat(mebibyte / 4),
      );
      assert.equal(written.type, "done");
    }
    const wal = join(victim.data, "wal");
    await eventually("the log's beginning is gone", () => {
      return Promise.resolve(
        readdirSync(wal).includes(`wal-${"1".padStart(16, "0")}.log`) ? undefined : true,
      );
    });
    await victim.end("SIGTERM");
    const snapshots = join(victim.data, "snapshots");
    const name = readdirSync(snapshots).find((each) => each.endsWith(".snap"));
    assert.ok(name !== undefined);
    const file = join(snapshots, name);
    flip(file, statSync(file).size >> 1);

    await victim.start();
    const found = await said(victim, /put aside/);
    assert.equal(found["file"], file);
    assert.equal(found["askedFrom"], 1);
    assert.equal((await put({ http, url: other.url, key: "after" }, "1")).type, "done");
    await said(victim, /"repaired/);
    await said(victim, /restored from a received snapshot/);
    const large = await get({ http, url: victim.url, key: "large" }, "?consistency=stale");
    assert.equal(large.type === "done" ? large.value?.slice(0, 2) : large.type, "39");

    await leader.end("SIGKILL");
    await eventually("the two that are left serve, so both vote", async () => {
      const again = await put({ http, url: victim.url, key: "after" }, "2");
      return again.type === "done" ? true : undefined;
    });
    await leader.start();
    await cluster.ready();
  });
});
