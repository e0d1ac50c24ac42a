/**
 * From 0.1.0 to these sources, one node after the other, under load: nothing that was acknowledged is lost, a watch goes
 * on, a repeated request takes effect once. While one node runs 0.1.0 the way back is open; after that 0.1.0 is refused.
 */
import { describe, it, type TestContext } from "node:test";
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import { Load } from "./harness/load.ts";
import { freePort, NodeProcess } from "./harness/node-process.ts";
import { unpack } from "./harness/release.ts";
import { type Told, WatchStream } from "./harness/watching.ts";

const OLD = "0.1.0";
const flags = [
  ...["--secret", "a secret of at least thirty-two characters"],
  ...["--snapshot-entries", "300", "--trailing-entries", "50"],
];

/** Counts by the same request, sent again and again to whoever is there: it has to count once. */
async function countOnce(cluster: Cluster): Promise<unknown> {
  return await eventually("a repeated request is answered", async () => {
    for (const { url } of cluster.nodes) {
      const { status, json } = await cluster.http.request(`${url}/v1/txn`, {
        method: "POST",
        body: JSON.stringify({ then: [{ add: { key: "counter", delta: 1 } }] }),
        headers: { "content-type": "application/json", "idempotency-key": "only once" },
        timeoutMs: 3000,
      });
      if (status === 200) return json();
    }
    return undefined;
  });
}

/** Follows all of the load's keys from node to node, as clients do. */
class Follower implements Disposable {
  readonly told: Told[] = [];
  readonly #cluster: Cluster;
  readonly #prefix: string;
  #stream: WatchStream | null = null;
  #ended = false;

  constructor(cluster: Cluster, prefix: string) {
    this.#cluster = cluster;
    this.#prefix = prefix;
    void this.#follow();
  }

