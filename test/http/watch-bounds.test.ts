/** What watchers may hold: their number, what waits for them, and what becomes of those who don't read. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { until } from "../replica/cluster.ts";
import { isChange } from "./event-reader.ts";
import { assertProblem } from "./fixture.ts";
import { WatchScene } from "./watch-scene.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("watchers' bounds", () => {
  it("cuts off who doesn't read, and lets it resume without a loss", async () => {
    const scene = new WatchScene({ watchQueueBytesMax: 10_000 });
    const slow = await scene.watch();
    const quick = await scene.watch();
    for (let n = 1; n <= 100; n++) {
      scene.write(["k", `${n}`.padEnd(500)]);
      await turn();
      await quick.changes(1);
    }
    const read = await slow.rest();
    const last = read.at(-1);
    assert.equal(last?.event, "overflow");
    const changes = read.filter(isChange);
    assert.equal(last.id, changes.at(-1)?.id ?? 0);
    assert.deepEqual(last.data, { revision: last.id });
    assert.ok(last.id < 100, "what waited was thrown away");
    const resumed = await scene.resume(last.id);
    const rest = await resumed.changes(100 - last.id);
    assert.deepEqual(
      [...changes, ...rest].map(({ id }) => id),
      Array.from({ length: 100 }, (_, at) => at + 1),
    );
    await resumed.cancel();
    await quick.cancel();
    assert.equal(scene.hub.size, 0);
  });

  it("doesn't call slow whom much comes for at once", async () => {
    const scene = new WatchScene({ watchQueueBytesMax: 10_000 });
    const reader = await scene.watch();
    const reading = reader.changes(4000);
    for (let n = 1; n <= 4000; n++) scene.write(["k", `${n}`.padEnd(500)]);
    assert.equal((await reading).length, 4000);
    await reader.cancel();
  });

  it("has who is behind by thousands of revisions at once come on at its own pace", async () => {
    const scene = new WatchScene({ watchQueueBytesMax: 10_000 });
    const reader = await scene.watch();
    const other = new WatchScene();
    for (let n = 1; n <= 6000; n++) other.write(["k", `${n}`]);
    await scene.restore(other);
    for (let n = 0; n < 50; n++) await turn();
    assert.equal((await reader.changes(6000)).at(-1)?.id, 6000);
    await reader.cancel();
  });

  it("cuts those with the longest queues where all together hold too much", async () => {
    const scene = new WatchScene({ watchQueuesBytesMax: 100_000 });
    const readers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => scene.watch(`key=k${n}`)),
    );
    for (let n = 0; n < 10; n++) {
      scene.write([`k${n}`, "x".repeat(1000 + 4000 * n)]);
      await turn();
    }
    const ends = await Promise.all(readers.map(async (reader, n) => {
      scene.write([`k${n}`, "end"]);
      for (let event = await reader.next(); event !== null; event = await reader.next()) {
        if (event.data["value"] !== "end") continue;
        await reader.cancel();
        return "whole";
      }
      return "cut";
    }));
    const firstCut = ends.indexOf("cut");
    assert.ok(firstCut > 5, String(ends));
    assert.deepEqual(ends.slice(firstCut), Array(10 - firstCut).fill("cut"));
  });

  it("counts what waits for many once where it is the same", async () => {
    const scene = new WatchScene({ watchQueuesBytesMax: 100_000 });
    const readers = await Promise.all(Array.from({ length: 100 }, () => scene.watch()));
    scene.write(["k", "x".repeat(50_000)]);
    await until("all are served", async () => {
      await turn();
      return scene.revision === 1;
    });
    for (const reader of readers) {
      assert.equal((await reader.changes(1))[0]?.id, 1);
      await reader.cancel();
    }
  });

  it("lets go of who stays in the past until that is not kept any more", async () => {
    const scene = new WatchScene({ watchProgressIntervalMs: 16 });
    for (let n = 1; n <= 5; n++) scene.write(["k", `${n}`]);
    const reader = await scene.watch("from=1");
    const other = await scene.watch();
    scene.limitHistory({ revisionsMax: 2, bytesMax: 1_000_000 });
    // Two rounds are over, in which everybody had a turn.
    for (let round = 0; round < 3; round++) assert.equal((await other.next())?.event, "progress");
    await other.cancel();
    assert.deepEqual(await reader.rest(), [{ id: 0, event: "overflow", data: { revision: 0 } }]);
  });

  it("tells each how far it has seen, again and again", async () => {
    const scene = new WatchScene({ watchProgressIntervalMs: 16 });
    const readers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => scene.watch(`key=k${n}`)),
    );
    scene.write(["other", "1"]);
    scene.write(["other", "2"]);
    for (const reader of readers) {
      let last = 0;
      for (let seen = 0; seen < 3 || last < 2;) {
        const event = await reader.next();
        assert.equal(event?.event, "progress");
        assert.equal(event.data["revision"], event.id);
        assert.ok(event.id >= last);
        last = event.id;
        seen++;
      }
      await reader.cancel();
    }
  });

  it("never tells of progress beyond what was told", async () => {
    const scene = new WatchScene({ watchProgressIntervalMs: 1 });
    const readers = await Promise.all(Array.from({ length: 200 }, () => scene.watch()));
    const ahead = await scene.watch("from=1000");
    for (let n = 1; n <= 50; n++) {
      scene.write(["k", `${n}`]);
      await turn();
    }
    for (const reader of readers) {
      let last = 0;
      while (last < 50) {
        const event = await reader.next();
        assert.ok(event);
        assert.equal(event.id, isChange(event) ? last + 1 : last);
        last = event.id;
      }
      await reader.cancel();
    }
    assert.equal((await ahead.next())?.id, 999);
    await ahead.cancel();
  });

  it("refuses more watchers than there may be, until one has gone", async () => {
    const scene = new WatchScene({ watchersMax: 2, openRequestsMax: 1 });
    const first = await scene.watch();
    const second = await scene.watch("from=1");
    const refused = await scene.send("GET", "/v1/watch");
    assert.equal(refused.headers.get("retry-after"), "10");
    await assertProblem(refused, 429, "overloaded");
    await first.cancel();
    assert.equal(scene.hub.size, 1);
    await (await scene.watch()).cancel();
    await second.cancel();
  });

  it("forgets those who go, wherever they are", async () => {
    const scene = new WatchScene();
    const { machine } = scene;
    const watch = machine.watch.bind(machine);
    let listeners = 0;
    machine.watch = (listener) => {
      const end = watch(listener);
      listeners++;
      return () => {
        listeners--;
        end();
      };
    };
    for (let n = 1; n <= 2000; n++) scene.write(["k", `${n}`]);
    const readers = [];
    for (const query of ["", "key=k", "prefix=k", "start=a&end=c", "from=1", "from=5000"]) {
      readers.push(await scene.watch(query), await scene.watch(query));
    }
    await readers[8]?.changes(3);
    assert.equal(scene.hub.size, 12);
    assert.equal(listeners, 1);
    for (const [at, reader] of readers.entries()) {
      await reader.cancel();
      scene.write(["k", "more"]);
      assert.equal(scene.hub.size, 11 - at);
    }
    assert.equal(listeners, 0);
  });

  it("ends all streams when the node stops, and begins none", async () => {
    const scene = new WatchScene();
    for (let n = 1; n <= 2000; n++) scene.write(["k", `${n}`]);
    const live = await scene.watch();
    const behind = await scene.watch("from=1");
    await live.next();
    const reading = live.next();
    scene.hub.stop();
    assert.equal(await reading, null);
    assert.deepEqual(await behind.rest(), []);
    assert.equal(scene.hub.size, 0);
    await assertProblem(await scene.send("GET", "/v1/watch"), 503, "not_ready");
  });
});
