import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DiskWatch } from "../../src/replica/disk-watch.ts";
import { Watchdog, watchdogIntervalMs } from "../../src/replica/watchdog.ts";
import { HandClock } from "./hand-clock.ts";

interface Watched {
  readonly clock: HandClock;
  readonly lines: string[];
  readonly seen: string[];
  readonly lags: number[];
  readonly status: { role: string; persistLagMs: number };
  readonly watchdog: Watchdog;
}

function watched(): Watched {
  const clock = new HandClock();
  const lines: string[] = [];
  const seen: string[] = [];
  const lags: number[] = [];
  const status = { role: "leader", persistLagMs: 0 };
  const watchdog = new Watchdog({
    clock,
    log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    observer: {
      loopLagged: (seconds, isStall) => {
        lags.push(seconds);
        if (isStall) seen.push("loop stalled");
      },
      diskStalled: (isStalled) => seen.push(isStalled ? "disk stalled" : "disk answers"),
      clockJumped: () => seen.push("clock jumped"),
    },
    electionTimeoutMs: 500,
    status: () => status,
  });
  watchdog.start();
  return { clock, lines, seen, lags, status, watchdog };
}

describe("the watchdog", () => {
  it("looks ten times a second, and says nothing while all is well", async () => {
    const { clock, lines, seen, lags } = watched();
    await clock.pass(1000);
    assert.deepEqual(lags, Array.from({ length: 1000 / watchdogIntervalMs }, () => 0));
    assert.deepEqual([...lines, ...seen], []);
  });

  it("tells how long the event loop stood still, if for over half an election timeout", async () => {
    const { clock, lines, seen, lags } = watched();
    await clock.stall(watchdogIntervalMs + 250);
    assert.deepEqual(seen, []);
    await clock.stall(watchdogIntervalMs + 251);
    assert.deepEqual(seen, ["loop stalled"]);
    assert.deepEqual(lags, [0.25, 0.251]);
    assert.deepEqual(lines, ['warn the event loop stood still {"ms":251,"role":"leader"}']);
  });

  it("tells of many stalls once in a while, and counts them all", async () => {
    const { clock, lines, seen } = watched();
    for (let stall = 0; stall < 30; stall++) await clock.stall(watchdogIntervalMs + 300);
    assert.equal(seen.length, 30);
    assert.equal(lines.length, 2, "12 s, and one line in 10");
    await clock.stall(watchdogIntervalMs + 5000);
    assert.equal(lines.length, 3, "what is far worse is told at once");
  });

  it("tells when the disk begins to stall and when it answers again, once each", async () => {
    const { clock, lines, seen, status } = watched();
    status.persistLagMs = 500;
    await clock.pass(200);
    assert.deepEqual(seen, []);
    for (status.persistLagMs = 501; status.persistLagMs < 3000; status.persistLagMs += 100) {
      await clock.pass(100);
    }
    assert.deepEqual(seen, ["disk stalled"]);
    status.persistLagMs = 0;
    await clock.pass(300);
    assert.deepEqual(seen, ["disk stalled", "disk answers"]);
    assert.match(lines[1] ?? "", /^info the disk answers again \{"ms":29\d\d,/);
  });

  it("tells of a wall clock that jumps, forward and back, and not of one that is slewed", async () => {
    const { clock, lines, seen } = watched();
    for (let second = 0; second < 60; second++) {
      clock.set(900);
      await clock.pass(1000);
    }
    assert.deepEqual(seen, []);
    clock.set(3_600_000);
    await clock.pass(200);
    clock.set(-3_600_000);
    await clock.pass(200);
    assert.deepEqual(seen, ["clock jumped", "clock jumped"]);
    assert.match(lines[0] ?? "", /"ms":3600000/);
    assert.match(lines[1] ?? "", /"ms":-3600000/);
  });

  it("is silent once it was stopped", async () => {
    const { clock, lags, watchdog } = watched();
    watchdog.stop();
    await clock.pass(1000);
    assert.deepEqual(lags, []);
  });
});

describe("the watch over the disk", () => {
  it("finds a write overdue at its second look, and has deadlines for both", async () => {
    const clock = new HandClock();
    const watch = new DiskWatch(clock, 10_000);
    assert.equal(watch.deadline(), Infinity);
    watch.begun(1, clock.now());
    await clock.pass(10_000);
    assert.equal(watch.isOverdue(), false);
    assert.equal(watch.deadline(), 10_001);
    await clock.pass(1);
    assert.equal(watch.isOverdue(), false, "it may have ended while this process stood still");
    assert.equal(watch.deadline(), 11_002);
    await clock.pass(1001);
    assert.equal(watch.isOverdue(), true);
    watch.ended(1);
    assert.equal(watch.isOverdue(), false);
    assert.equal(watch.lagMs, 0);
  });
});