  async #follow(): Promise<void> {
    for (let at = 0; !this.#ended; at++) {
      const { url } = this.#cluster.nodes[at % this.#cluster.nodes.length] ?? { url: "" };
      const behind = this.told.at(-1)?.id;
      const query = `prefix=${this.#prefix}${behind === undefined ? "&from=1" : ""}`;
      const resumed = behind === undefined ? {} : { behind };
      const stream = new WatchStream({ url, query, ...resumed }, (told) => {
        if (told.event !== "progress") this.told.push(told);
      });
      this.#stream = stream;
      await stream.ended;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** What it was told up to `revision`, once it was told that. */
  async upTo(revision: number): Promise<readonly Told[]> {
    await eventually(`the watch comes to ${revision}`, () => {
      return Promise.resolve((this.told.at(-1)?.id ?? 0) >= revision ? true : undefined);
    });
    return this.told;
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#stream?.[Symbol.dispose]();
  }
}

/** Ends a node as an operator does, and starts it as another release. */
async function restartAs(cluster: Cluster, node: NodeProcess, release: string | null) {
  const { status, stderr } = await node.end("SIGTERM");
  assert.equal(status, 0, stderr);
  node.release = release;
  await node.start();
  await cluster.ready([node]);
}

/** The cluster's version as each node knows it; 0.1.0 knows of none. */
async function versions(cluster: Cluster): Promise<readonly (number | undefined)[]> {
  const said = await Promise.all(cluster.nodes.map((node) => cluster.status(node)));
  return said.map(({ clusterVersion }) => clusterVersion);
}

/** An old node over a directory that a later one has used ends with a line that says why. */
async function refusesDirectory(cluster: Cluster, node: NodeProcess, release: string) {
  await node.end("SIGTERM");
  node.release = release;
  await assert.rejects(node.start(), (error) => {
    assert.match(
      String((error as Error).cause),
      /identity\.json, offset 0: this is not an identity of format 1/,
    );
    return true;
  });
  assert.equal((await node.end("SIGTERM")).status, 3);
  node.release = null;
  await node.start();
  await cluster.ready([node]);
}

/** An old node with a copy of its directory from before: it is heard by nobody, and hears nothing. */
async function refusesOldCopy(cluster: Cluster, node: NodeProcess, old: NodeProcess) {
  const others = cluster.others(node.id);
  await node.end("SIGTERM");
  const leader = await cluster.leader(others);
  await old.start();
  try {
    const words = `${node.id} speaks version 1, and this cluster needs 2: upgrade it first`;
    await eventually(
      "an old copy is refused, which the others' logs say",
      () => Promise.resolve(others.some(({ stderr }) => stderr.includes(words)) ? true : undefined),
    );
    const before = await cluster.status(old);
    const { term } = await cluster.status(leader);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const after = await cluster.status(old);
    assert.deepEqual(
      [after.commit, after.lastLog, after.leader],
      [before.commit, before.lastLog, null],
      "nothing got to it",
    );
    assert.equal((await cluster.status(leader)).term, term, "and it has disturbed nobody");
  } finally {
    await old.kill();
  }
  await node.start();
  await cluster.ready([node]);
}

/** An old newcomer is not taken in: whoever asks for that is told why. */
async function refusesNewcomer(cluster: Cluster, release: string) {
  const contacts = cluster.nodes.map(({ id, url }) => `${id}=${url}`).join(",");
  const newcomer = new NodeProcess({
    id: "n4",
    runtime: "node",
    port: await freePort(),
    data: join(cluster.directory, "n4"),
    flags: ["--join", contacts, ...flags],
  });
  newcomer.release = release;
  await newcomer.start();
  try {
    const leader = await cluster.leader();
    const { status, json } = await cluster.http.request(`${leader.url}/v1/members`, {
      method: "POST",
      body: JSON.stringify({ id: newcomer.id, url: newcomer.url }),
    });
    const { code, detail } = json() as { code: string; detail: string };
    assert.deepEqual([status, code], [400, "bad_request"]);
    assert.match(
      detail,
      /^n4 speaks version 1, and this cluster needs 2: upgrade it first, to 0\.2\.0/,
    );
  } finally {
    await newcomer.kill();
  }
}

async function upgradeAll(cluster: Cluster, old: string, t: TestContext): Promise<NodeProcess> {
  const leader = await cluster.leader();
  const [first, second] = cluster.others(leader.id);
  assert.ok(first && second);
  await restartAs(cluster, first, null);
  t.diagnostic(`${first.id} runs what is to come`);
  // The way back, as long as the version is 1.
  await restartAs(cluster, first, old);
  await restartAs(cluster, first, null);
  const copy = new NodeProcess({
    id: second.id,
    runtime: second.runtime,
    port: Number(new URL(second.url).port),
    data: join(cluster.directory, "copy"),
    flags,
  });
  copy.release = old;
  await second.end("SIGTERM");
  cpSync(second.data, copy.data, { recursive: true });
  second.release = null;
  await second.start();
  await cluster.ready([second]);
  // The first one leads then, which is of the new release, and knows who isn't.
  await eventually("a node of the new release leads", async () => {
    const { status } = await cluster.http.request(`${first.url}/v1/leader`, {
      method: "PUT",
      body: JSON.stringify({ id: first.id }),
    });
    return status === 200 ? true : undefined;
  });
  await eventually("it knows what the others speak", async () => {
    const { members, clusterVersion } = await cluster.status(first);
    assert.equal(clusterVersion, 1, "one of them runs 0.1.0");
    const spoken = members.map(({ id, speaks }) => id === leader.id ? speaks === 1 : speaks === 2);
    return spoken.every(Boolean) ? true : undefined;
  });
  await restartAs(cluster, leader, null);
  return copy;
}

for (const { name, runtimes } of longSetups) {
  describe(`an upgrade from ${OLD}, one node after the other (${name})`, () => {
    it("loses nothing, can be taken back while the version is 1, and bars the old release then", async (t) => {
      using old = await unpack(OLD);
      await using cluster = await Cluster.layOut(runtimes, flags);
      for (const node of cluster.nodes) node.release = old.path;
      await cluster.startAll();
      await cluster.ready();
      const counted = await countOnce(cluster);
      using follower = new Follower(cluster, "load");
      await using load = new Load(cluster, "load");

      const copy = await upgradeAll(cluster, old.path, t);
      await eventually(() => `the version rises\n${cluster.stderr()}`, async () => {
        return (await versions(cluster)).every((version) => version === 2) ? true : undefined;
      });
      assert.deepEqual(await countOnce(cluster), counted, "a repeated request counts once");
      await refusesDirectory(cluster, cluster.nodes[0] as NodeProcess, old.path);
      await refusesOldCopy(cluster, cluster.node(copy.id), copy);
      await refusesNewcomer(cluster, old.path);

      await load.stop();
      await load.readBack(cluster.nodes);
      assert.equal(load.history.flaw(), null);
      const { revision } = await cluster.status(await cluster.leader());
      const told = await follower.upTo(revision);
      const revisions = new Set(told.map(({ id }) => id));
      assert.equal(revisions.size, told.length, "no change was told twice");
      // One change was the counter's.
      assert.equal(told.length, revision - 1, "and none was left out");
      const { done, notApplied, unknown } = load.fates;
      t.diagnostic(
        `${name}: ${done} writes done, ${notApplied} refused, ${unknown} of unknown fate`,
      );
      assert.ok(done > 100);
    });
  });
}
