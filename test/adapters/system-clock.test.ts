import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createSystemClock } from "../../src/adapters/system-clock.ts";

describe("system clock", () => {
  const clock = createSystemClock();
  const at = (due: number): Promise<number> =>
    new Promise((resolve) => clock.timer(due, () => resolve(clock.now())));

  it("never calls back before the time that was asked for", async () => {
    for (const delay of [0, 0.3, 1.7, 5.1]) {
      const due = clock.now() + delay;
      assert.ok(await at(due) >= due);
    }
  });

  it("calls back in a later turn for a time that is past", async () => {
    let called = false;
    const done = new Promise<void>((resolve) =>
      clock.timer(clock.now() - 1000, () => {
        called = true;
        resolve();
      })
    );
    assert.equal(called, false);
    await done;
  });

  it("does not call back once cancelled", async () => {
    const cancel = clock.timer(clock.now() + 1, () => assert.fail("was cancelled"));
    cancel();
    cancel();
    await at(clock.now() + 5);
  });

  it("does not fire at once for waits beyond what setTimeout can hold", async () => {
    const cancel = clock.timer(clock.now() + 2 ** 33, () => assert.fail("fired after a moment"));
    await at(clock.now() + 5);
    cancel();
  });

  it("lets pending I/O run while somebody yields in a loop", async () => {
    let isOver = false;
    const { readFile } = await import("node:fs/promises");
    const reading = readFile(new URL(import.meta.url)).then(() => isOver = true);
    while (!isOver) await clock.yield();
    await reading;
  });

  it("goes forward, and knows the wall's time", () => {
    const first = clock.now();
    assert.ok(clock.now() >= first);
    assert.ok(Math.abs(clock.wallNow() - Date.now()) < 60_000);
  });
});
