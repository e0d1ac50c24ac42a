import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMemoryNetwork } from "../../src/adapters/memory-transport.ts";
import type { Clock } from "../../src/ports.ts";
import { wireLimits } from "./peer-arbitraries.ts";
import { echo, failure, handlerWith, heartbeat, replyTo } from "./transport-conformance.ts";

/** A clock that goes when it is told to. */
function manualClock(): Clock & { advance(ms: number): Promise<void> } {
  let now = 0;
  const timers = new Set<{ at: number; callback: () => void }>();
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    now: () => now,
    wallNow: () => now,
    yield: settle,
    timer(at, callback) {
      const timer = { at, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      await settle();
      now += ms;
      for (const timer of timers) {
        if (timer.at > now) continue;
        timers.delete(timer);
        timer.callback();
      }
      await settle();
    },
  };
}

describe("the network in memory", () => {
  it("delivers nothing in the turn in which it was sent", async () => {
    let received = 0;
    const network = createMemoryNetwork({ clock: manualClock(), limits: wireLimits });
    network.attach(
      "b",
      handlerWith({
        receive: (message) => {
          received++;
          return Promise.resolve(replyTo(message));
        },
      }),
    );
    const sent = network.transport("a").request(heartbeat(), 100);
    assert.equal(received, 0);
    await sent;
    assert.equal(received, 1);
  });

  it("loses what crosses a cut, one way at a time, until it is healed", async () => {
    const clock = manualClock();
    let received = 0;
    const network = createMemoryNetwork({ clock, limits: wireLimits });
    network.attach(
      "b",
      handlerWith({
        receive: (message) => {
          received++;
          return Promise.resolve(replyTo(message));
        },
      }),
    );
    const transport = network.transport("a");
    for (const [from, to, arrivals] of [["a", "b", 0], ["b", "a", 1]] as const) {
      received = 0;
      network.cut(from, to);
      const lost = failure(transport.request(heartbeat(), 100));
      await clock.advance(100);
      assert.equal(await lost, true);
      assert.equal(received, arrivals);
      network.heal(from, to);
      await transport.request(heartbeat(), 100);
    }
  });

  it("delays and drops as it is told", async () => {
    const clock = manualClock();
    const drops = [false, false, true, false, true];
    const network = createMemoryNetwork({
      clock,
      limits: wireLimits,
      delayMs: (from) => from === "a" ? 10 : 20,
      isLost: () => drops.shift() ?? false,
    });
    network.attach("b", echo);
    const transport = network.transport("a");
    let done = false;
    const answered = transport.request(heartbeat(), 100).then(() => done = true);
    await clock.advance(10);
    await clock.advance(19);
    assert.equal(done, false);
    await clock.advance(1);
    await answered;
    for (let i = 0; i < 2; i++) { // The request is dropped, then a reply.
      const dropped = failure(transport.request(heartbeat(), 100));
      await clock.advance(10);
      await clock.advance(20);
      await clock.advance(70);
      assert.equal(await dropped, true);
    }
    assert.equal(drops.length, 0);
  });

  it("gives a restarted peer no reply that its former self owes", async () => {
    const clock = manualClock();
    const network = createMemoryNetwork({ clock, limits: wireLimits });
    let answer = () => {};
    network.attach(
      "b",
      handlerWith({
        receive: (message) => new Promise((resolve) => answer = () => resolve(replyTo(message))),
      }),
    );
    const transport = network.transport("a");
    const open = failure(transport.request(heartbeat(), 100));
    await clock.advance(0);
    network.detach("b");
    network.attach("b", echo);
    answer();
    await transport.request(heartbeat(), 100);
    await clock.advance(100);
    assert.equal(await open, true);
  });
});
