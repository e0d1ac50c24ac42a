import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clockJumpMs, ClockWatch } from "../../src/replica/clock-watch.ts";

/** Two clocks that a test moves. */
class Clocks {
  mono = 1000;
  wall = 5000;

  readonly clock = {
    now: (): number => this.mono,
    wallNow: (): number => this.wall,
    timer: () => (): void => {},
    yield: async (): Promise<void> => {},
  };

  passes(ms: number): void {
    this.mono += ms;
    this.wall += ms;
  }
}

function watched(): { readonly clocks: Clocks; readonly watch: ClockWatch } {
  const clocks = new Clocks();
  return { clocks, watch: new ClockWatch(clocks.clock) };
}

describe("the watch over the clocks", () => {
  it("sees no jump while both clocks go on, however long", () => {
    const { clocks, watch } = watched();
    clocks.passes(1e9);
    assert.equal(watch.jumped(), false);
    assert.equal(watch.gainedMs(), 0);
  });

  it("notices a sleep once, and starts afresh", () => {
    const { clocks, watch } = watched();
    clocks.wall += clockJumpMs + 1;
    assert.equal(watch.jumped(), true);
    assert.equal(watch.jumped(), false);
    assert.equal(watch.gainedMs(), 0);
  });

  it("adds up sleeps that are each too short to notice", () => {
    const { clocks, watch } = watched();
    clocks.wall += clockJumpMs;
    assert.equal(watch.jumped(), false);
    assert.equal(watch.gainedMs(), clockJumpMs);
    clocks.passes(100);
    clocks.wall += 1;
    assert.equal(watch.jumped(), true);
  });

  it("takes a clock that was set back for one that may hide a sleep", () => {
    const { clocks, watch } = watched();
    clocks.wall -= clockJumpMs + 1;
    assert.equal(watch.jumped(), true);
    assert.equal(watch.jumped(), false);
  });

  it("counts from where the wall clock was least ahead", () => {
    const { clocks, watch } = watched();
    clocks.wall -= 15;
    assert.equal(watch.jumped(), false);
    clocks.wall += 15;
    assert.equal(watch.jumped(), false);
    assert.equal(watch.gainedMs(), 15);
    clocks.wall += clockJumpMs - 14;
    assert.equal(watch.jumped(), true);
  });
});
