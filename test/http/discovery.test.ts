import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NameSearch } from "../../runtimes/discovery.ts";
import type { AskWho, Introduction } from "../../src/adapters/peer-hello.ts";
import { DnsName } from "../../src/config/dns-name.ts";
import { PeerUnreachable } from "../../src/errors.ts";
import type { FoundMembers } from "../../runtimes/discovery.ts";
import { ManualClock } from "./newcomers.ts";

/** A node at `http://a<number>:1`, alone so far. */
function node(number: number, parts: Partial<Introduction> = {}): Introduction {
  const incarnation = `life${number}`;
  return { id: `n${number}`, url: `http://a${number}:1`, incarnation, isMember: false, ...parts };
}

/** A search by n1, for a name and nodes that the test changes. */
class Search {
  readonly clock: ManualClock = new ManualClock();
  readonly logged: string[] = [];
  /** What the DNS has; null: it doesn't answer. */
  addresses: readonly string[] | null = [];
  readonly nodes: Map<string, Introduction> = new Map<string, Introduction>();
  readonly refusing: Set<string> = new Set<string>();
  found: FoundMembers | null | undefined = undefined;
  readonly search: NameSearch;

  constructor(expect: number | null) {
    const { id, incarnation, url } = node(1, { url: "http://a1:1/kv" });
    const ask: AskWho = async (asked) => {
      const there = this.nodes.get(asked);
      if (this.refusing.has(asked)) throw new PeerUnreachable("status 401", true, "refused");
      if (there === undefined) throw new PeerUnreachable("silent", true);
      return there;
    };
    this.search = new NameSearch({
      self: { id, incarnation, url },
      sought: { at: new DnsName("name", 1), expect, servers: [] },
      names: {
        services: async () => [],
        addresses: async () => {
          if (this.addresses === null) throw new Error("no server");
          return this.addresses;
        },
      },
      ask,
      clock: this.clock,
      log: (level, message, fields) =>
        void this.logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    });
    void this.search.settle().then((found) => {
      this.found = found;
    });
  }

  /** Nodes at addresses of their own, all of which the DNS has. */
  put(...nodes: readonly Introduction[]): void {
    this.addresses = nodes.map(({ id }) => id.replace("n", "a"));
    for (const one of nodes) this.nodes.set(`http://${one.id.replace("n", "a")}:1/kv`, one);
  }

  async pass(ms = 5000): Promise<void> {
    await this.clock.run(this.clock.now() + ms);
  }
}

describe("finding members by a name", () => {
  it("finds the first members once the DNS has all of them and all answer", async () => {
    const by = new Search(3);
    by.addresses = null;
    await by.pass();
    assert.match(
      by.search.waitsFor(),
      /when dns:name:1 leads to its 3 .*the DNS has nothing: no server/,
    );
    by.put(node(1), node(2));
    await by.pass();
    assert.match(by.search.waitsFor(), /it leads to 2: n1, n2$/);
    by.put(node(1), node(2), node(3));
    by.nodes.delete("http://a2:1/kv");
    await by.pass();
    assert.match(by.search.waitsFor(), /no answer from a2:1$/);
    assert.equal(by.found, undefined);
    assert.equal(by.search.isForming, true);
    by.put(node(1), node(2), node(3));
    await by.pass();
    assert.deepEqual(by.found, {
      peers: { n1: "http://a1:1", n2: "http://a2:1", n3: "http://a3:1" },
      contacts: { n2: "http://a2:1", n3: "http://a3:1" },
    });
  });

  it("forms none of more than were told, nor of some that a silent one may belong to", async () => {
    const by = new Search(2);
    by.put(node(1), node(2), node(3));
    await by.pass();
    assert.match(by.search.waitsFor(), /it leads to 3: n1, n2, n3; more than --peers-expect says$/);
    by.nodes.delete("http://a3:1/kv");
    await by.pass();
    assert.match(by.search.waitsFor(), /no answer from a3:1$/);
    assert.equal(by.found, undefined);
  });

  it("tells who refuses it from who is silent", async () => {
    const by = new Search(3);
    by.put(node(1), node(2), node(3));
    by.nodes.delete("http://a2:1/kv");
    by.refusing.add("http://a3:1/kv");
    await by.pass();
    assert.match(by.search.waitsFor(), /no answer from a2:1; refused by a3:1: .*same secret/);
    by.refusing.clear();
    await by.pass();
    assert.match(by.search.waitsFor(), /no answer from a2:1$/);
  });

  it("forms none without itself", async () => {
    const by = new Search(2);
    by.put(node(2), node(3));
    await by.pass();
    assert.match(by.search.waitsFor(), /it leads to n2, n3, and not to this node, n1$/);
    assert.equal(by.found, undefined);
  });

  it("counts a node once, whatever its addresses", async () => {
    const by = new Search(2);
    by.put(node(1), node(2));
    by.addresses = ["a1", "a2", "b2"];
    by.nodes.set("http://b2:1/kv", node(2));
    await by.pass();
    assert.deepEqual(Object.keys(by.found?.peers ?? {}), ["n1", "n2"]);
  });

  it("says which id two nodes have, and which URL", async () => {
    const by = new Search(3);
    by.put(node(1), node(2), { ...node(3), id: "n3" });
    by.nodes.set("http://a3:1/kv", { ...node(3), id: "n2" });
    await by.pass();
    assert.match(
      by.search.waitsFor(),
      /two nodes have the id n2, at http:\/\/a2:1 and http:\/\/a3:1/,
    );
    by.nodes.set("http://a3:1/kv", { ...node(3), id: "n1" });
    await by.pass();
    assert.match(by.search.waitsFor(), /two nodes have the id n1/);
    by.nodes.set("http://a3:1/kv", node(3, { url: "http://a2:1" }));
    await by.pass();
    assert.match(by.search.waitsFor(), /several of n1, n2, n3 have the same --advertise$/);
    assert.equal(by.found, undefined);
  });

  it("joins where anybody is a member, and forms nothing beside it", async () => {
    const by = new Search(2);
    by.put(node(1), node(2, { isMember: true }));
    await by.pass();
    assert.deepEqual(by.found, { peers: null, contacts: { n2: "http://a2:1" } });
  });

  it("waits for a member where it is to join", async () => {
    const by = new Search(null);
    assert.equal(by.search.isForming, false);
    by.put(node(1), node(2));
    await by.pass();
    assert.match(by.search.waitsFor(), /a member is looked for at dns:name:1; no cluster is there/);
    by.put(node(1), node(2), node(3, { isMember: true }));
    by.nodes.delete("http://a2:1/kv");
    await by.pass();
    assert.deepEqual(by.found, { peers: null, contacts: { n3: "http://a3:1" } });
  });

  it("tells what it waits for when that changes, and now and then", async () => {
    const by = new Search(2);
    by.put(node(1));
    await by.pass(4000);
    by.put(node(1), node(2), node(3));
    await by.pass(9500);
    const told = by.logged.map((line) => /it leads to \d/.exec(line)?.[0]);
    assert.deepEqual(told, ["it leads to 1", "it leads to 3", "it leads to 3"]);
  });

  it("ends when it is stopped", async () => {
    const by = new Search(2);
    await by.pass();
    by.search.stop();
    await by.pass(0);
    assert.equal(by.found, null);
  });
});
