/** No watcher misses, repeats or reorders a change, whatever it watches and wherever it was cut off. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { randomFrom } from "../kv/random.ts";
import type { Change } from "../../src/kv/store.ts";
import { type EventReader, type SentEvent, shown } from "./event-reader.ts";
import { assertProblem } from "./fixture.ts";
import { apply, commandOf, WatchScene, type Write } from "./watch-scene.ts";

const keys = ["a", "a/1", "a/2", "a/20", "aa", "b", "b\xff", "b\xff\xff", "c", "\xff", "\xff\xff"];

/** Filters as queries, and what they are to let through. */
const filters: Readonly<Record<string, (key: string) => boolean>> = {
  "": () => true,
  "prefix=": () => true,
  "prefix=a": (key) => key.startsWith("a"),
  "prefix=a/2": (key) => key.startsWith("a/2"),
  "prefix=b%ff": (key) => key.startsWith("b\xff"),
  "prefix=%FF": (key) => key.startsWith("\xff"),
  "prefix=nobody": () => false,
  "key=a": (key) => key === "a",
  "key=a%2F2": (key) => key === "a/2",
  "key=%ff": (key) => key === "\xff",
  "start=a/2": (key) => key >= "a/2",
  "end=b": (key) => key < "b",
  "start=a/1&end=b%ff": (key) => key >= "a/1" && key < "b\xff",
  "start=a/&end=a0": (key) => key.startsWith("a/"),
  "start=a&end=a%00": (key) => key === "a",
  "start=b&end=a": () => false,
};

/** Draws writes of one revision. */
function draw(next: (below: number) => number, n: number): Write[] {
  const count = next(10) < 6 ? 1 : 1 + next(5);
  return Array.from({ length: count }, (_, at): Write => {
    const key = keys[next(keys.length)] ?? "a";
    return [key, next(10) < 3 ? null : `${n}.${at}`];
  });
}

/** A change as `12 a=1`, as events show it. */
function expected({ revision, events }: Change, lets: (key: string) => boolean): string[] {
  return events.filter(({ key }) => lets(key)).map(({ key, item }) => {
    const name = /[\x80-\xff]/.test(key) ? btoa(key) : key;
    if (item === null) return `${revision} -${name}`;
    const text = new TextDecoder().decode(item.value);
    return `${revision} ${name}=${name === key ? text : btoa(text)}`;
  });
}

/** All changes of the store from `from` on. */
function history(scene: WatchScene, from: number, lets: (key: string) => boolean): string[] {
  const { store } = scene.machine;
  const lines: string[] = [];
  for (let revision = from; revision <= store.revision; revision++) {
    const change = store.change(revision);
    assert.ok(change);
    lines.push(...expected(change, lets));
  }
  return lines;
}

const line = (each: SentEvent): string => `${each.id} ${shown(each)}`;

async function readLines(reader: EventReader, count: number): Promise<string[]> {
  return (await reader.changes(count)).map(line);
}

/** Nothing is left but what says how far it is: the watcher has seen `revision` and been told no more. */
async function assertNothingBefore(scene: WatchScene, readers: readonly EventReader[]) {
  scene.apply({ type: "deleteRange", start: "", end: null });
  scene.write(...keys.map((key): Write => [key, "last"]));
  const last = scene.revision;
  for (const reader of readers) {
    const event = await reader.next();
    assert.ok(event === null || event.event === "progress" || event.id >= last - 1);
    await reader.cancel();
  }
}

