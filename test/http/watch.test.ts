/** What a watcher is told: which changes, in which order, in which words. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { NotApplied } from "../../src/errors.ts";
import { shown } from "./event-reader.ts";
import { assertProblem } from "./fixture.ts";
import { WatchScene } from "./watch-scene.ts";

describe("GET /v1/watch", () => {
  it("answers with a stream that opens with where it begins", async () => {
    const scene = new WatchScene();
    scene.write(["a", "1"]);
    scene.replica.staleness = 12;
    const response = await scene.send("GET", "/v1/watch");
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.equal(response.headers.get("holdfast-node"), "n1");
    assert.equal(response.headers.get("holdfast-revision"), "1");
    assert.equal(response.headers.get("holdfast-term"), "7");
    const reader = response.body?.getReader();
    const { value } = await reader?.read() ?? {};
    assert.equal(
      new TextDecoder().decode(value),
      'id: 1\nevent: progress\ndata: {"revision":1,"stalenessMs":12}\n\n',
    );
    await reader?.cancel();
  });

  it("tells of puts and deletions, with the items as listings show them", async () => {
    const scene = new WatchScene();
    const reader = await scene.watch();
    const metadata = Uint8Array.of(1, 2);
    const put = { type: "put" as const, key: "a", conditions: [] };
    const extras = { metadata, ttlMs: null, lease: null };
    const value = new TextEncoder().encode('line\n"2"');
    scene.apply({ ...put, value, contentType: "text/plain", extras });
    scene.apply({ ...put, value: Uint8Array.of(0xff), contentType: "x/y" });
    scene.write(["a", null]);
    scene.write(["\xff", "v"], ["\xfe", null]);
    scene.write(["\xff", null]);
    const changes = await reader.changes(5);
    assert.deepEqual(changes.map(({ id, event }) => [id, event]), [
      [1, "put"],
      [2, "put"],
      [3, "delete"],
      [4, "put"],
      [5, "delete"],
    ]);
    assert.deepEqual(changes.map(({ data }) => data), [
      {
        key: "a",
        value: 'line\n"2"',
        revision: 1,
        created: 1,
        version: 1,
        contentType: "text/plain",
        metadata: "AQI=",
      },
      {
        key: "a",
        value: "/w==",
        encoding: "base64",
        revision: 2,
        created: 1,
        version: 2,
        contentType: "x/y",
      },
      { key: "a", revision: 3 },
      {
        key: "/w==",
        keyEncoding: "base64",
        value: "dg==",
        encoding: "base64",
        revision: 4,
        created: 4,
        version: 1,
        contentType: "t/p",
      },
      { key: "/w==", keyEncoding: "base64", revision: 5 },
    ]);
    await reader.cancel();
  });

  it("tells what a key held before, where that is asked for", async () => {
    const scene = new WatchScene();
    const reader = await scene.watch("previous=true");
    const other = await scene.watch("previous=false");
    scene.write(["a", "1"]);
    scene.write(["a", "2"]);
    scene.write(["a", null]);
    const previous = (await reader.changes(3)).map(({ data }) => data["previous"]);
    const item = (revision: number, value: string) => ({
      key: "a",
      value,
      revision,
      created: 1,
      version: revision,
      contentType: "t/p",
    });
    assert.deepEqual(previous, [null, item(1, "1"), item(2, "2")]);
    for (const { data } of await other.changes(3)) assert.ok(!("previous" in data));
    await Promise.all([reader.cancel(), other.cancel()]);
  });

  it("keeps the events of a revision together, and says of each but the last that more follow", async () => {
    const scene = new WatchScene();
    const all = await scene.watch();
    const some = await scene.watch("prefix=b");
    scene.write(["c", "1"], ["a", "1"], ["b1", "1"], ["b2", "1"]);
    scene.write(["a", "2"], ["b1", null]);
    const marked = (changes: Awaited<ReturnType<typeof all.changes>>) =>
      changes.map((each) => `${each.id} ${shown(each)}${each.data["more"] === true ? " +" : ""}`);
    assert.deepEqual(marked(await all.changes(6)), [
      "1 a=1 +",
      "1 b1=1 +",
      "1 b2=1 +",
      "1 c=1",
      "2 a=2 +",
      "2 -b1",
    ]);
    assert.deepEqual(marked(await some.changes(3)), ["1 b1=1 +", "1 b2=1", "2 -b1"]);
    for (const piece of [...all.pieces, ...some.pieces]) {
      assert.notEqual(piece.at(-1)?.data["more"], true, "a revision comes in one piece");
    }
    await Promise.all([all.cancel(), some.cancel()]);
  });

  it("tells of a deleted range as of one change, and of nothing where nothing changed", async () => {
    const scene = new WatchScene();
    for (const key of ["a1", "a2", "b"]) scene.write([key, "v"]);
    const reader = await scene.watch();
    scene.apply({ type: "deleteRange", start: "x", end: null });
    scene.write(["nothing", null]);
    scene.apply({ type: "deleteRange", start: "a", end: "b" });
    const changes = await reader.changes(2);
    assert.deepEqual(changes.map((each) => [each.id, shown(each)]), [[4, "-a1"], [4, "-a2"]]);
    await reader.cancel();
  });

  it("begins behind all that was confirmed before, and asks nobody where it may be stale", async () => {
    const scene = new WatchScene();
    scene.write(["a", "old"]);
    const read = scene.replica.read.bind(scene.replica);
    scene.replica.read = async (level) => {
      await read(level);
      // What the read waited for arrives with it.
      scene.write(["a", "confirmed"]);
    };
    const fresh = await scene.watch();
    assert.deepEqual(scene.replica.reads, ["linearizable"]);
    const stale = await scene.watch("consistency=stale");
    const past = await scene.watch("from=3");
    assert.deepEqual(scene.replica.reads, ["linearizable"]);
    scene.write(["a", "new"]);
    for (const reader of [fresh, stale, past]) {
      assert.deepEqual((await reader.changes(1)).map(shown), ["a=new"]);
      await reader.cancel();
    }
  });

  it("answers 503 where no leader confirms that", async () => {
    const scene = new WatchScene();
    scene.replica.refusal = new NotApplied("no_leader", "there is none");
    await assertProblem(await scene.send("GET", "/v1/watch"), 503, "no_leader");
    assert.equal(scene.hub.size, 0);
    await (await scene.watch("consistency=stale")).cancel();
    await assertProblem(
      await scene.send("GET", "/v1/watch?consistency=lease"),
      503,
      "no_leader",
    );
  });

  it("waits for a revision that is not there yet", async () => {
    const scene = new WatchScene();
    const reader = await scene.watch("from=3");
    const opening = await reader.next();
    assert.deepEqual(opening?.data, { revision: 2, stalenessMs: 0 });
    for (let n = 1; n <= 4; n++) scene.write([`k${n}`, "v"]);
    assert.deepEqual((await reader.changes(2)).map(({ id }) => id), [3, 4]);
    await reader.cancel();
  });

  it("begins with all there is from 0 on, where that is kept", async () => {
    const scene = new WatchScene();
    scene.write(["a", "1"]);
    const reader = await scene.watch("from=0");
    assert.deepEqual((await reader.changes(1)).map(({ id }) => id), [1]);
    await reader.cancel();
  });

  it("answers HEAD without watching, and no other method", async () => {
    const scene = new WatchScene();
    const head = await scene.send("HEAD", "/v1/watch");
    assert.equal(head.status, 200);
    assert.equal(head.headers.get("content-type"), "text/event-stream");
    assert.equal(await head.text(), "");
    assert.equal(scene.hub.size, 0);
    const posted = await scene.send("POST", "/v1/watch", { body: "x" });
    assert.equal(posted.headers.get("allow"), "GET, HEAD");
    await assertProblem(posted, 405, "no_such_route", "not_applied");
  });

  for (
    const [query, status, code] of [
      ["from=-1", 400, "bad_request"],
      ["from=x", 400, "bad_request"],
      ["from=1&from=2", 400, "bad_request"],
      ["previous=yes", 400, "bad_request"],
      ["consistency=none", 400, "bad_request"],
      ["key=", 400, "bad_request"],
      ["key=a&prefix=b", 400, "bad_request"],
      ["key=a&start=b", 400, "bad_request"],
      ["prefix=a&end=b", 400, "bad_request"],
      ["key=%f", 400, "bad_request"],
      [`key=${"k".repeat(2049)}`, 413, "too_large"],
      [`prefix=${"k".repeat(2050)}`, 413, "too_large"],
    ] as const
  ) {
    it(`answers ${status} to ${query.slice(0, 30)}`, async () => {
      const scene = new WatchScene();
      await assertProblem(await scene.send("GET", `/v1/watch?${query}`), status, code);
      assert.equal(scene.hub.size, 0);
    });
  }

  for (const id of ["x", "-1", "1.5", "9007199254740991", "12345678901234567"]) {
    it(`answers 400 to Last-Event-ID: ${id}`, async () => {
      const scene = new WatchScene();
      const answer = await scene.send("GET", "/v1/watch", { headers: { "last-event-id": id } });
      await assertProblem(answer, 400, "bad_request");
    });
  }
});
