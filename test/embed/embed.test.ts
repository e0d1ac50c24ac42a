import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type EmbeddedKv, open } from "../../src/mod.ts";
import { temporaryDirectory } from "../matrix/harness/node-process.ts";
import { ids, type Program, Trio } from "./trio.ts";

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

async function leaderOf(trio: Trio<EmbeddedKv>): Promise<Program<EmbeddedKv>> {
  for (;;) {
    for (const program of trio.programs) {
      const { role } = await program.replica.status();
      if (role === "leader") return program;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("an embedded replica", () => {
  it("is a cluster of one without peers, and answers in this process what it answers over HTTP", async () => {
    const kv = await open({ storage: "memory" });
    await kv.ready;
    const put = await kv.put("a/b", "1", { contentType: "text/plain" });
    assert.deepEqual(put, { revision: 1, version: 1, created: true });
    const response = await kv.app.request("/v1/kv/a/b");
    assert.equal(response.headers.get("etag"), '"1"');
    assert.equal(await response.text(), "1");
    await kv.close();
  });

  it("has the whole data model, and ends watches with itself", async () => {
    const kv = await open({ storage: "memory" });
    const changes = kv.watch({ from: 1, prefix: "a" });
    const { succeeded, revision } = await kv.transaction()
      .if({ key: "a", exists: false })
      .then({ put: { key: "a", value: "1" } }, { put: { key: "aa", value: "2" } })
      .commit();
    assert.deepEqual([succeeded, revision], [true, 1]);
    const first = await changes.next();
    assert.deepEqual(first.value?.events.map(({ key }) => key), ["a", "aa"]);
    {
      await using lease = await kv.lease({ ttlMs: 30_000 });
      await kv.put("ab", "3", { lease: lease.id });
      assert.equal((await changes.next()).value?.revision, 2);
    }
    const ended = await changes.next();
    assert.deepEqual(ended.value?.events.map(({ type, key }) => [type, key]), [["delete", "ab"]]);
    const next = changes.next();
    await kv.close();
    await assert.rejects(next, { code: "aborted" });
    await assert.rejects(kv.get("a"), { code: "aborted" });
  });

  it("looks at hosts and origins only where it is told whose there are", async () => {
    for (const allowedHosts of [undefined, ["kv.example"]]) {
      const kv = await open({ storage: "memory", allowedHosts });
      await kv.put("a", "1");
      const status = async (host: string): Promise<number> =>
        (await kv.app.request("/v1/kv/a", { headers: { host } })).status;
      assert.equal(await status("kv.example"), 200);
      assert.equal(await status("evil.example"), allowedHosts === undefined ? 200 : 403);
      await kv.close();
    }
  });

  it("refuses what comes after its end, and is never ready where it was closed before", async () => {
    const peers = { n1: "http://127.0.0.1:9/kv", n2: "http://127.0.0.1:10/kv" };
    const kv = await open({ storage: "memory", peers });
    const { ready } = kv;
    await kv.close();
    await assert.rejects(ready, { reason: "not_ready" });
    const answer = await kv.app.request("/v1/kv/a", { method: "PUT", body: "1" });
    assert.equal(answer.status, 503);
    assert.equal((await answer.json()).outcome, "not_applied");
    await kv.close();
  });

  it("names the flag of an option that is wrong, and options that there are none of", async () => {
    await assert.rejects(
      open({ electionTimeout: "soon" }),
      /^BadConfiguration: --election-timeout /,
    );
    await assert.rejects(
      open({ electionTimeout: 100, heartbeatInterval: 50 }),
      /--heartbeat-inter/,
    );
    await assert.rejects(open({ join: { n2: "http://127.0.0.1:4002" } }), /--advertise .* needed/);
    await assert.rejects(open({ peers: { n1: "http://127.0.0.1:1/?a" } }), /--peers takes/);
    for (const given of [{ listen: "127.0.0.1:1" }, { recoverAccess: true, auth: true }]) {
      await assert.rejects(open(JSON.parse(JSON.stringify(given))), /there is no option/);
    }
  });
});

describe("three embedded replicas, each mounted in an app of its own", () => {
  for (const base of ["/kv", "", "/deep/er/kv"]) {
    it(`form a cluster below ${JSON.stringify(base)}, beside the routes of the app`, async () => {
      await using trio = await Trio.start({ base, open, options: () => ({ storage: "memory" }) });
      await Promise.all(trio.programs.map(({ replica }) => replica.ready));
      for (const [at, { url, id, replica }] of trio.programs.entries()) {
        await replica.put("written", `by ${id}`);
        for (const other of trio.programs) {
          assert.equal(text((await other.replica.get("written"))?.value), `by ${id}`);
        }
        const hello = await fetch(new URL("/hello", url));
        assert.equal(await hello.text(), `hello from ${id}`);
        const got = await fetch(`${url}/v1/kv/written`);
        assert.equal(await got.text(), `by ${id}`);
        assert.equal(got.headers.get("holdfast-node"), id);
        assert.equal(got.headers.get("x-program"), id, "the app's own middleware saw it");
        assert.equal(got.headers.get("etag"), `"${at + 1}"`);
        const status = await (await fetch(`${url}/v1/status`)).json();
        assert.deepEqual(
          status.members.map((member: { url: string }) => member.url),
          trio.programs.map((program) => program.url),
        );
      }
    });
  }

  it("take keys of any bytes over HTTP", async () => {
    await using trio = await Trio.start({
      base: "/kv",
      open,
      options: () => ({ storage: "memory" }),
    });
    const [first, second] = trio.programs;
    assert.ok(first !== undefined && second !== undefined);
    const bytes = Array.from({ length: 256 }, (_, byte) => byte);
    const spelled = bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const keys = [
      spelled,
      "a//b",
      "/a",
      "a/",
      "%2f",
      "a%2Fb",
      "kv",
      "%25",
      "a%0Ab",
      "%FF%0D",
      "v1/kv/a",
      "a?x=1/2",
    ];
    for (const key of keys) {
      const put: Response = await fetch(`${first.url}/v1/kv/${key}`, { method: "PUT", body: key });
      assert.equal(put.status, 201, key);
    }
    for (const key of keys) {
      assert.equal(await (await fetch(`${second.url}/v1/kv/${key}`)).text(), key);
    }
    const own = Uint8Array.from(bytes);
    assert.equal(text((await second.replica.get(own))?.value), spelled);
    const { items } = await first.replica.list({ prefix: "v1/" });
    assert.deepEqual(items.map(({ key }) => key), ["v1/kv/a"]);
  });

  it("let a watcher in one of them see all that is written in the others, over a leader's death", async () => {
    await using trio = await Trio.start({
      base: "/kv",
      open,
      options: () => ({ storage: "memory" }),
    });
    await Promise.all(trio.programs.map(({ replica }) => replica.ready));
    const leader = await leaderOf(trio);
    const [watcher, writer] = trio.programs.filter((program) => program !== leader);
    assert.ok(watcher !== undefined && writer !== undefined);
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { events } of watcher.replica.watch({ from: 1 })) {
        for (const event of events) if (event.type === "put") seen.push(text(event.item.value));
        if (seen.at(-1) === "39") return;
      }
    })();
    for (let count = 0; count < 40; count++) {
      if (count === 20) await leader.kill();
      await writer.replica.put("count", String(count));
    }
    await watching;
    assert.deepEqual(seen, Array.from({ length: 40 }, (_, count) => String(count)));
  });

  it("go on without one that is killed, which comes back and knows all that it missed", async () => {
    using temporary = temporaryDirectory();
    const data = (id: string): string => join(temporary.path, id);
    await using trio = await Trio.start({
      base: "/kv",
      open,
      options: (id) => ({ data: data(id) }),
    });
    await Promise.all(trio.programs.map(({ replica }) => replica.ready));
    for (let round = 0; round < 2; round++) {
      const victim = await leaderOf(trio);
      await victim.replica.put(`before ${round}`, "kept");
      await victim.kill();
      const [survivor] = trio.programs;
      await survivor?.replica.put(`after ${round}`, "kept");
      const back = await trio.start(victim.id);
      await back.replica.ready;
      for (const when of ["before", "after"]) {
        assert.equal(text((await back.replica.get(`${when} ${round}`))?.value), "kept");
      }
    }
    const statuses = await Promise.all(ids.map((id) => trio.at(id).replica.status()));
    assert.equal(new Set(statuses.map(({ clusterId }) => clusterId)).size, 1);
  });
});