describe("a watcher", () => {
  it("is told of each change that it asked for, once and in order", async () => {
    const scene = new WatchScene();
    const next = randomFrom(11);
    const readers = await Promise.all(Object.keys(filters).map((query) => scene.watch(query)));
    for (let n = 0; n < 300; n++) {
      scene.write(...draw(next, n));
      // Several revisions go out together, and single ones.
      if (n % 7 === 0) await Promise.resolve();
      if (n % 31 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const [at, lets] of Object.values(filters).entries()) {
      const reader = readers[at];
      assert.ok(reader);
      const lines = history(scene, 1, lets);
      assert.deepEqual(await readLines(reader, lines.length), lines);
    }
    await assertNothingBefore(scene, readers);
  });

  it("goes on where it was cut off, at every revision, while more is written", async () => {
    const scene = new WatchScene();
    const next = randomFrom(12);
    for (let n = 0; n < 60; n++) scene.write(...draw(next, n));
    const cuts = scene.revision;
    const queries = Object.keys(filters);
    const readers: [EventReader, number, string][] = [];
    for (let cut = 0; cut <= cuts; cut++) {
      const query = queries[cut % queries.length] ?? "";
      readers.push([await scene.resume(cut, ""), cut, ""]);
      readers.push([await scene.resume(cut, query), cut, query]);
      scene.write(...draw(next, 100 + cut));
      if (cut % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const read = new Map<EventReader, string[]>();
    for (const [reader, cut, query] of readers) {
      const lines = history(scene, cut + 1, filters[query] ?? assert.fail());
      read.set(reader, await readLines(reader, lines.length));
      if (cut % 5 === 0) scene.write(...draw(next, 200 + cut));
    }
    for (const [reader, cut, query] of readers) {
      const lines = history(scene, cut + 1, filters[query] ?? assert.fail());
      const before = read.get(reader) ?? [];
      const rest = await readLines(reader, lines.length - before.length);
      assert.deepEqual([...before, ...rest], lines, `${query} behind ${cut}`);
    }
    await assertNothingBefore(scene, readers.map(([reader]) => reader));
  });

  it("goes on at every revision of a store that rests", async () => {
    const scene = new WatchScene();
    for (let n = 1; n <= 20; n++) scene.write(["k", `${n}`]);
    for (let cut = 0; cut <= 20; cut++) {
      const reader = await scene.resume(cut);
      assert.deepEqual((await reader.changes(20 - cut)).map(({ id }) => id), ids(cut + 1, 20));
      await reader.cancel();
    }
  });

  it("catches up over more than is read at a time, and stays", async () => {
    const scene = new WatchScene();
    for (let n = 1; n <= 3000; n++) scene.write([`k${n % 10}`, `${n}`]);
    const all = await scene.watch("from=1");
    const one = await scene.watch("from=1001&key=k7");
    const none = await scene.watch("from=1&prefix=x");
    const progress = await none.next();
    assert.equal(progress?.data["revision"], 0);
    assert.deepEqual((await all.changes(3000)).map(({ id }) => id), ids(1, 3000));
    assert.deepEqual((await one.changes(200)).map(({ id }) => id % 10), Array(200).fill(7));
    scene.write(["x", "1"], ["k7", "1"]);
    for (const reader of [all, one, none]) {
      assert.equal((await reader.changes(1))[0]?.id, 3001);
      await reader.cancel();
    }
  });

  it("has Last-Event-ID go before from", async () => {
    const scene = new WatchScene();
    for (let n = 1; n <= 9; n++) scene.write(["k", `${n}`]);
    const reader = await scene.resume(7, "from=2");
    assert.deepEqual((await reader.changes(2)).map(({ id }) => id), [8, 9]);
    await reader.cancel();
    const none = await scene.watch("from=8", { "last-event-id": "" });
    assert.deepEqual((await none.changes(2)).map(({ id }) => id), [8, 9]);
    await none.cancel();
  });

  it("is refused where its changes are not all kept, and told which are", async () => {
    const scene = new WatchScene();
    for (let n = 1; n <= 30; n++) scene.write(["k", `${n}`]);
    scene.limitHistory({ revisionsMax: 10, bytesMax: 1_000_000 });
    const { floor } = scene.machine.store;
    assert.equal(floor, 20);
    for (const method of ["GET", "HEAD"]) {
      const answer = await scene.send(method, "/v1/watch?from=20");
      assert.equal(answer.status, 410, method);
    }
    const headers = { "last-event-id": "19" };
    const late = await scene.send("GET", "/v1/watch", { headers });
    assert.equal((await assertProblem(late, 410, "compacted"))["oldest"], 21);
    const reader = await scene.watch("from=21");
    assert.deepEqual((await reader.changes(10)).map(({ id }) => id), ids(21, 30));
    await reader.cancel();
  });

  it("goes on over a restore, of a few revisions or of thousands", async () => {
    for (const ahead of [5, 6000]) {
      const scene = new WatchScene();
      for (let n = 1; n <= 10; n++) scene.write(["k", `${n}`]);
      const other = new WatchScene();
      for (let n = 1; n <= 10 + ahead; n++) other.write(["k", `${n}`]);
      const live = await scene.watch();
      const past = await scene.watch("from=4");
      const future = await scene.watch(`from=${ahead}`);
      await scene.restore(other);
      assert.equal(scene.revision, 10 + ahead);
      apply(scene.machine, commandOf([["k", "behind it"]]));
      const last = scene.revision;
      const told = async (reader: EventReader, first: number) => {
        const changes = await reader.changes(last - first + 1);
        assert.deepEqual(changes.map(({ id }) => id), ids(first, last));
        await reader.cancel();
      };
      await told(live, 11);
      await told(past, 4);
      await told(future, ahead);
    }
  });

  it("is told so where a restore leaves out what it has not seen", async () => {
    const scene = new WatchScene();
    scene.write(["k", "1"]);
    const other = new WatchScene();
    other.limitHistory({ revisionsMax: 3, bytesMax: 1_000_000 });
    for (let n = 1; n <= 10; n++) other.write(["k", `${n}`]);
    const live = await scene.watch("key=other");
    const ahead = await scene.watch("from=8");
    await scene.restore(other);
    const [last] = await live.rest();
    assert.deepEqual(last, { id: 1, event: "overflow", data: { revision: 1 } });
    assert.deepEqual((await ahead.changes(3)).map(({ id }) => id), [8, 9, 10]);
    await ahead.cancel();
    assert.equal(scene.hub.size, 0);
  });

  it("is told so where a change is too large to be kept", async () => {
    const scene = new WatchScene();
    scene.limitHistory({ revisionsMax: 1000, bytesMax: 10_000 });
    const reader = await scene.watch();
    scene.write(["a", "x".repeat(8000)]);
    scene.write(["b", "x".repeat(8000)]);
    assert.equal((await reader.changes(2)).length, 2);
    scene.apply({ type: "deleteRange", start: "", end: null });
    assert.equal(scene.machine.store.change(3), null);
    assert.deepEqual(await reader.rest(), [
      { id: 2, event: "overflow", data: { revision: 2 } },
    ]);
  });
});

function ids(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}
