/** A request with an `Idempotency-Key` takes effect once, through leader kills, restarts and snapshots. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { HttpAnswer } from "./harness/http-client.ts";
import { get, put } from "./harness/kv.ts";
import type { NodeProcess } from "./harness/node-process.ts";

const SENDS = 100;
const SNAPSHOT_ENTRIES = 60;
const TRAILING_ENTRIES = 5;
const flags = [
  ...["--snapshot-entries", String(SNAPSHOT_ENTRIES)],
  ...["--trailing-entries", String(TRAILING_ENTRIES)],
];

/** The same request, over and over; keeps what it was answered. */
class Sender {
  readonly answers: unknown[] = [];
  sent = 0;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** To one node, whatever comes of it. */
  async send(node: NodeProcess): Promise<boolean> {
    this.sent++;
    let answer: HttpAnswer;
    try {
      answer = await this.#cluster.http.request(`${node.url}/v1/txn`, {
        method: "POST",
        body: JSON.stringify({ then: [{ add: { key: "counter", delta: 1 } }] }),
        headers: { "content-type": "application/json", "idempotency-key": "only once" },
        timeoutMs: 5000,
      });
    } catch {
      return false;
    }
    if (answer.status === 200) {
      this.answers.push(answer.json());
      return true;
    }
    assert.ok([503, 504].includes(answer.status), `${answer.status}: ${answer.text()}`);
    return false;
  }

  /** A few times, to one node after the other. */
  async sendSome(nodes: readonly NodeProcess[], times: number): Promise<void> {
    for (let at = 0; at < times; at++) {
      const node = nodes[at % nodes.length];
      assert.ok(node);
      await this.send(node);
    }
  }

  /** Until it is answered. */
  async succeed(nodes: readonly NodeProcess[]): Promise<void> {
    await eventually("the request is answered", async () => {
      for (const node of nodes) if (await this.send(node)) return true;
      return undefined;
    });
  }
}

/** Writes until the log that holds the request is gone from every node. */
async function forceSnapshots(cluster: Cluster, nodes: readonly NodeProcess[]): Promise<number> {
  const { http } = cluster;
  const leader = await cluster.leader(nodes);
  const { lastLog } = await cluster.status(leader);
  for (let n = 0; n < 2 * SNAPSHOT_ENTRIES; n++) {
    await put({ http, url: leader.url, key: `filler-${n % 7}` }, String(n));
  }
  for (const node of nodes) {
    await eventually(`${node.id} took a snapshot`, async () => {
      const { snapshot } = await cluster.status(node);
      return snapshot >= lastLog ? true : undefined;
    });
  }
  return lastLog;
}

for (const { name, runtimes } of longSetups) {
  describe(`a request with an Idempotency-Key (${name})`, () => {
    it(`that is sent ${SENDS} times, whatever happens meanwhile, is applied once`, async (t) => {
      await using cluster = await Cluster.start(runtimes, flags);
      const { nodes, http } = cluster;
      const sender = new Sender(cluster);
      await sender.succeed(nodes);

      for (let round = 0; round < 3; round++) {
        const leader = await cluster.leader();
        const others = cluster.others(leader.id);
        const underWay = [...nodes, ...nodes].map((node) => sender.send(node));
        await leader.end("SIGKILL");
        await Promise.all(underWay);
        await sender.succeed(others);
        const compacted = await forceSnapshots(cluster, others);
        await sender.sendSome(others, 4);

        await leader.start();
        await eventually(`${leader.id} was sent a snapshot`, async () => {
          const { snapshot } = await cluster.status(leader);
          return snapshot >= compacted ? true : undefined;
        });
        // What it knows of the request came with the snapshot. It has to lead to be the one that says so.
        await eventually(`${leader.id} leads`, async () => {
          const { status } = await http.request(`${leader.url}/v1/leader`, {
            method: "PUT",
            body: JSON.stringify({ id: leader.id }),
          });
          return status === 200 ? true : undefined;
        });
        await sender.sendSome(nodes, 6);
      }

      await Promise.all(nodes.map((node) => node.end("SIGKILL")));
      await cluster.startAll();
      await cluster.ready();
      await sender.succeed(nodes);
      await sender.sendSome(nodes, SENDS - sender.sent);

      t.diagnostic(`${name}: ${sender.sent} sent, ${sender.answers.length} answered`);
      assert.ok(sender.sent >= SENDS && sender.answers.length > SENDS / 2);
      for (const answer of sender.answers) assert.deepEqual(answer, sender.answers[0]);
      const [first] = sender.answers;
      assert.deepEqual((first as { results: unknown }).results, [
        { revision: 1, version: 1, value: "1" },
      ]);
      for (const { url } of nodes) {
        const read = await get({ http, url, key: "counter" });
        assert.deepEqual(read, { type: "done", revision: 1, value: "1" });
      }
    });
  });
}
