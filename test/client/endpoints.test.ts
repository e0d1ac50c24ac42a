import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, type ClientFetch, connect } from "../../src/client/mod.ts";
import { answer, refused } from "./fake-fetch.ts";

/** Three nodes that know who leads, as their statuses tell; each answers by itself, or is dead. */
class Nodes {
  leader = "n1";
  term = 1;
  readonly dead = new Set<string>();
  /** Who was asked for something else than its status, by kind. */
  readonly reads: string[] = [];
  readonly writes: string[] = [];
  statuses = 0;
  refusals = 0;

  readonly fetch: ClientFetch = async (url, init) => {
    const id = new URL(url).hostname;
    const method = init.method ?? "GET";
    const asked = { url, method, headers: new Headers(), body: "" };
    await Promise.resolve();
    if (this.dead.has(id)) {
      if (!url.endsWith("/v1/status")) this.refusals++;
      throw refused(asked);
    }
    const marks = { "holdfast-node": id, "holdfast-term": String(this.term), etag: '"1"' };
    const isStatus = url.endsWith("/v1/status");
    const document = isStatus ? this.#status(id) : { revision: 1, version: 1, deleted: 0 };
    if (isStatus) this.statuses++;
    else (method === "GET" ? this.reads : this.writes).push(id);
    return answer(200, document, marks)(asked) as Response;
  };

  client(ids: readonly string[], fixed?: true): Client {
    const endpoints = ids.map((id) => `http://${id}`);
    return connect({ endpoints, fetch: this.fetch, ...(fixed === undefined ? {} : { fixed }) });
  }

  #status(id: string): object {
    return {
      id,
      clusterId: "c",
      role: id === this.leader ? "leader" : "follower",
      term: this.term,
      leader: this.leader,
      commit: 1,
      applied: 1,
      lastLog: 1,
      snapshot: 0,
      revision: 1,
      runtime: "test",
      version: "1",
      members: ["n1", "n2", "n3"].map((one) => ({
        id: one,
        url: `http://${one}/`,
        voter: true,
        match: null,
        lagMs: null,
      })),
    };
  }
}

describe("a client", () => {
  it("asks nobody for the members before it has asked twice", async () => {
    const nodes = new Nodes();
    await nodes.client(["n2"]).put("k", "v");
    assert.equal(nodes.statuses, 0);
  });

  it("sends writes to the leader once it knows it, and reads where it is", async () => {
    const nodes = new Nodes();
    const client = nodes.client(["n2", "n3"]);
    await client.put("k", "v");
    await client.get("k");
    await until(async () => {
      await client.put("k", "v");
      return nodes.writes.at(-1) === "n1";
    });
    await client.get("k");
    assert.equal(nodes.reads.at(-1), "n2");
  });

  it("learns of another leader by the term of any answer", async () => {
    const nodes = new Nodes();
    const client = nodes.client(["n1", "n2", "n3"]);
    await until(async () => {
      await client.put("k", "v");
      return nodes.statuses >= 3;
    });
    Object.assign(nodes, { leader: "n3", term: 2 });
    await until(async () => {
      await client.put("k", "v");
      return nodes.writes.at(-1) === "n3";
    });
  });

  it("goes on with members that it was never told, when those that it was told die", async () => {
    const nodes = new Nodes();
    const client = nodes.client(["n1"]);
    await until(async () => {
      await client.put("k", "v");
      return nodes.statuses >= 1;
    });
    nodes.dead.add("n1");
    await client.put("k", "v");
    assert.notEqual(nodes.writes.at(-1), "n1");
    await client.get("k");
    assert.notEqual(nodes.reads.at(-1), "n1");
  });

  it("asks no others where its endpoints are fixed", async () => {
    const nodes = new Nodes();
    const client = nodes.client(["n2", "n3"], true);
    for (let at = 0; at < 5; at++) await client.put("k", "v");
    nodes.dead.add("n2");
    await client.put("k", "v");
    assert.deepEqual(nodes.writes, ["n2", "n2", "n2", "n2", "n2", "n3"]);
    assert.equal(nodes.statuses, 0);
  });

  it("leaves a leader alone for a while that died, whatever others say of it", async () => {
    const nodes = new Nodes();
    const client = nodes.client(["n2", "n3"]);
    await until(async () => {
      await client.put("k", "v");
      return nodes.writes.at(-1) === "n1";
    });
    nodes.dead.add("n1");
    const { statuses } = nodes;
    await until(async () => {
      await client.put("k", "v");
      return nodes.statuses >= statuses + 2;
    });
    for (let at = 0; at < 5; at++) await client.put("k", "v");
    assert.equal(nodes.refusals, 1);
  });

  it("leaves a node alone for a while that died, and stays with one that works", async () => {
    const nodes = new Nodes();
    const client = nodes.client(["n1", "n2", "n3"], true);
    nodes.dead.add("n1");
    for (let at = 0; at < 5; at++) await client.put("k", "v");
    assert.deepEqual(nodes.writes, ["n2", "n2", "n2", "n2", "n2"]);
    assert.equal(nodes.refusals, 1);
  });
});

/** Turn by turn, until it is so. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 0));
}
