import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock, Housekeeping } from "../../src/ports.ts";
import { Timekeeper } from "../../src/replica/timekeeper.ts";

/** A clock that is moved by hand. */
class HandClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.#now;
  }
  wallNow(): number {
    return 0;
  }
  timer(at: number, callback: () => void): () => void {
    const timer = { at, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  async yield(): Promise<void> {}

  /** Lets promises settle between timers. */
  async to(now: number): Promise<void> {
    for (let fired = 0;; fired++) {
      assert.ok(fired < 1000, "time goes on");
      await settled();
      const due = [...this.#timers].filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = now;
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

/** Wants a command, which is its time, at each of `due`. A stamp is written as a number of one byte. */
class Machine implements Housekeeping {
  applied = 0;
  count = 0;
  due: number[] = [];
  time(): number {
    return this.applied;
  }
  stamps(): number {
    return this.count;
  }
  stamp(command: Uint8Array, timeMs: number): void {
    new DataView(command.buffer).setUint32(0, timeMs);
  }
  stampOf(command: Uint8Array): number {
    return stampOf(command);
  }
  next(): { readonly at: number; readonly command: () => Uint8Array } | null {
    const at = this.due[0];
    return at === undefined ? null : { at, command: () => new Uint8Array(4) };
  }
  /** As if a command stamped so had been applied. */
  apply(time: number): void {
    this.count++;
    this.applied = Math.max(this.applied, time);
  }
}

function stampOf(command: Uint8Array): number {
  return new DataView(command.buffer).getUint32(0);
}

function stamped(time: number): Uint8Array {
  const command = new Uint8Array(4);
  new DataView(command.buffer).setUint32(0, time);
  return command;
}

interface Made {
  readonly clock: HandClock;
  readonly machine: Machine;
  readonly keeper: Timekeeper;
  /** When each command was proposed, by the keeper's own time. */
  readonly proposed: number[];
  leads: boolean;
  outcome: boolean | Error;
  /** Stamps of commands in the log that were not applied; null where a snapshot is on its way. */
  unapplied: number[] | null;
  /** As if commands stamped so had come into the log. */
  readonly logged: (stamps: readonly number[]) => void;
}

function made(): Made {
  const clock = new HandClock();
  const machine = new Machine();
  const proposed: number[] = [];
  const self: Made = {
    clock,
    machine,
    proposed,
    leads: false,
    outcome: true,
    unapplied: [],
    logged: (stamps) =>
      self.keeper.onLogged(stamps.map((stamp) => ({ kind: "command", payload: stamped(stamp) }))),
    keeper: new Timekeeper({
      housekeeping: machine,
      clock,
      ledTerm: () => self.leads ? 7 : null,
      unapplied: () => ({
        commands: (self.unapplied ?? []).map(stamped),
        isWhole: self.unapplied !== null,
      }),
      propose: async (command) => {
        self.keeper.stamp([command]);
        proposed.push(stampOf(command));
        if (self.outcome instanceof Error) throw self.outcome;
        if (!self.outcome) return false;
        machine.apply(stampOf(command));
        machine.due = machine.due.filter((at) => at > stampOf(command));
        return true;
      },
    }),
  };
  return self;
}

describe("the cluster's time", () => {
  it("goes on from the stamp that a follower is told of, forward and back", async () => {
    const { clock, machine, keeper } = made();
    machine.apply(5000);
    keeper.onApplied();
    await clock.to(700);
    assert.equal(keeper.now(), 5700);
    machine.apply(5200);
    keeper.onApplied();
    assert.equal(keeper.now(), 5200, "back: the leader counts for all");
    await clock.to(800);
    assert.equal(keeper.now(), 5300);
  });

  it("goes back also to a stamp that is no later than the last", async () => {
    const { clock, machine, keeper } = made();
    machine.apply(100);
    keeper.onApplied();
    await clock.to(3_600_000);
    machine.apply(100);
    keeper.onApplied();
    assert.equal(keeper.now(), 100);
  });

  it("is the leader's own while it leads: its stamps, applied late, don't hold it back", async () => {
    const self = made();
    const { clock, machine, keeper } = self;
    self.leads = true;
    for (let now = 10; now <= 1000; now += 10) {
      await clock.to(now);
      machine.apply(keeper.now() - 7);
      keeper.onApplied();
    }
    assert.equal(keeper.now(), 1000);
  });

  it("goes forward on a new leader that hears of a later stamp of an earlier one", async () => {
    const self = made();
    self.leads = true;
    self.machine.apply(900);
    self.keeper.onApplied();
    assert.equal(self.keeper.now(), 900);
  });

  it("is on a new leader not ahead of the commands of others that it has yet to apply", async () => {
    const self = made();
    await self.clock.to(5000);
    self.unapplied = [2000, 2010, 0];
    self.leads = true;
    self.keeper.onOffice();
    await self.clock.to(5100);
    assert.equal(self.keeper.now(), 2110);
    self.keeper.onOffice();
    assert.equal(self.keeper.now(), 2110, "of the same term only once");
  });

  it("goes on for a new leader from when such a command came into its log", async () => {
    const self = made();
    await self.clock.to(5000);
    self.logged([2000, 0, 2010, 0]);
    await self.clock.to(6000);
    self.logged([0]);
    self.unapplied = [2000, 0, 2010, 0, 0];
    self.leads = true;
    self.keeper.onOffice();
    assert.equal(self.keeper.now(), 3010, "the second without a leader counts");
  });

  it("does not go on from when a command came that was cut off again", async () => {
    const self = made();
    self.logged([2000]);
    await self.clock.to(1000);
    self.logged([4000]);
    await self.clock.to(5000);
    self.unapplied = [2000];
    self.leads = true;
    self.keeper.onOffice();
    assert.equal(self.keeper.now(), 2000);
  });

  it("is on a new leader that waits for a snapshot's state the last that it applied", async () => {
    const self = made();
    self.machine.apply(100);
    self.keeper.onApplied();
    await self.clock.to(5000);
    self.unapplied = null;
    self.leads = true;
    self.keeper.onOffice();
    assert.equal(self.keeper.now(), 100);
  });

  it("is on a new leader that waits for the first snapshot's state not ahead of what may be in it", async () => {
    const self = made();
    await self.clock.to(5000);
    self.unapplied = null;
    self.leads = true;
    self.keeper.onOffice();
    assert.equal(self.keeper.now(), 0);
  });

  it("is the same for all commands of a turn, in whole milliseconds", async () => {
    const { clock, keeper } = made();
    await clock.to(12.75);
    const commands = [new Uint8Array(4), new Uint8Array(4)];
    keeper.stamp(commands);
    assert.deepEqual(commands.map(stampOf), [12, 12]);
  });
});

describe("a leader's duties", () => {
  it("are done when their time comes, and not before", async () => {
    const self = made();
    self.leads = true;
    self.machine.due = [100, 250];
    self.keeper.look();
    await self.clock.to(99);
    assert.deepEqual(self.proposed, []);
    await self.clock.to(1000);
    assert.deepEqual(self.proposed, [100, 250]);
  });

  it("are reached, also where less is left than the clock can tell apart", async () => {
    const self = made();
    const since = 8175.338804321561;
    await self.clock.to(since);
    self.machine.apply(4982);
    self.keeper.onApplied();
    self.leads = true;
    self.machine.due = [5082];
    await self.clock.to(8185.010671886988);
    self.keeper.look();
    await self.clock.to(since + 110);
    assert.equal(self.proposed.length, 1);
  });

  it("are nobody else's, and begin with the office", async () => {
    const self = made();
    self.machine.due = [100];
    self.keeper.look();
    await self.clock.to(500);
    assert.deepEqual(self.proposed, []);
    self.leads = true;
    self.keeper.onOffice();
    await settled();
    assert.deepEqual(self.proposed, [500]);
  });

  it("are done earlier where something comes that is due earlier", async () => {
    const self = made();
    self.leads = true;
    self.machine.due = [1000];
    self.keeper.look();
    self.machine.due = [200, 1000];
    self.keeper.look();
    await self.clock.to(300);
    assert.deepEqual(self.proposed, [200]);
  });

  for (const outcome of [false, new Error("unknown")]) {
    it(`are tried again a little later where they ${outcome ? "failed" : "were refused"}`, async () => {
      const self = made();
      self.leads = true;
      self.outcome = outcome;
      self.machine.due = [100];
      self.keeper.look();
      await self.clock.to(160);
      assert.deepEqual(self.proposed, [100, 150]);
      self.outcome = true;
      await self.clock.to(1000);
      assert.deepEqual(self.proposed, [100, 150, 200]);
    });
  }

  it("are not done twice at a time, and end with the replica", async () => {
    const self = made();
    self.leads = true;
    self.machine.due = [100, 200];
    self.keeper.look();
    self.keeper.look();
    await self.clock.to(100);
    assert.deepEqual(self.proposed, [100]);
    self.keeper.stop();
    self.keeper.onApplied();
    await self.clock.to(1000);
    assert.deepEqual(self.proposed, [100]);
  });
});
