import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCommand, stampCommand } from "../../src/kv/command-codec.ts";
import type { Command } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { ClusterTime } from "./cluster-time.ts";
import { DrawnCommands } from "./drawn-commands.ts";
import { drawOptions } from "./options.ts";
import { Random } from "./random.ts";
import { Reference } from "./reference.ts";
import { Sessions } from "./sessions.ts";
import { States } from "./states.ts";
import { allUses } from "./uses.ts";

/** Applies what clients would send, all kinds of it, to a machine and to the model. Returns what they differ in. */
function compare(seed: bigint, count: number): string | null {
  const random = new Random(seed, "model");
  const drawn = drawOptions(seed);
  const load = { ...drawn.load, keys: 4, valueBytesMax: 64, uses: new Set(allUses) };
  const options = { ...drawn, load };
  const commands = new DrawnCommands(options, random);
  const sessions = new Sessions(random);
  const machine = new KvMachine({ history: options.settings.history });
  const reference = new Reference();
  const states = new States(reference);
  let time = 0;
  for (let index = 1; index <= count; index++) {
    time += random.below(200);
    const command = draw(commands, sessions, random, index);
    const payload = encodeCommand(index === 1 ? configure(options.settings.history) : command);
    stampCommand(payload, time);
    const result = machine.apply({ payload });
    if (result.type === "lease") commands.granted(result.lease);
    const { wrong } = reference.applied({ index, term: 1, crc: 0, payload }, result, index);
    const differs = wrong ?? states.wrong(index, machine, "sometimes");
    if (differs !== null) return differs;
  }
  return states.wrong(count, machine, "always");
}

function configure(history: { readonly revisionsMax: number; readonly bytesMax: number }): Command {
  return { type: "configure", history };
}

function draw(
  commands: DrawnCommands,
  sessions: Sessions,
  random: Random,
  number: number,
): Command {
  if (random.chance(0.1)) return { type: "expire" };
  const again = sessions.repeat(1);
  if (again !== null) {
    sessions.ended(1, again, "answered");
    return again;
  }
  const command = commands.write(number);
  if (random.chance(0.6)) return command;
  const keyed = sessions.keyed(1, number, command);
  sessions.ended(1, keyed, random.chance(0.5) ? "answered" : "unknown");
  return keyed;
}

describe("the model of the store", () => {
  it("gives the machine's results and states for drawn commands", () => {
    for (let seed = 1n; seed <= 8n; seed++) {
      assert.equal(compare(seed, 300), null, `seed ${seed}`);
    }
  });
});

describe("the oracle of the cluster's time", () => {
  it("accepts stamps that fall behind, and those that go on as fast as clocks may", () => {
    const time = new ClusterTime(0.1);
    for (const [index, seconds, stampMs] of [[1, 1, 1100], [2, 2, 1500], [3, 3, 2600]] as const) {
      time.begun(index, 1, seconds * 1_000_000);
      assert.equal(time.stamped(index, 1, stampMs), null);
    }
  });
  it("finds a stamp that gained on one before it, however far that was behind", () => {
    const time = new ClusterTime(0.1);
    for (const [index, seconds] of [[1, 1], [2, 2], [3, 3]] as const) {
      time.begun(index, 1, seconds * 1_000_000);
    }
    assert.equal(time.stamped(1, 1, 1000), null);
    assert.equal(time.stamped(2, 1, 1010), null);
    assert.match(time.stamped(3, 1, 2900) ?? "", /gained 790 ms on the fastest clock since 2/);
  });
});
