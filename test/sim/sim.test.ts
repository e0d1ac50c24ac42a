import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { readArguments, seedOf } from "./arguments.ts";
import { commit } from "./commit.ts";
import { faultKinds, type Overrides } from "./options.ts";
import { Random } from "./random.ts";
import { type RunResult, simulate } from "./run.ts";
import { command, shrink } from "./shrink.ts";

const run = promisify(execFile);
const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Where there is no repository to derive seeds from. */
const seedElsewhere = 20_261_121n;
const seedsOfCommit = 6;
const secondsOfCommit = 20;

/** Seeds that failed once, with what they found. The time is just beyond the one at which they did. */
const failedOnce: readonly { seed: bigint; seconds: number; found: string }[] = [
  {
    seed: 15n,
    seconds: 60,
    found: "a machine that slept told its state's age by a clock that had stood still",
  },
  { seed: 71n, seconds: 60, found: "the same, on a leader" },
  {
    seed: 1006n,
    seconds: 36,
    found: "a flipped bit in identity.json made another first configuration",
  },
];

async function holds(seed: bigint, overrides: Overrides): Promise<RunResult> {
  const result = await simulate(seed, overrides);
  const text = `${result.failure}\nagain: ${command(seed, overrides)}\n${result.trace.tail()}`;
  assert.equal(result.failure, null, text);
  return result;
}

describe("the simulator", () => {
  it("gives the same trace for the same seed, twice and on every runtime", async () => {
    const again = [main, "--seed", "23", "--seconds", "8"];
    const hashes = await Promise.all([
      ["node", ...again],
      ["node", ...again],
      ["bun", ...again],
      ["deno", "run", "--no-check", "--allow-all", ...again],
    ].map(async ([runtime = "", ...args]) => {
      const env = { ...process.env, PATH: `${root}node_modules/.bin:${process.env["PATH"]}` };
      const { stdout } = await run(runtime, args, { cwd: root, env });
      return /trace hash ([0-9a-f]{16})/.exec(stdout)?.[1];
    }));
    assert.match(hashes[0] ?? "", /^[0-9a-f]{16}$/);
    assert.deepEqual(new Set(hashes).size, 1, hashes.join());
  });

  it("gives another trace for another seed", async () => {
    const one = await holds(1n, { seconds: 2 });
    const other = await holds(2n, { seconds: 2 });
    assert.notEqual(one.hash, other.hash);
  });

  it("elects, serves and agrees where nothing goes wrong, whatever the size", async () => {
    for (let nodes = 1; nodes <= 7; nodes++) {
      const { operations, recoverySeconds } = await holds(3n, {
        nodes,
        seconds: 3,
        faults: new Set(),
        clients: 4,
        thinkMs: 100,
      });
      assert.ok(operations > 50, `${operations} operations on ${nodes} nodes`);
      assert.ok(recoverySeconds < 15);
    }
  });

  const head = commit();
  const first = head === null ? seedElsewhere : seedOf(head);
  for (let i = 0n; i < seedsOfCommit; i++) {
    it(`holds for seed ${first + i}, of this commit`, async () => {
      await holds(first + i, { seconds: secondsOfCommit });
    });
  }

  for (const { seed, seconds, found } of failedOnce) {
    it(`holds for seed ${seed}, which found that ${found}`, async () => {
      await holds(seed, { seconds });
    });
  }

  it("finds a defect, and makes the run that shows it smaller", async () => {
    // A log that is asked to hold more than a crash leaves of it: lies about syncs are a defect of the disk.
    const overrides: Overrides = { nodes: 3, seconds: 30, faults: new Set(["powerCuts", "loss"]) };
    const result = await simulate(5n, { ...overrides, lyingDisk: true });
    assert.notEqual(result.failure, null);
    const smaller = await shrink(result, { ...overrides, lyingDisk: true }, () => {});
    assert.notEqual(smaller.result.failure, null);
    assert.ok(smaller.result.simulatedSeconds <= result.simulatedSeconds);
    assert.ok(smaller.overrides.without?.has("loss"));
  });
});

describe("the simulator's randomness", () => {
  it("draws streams that don't depend on each other, and stay within their bounds", () => {
    const a = new Random(7n, "a");
    const b = new Random(7n, "b");
    assert.notDeepEqual([a.bits(), a.bits()], [b.bits(), b.bits()]);
    assert.equal(new Random(7n, "a").bits(), new Random(7n, "a").bits());
    let sum = 0;
    for (let i = 0; i < 20_000; i++) {
      const drawn = a.exponential(10);
      assert.ok(drawn >= 0 && a.below(3) < 3 && a.next() < 1);
      const scaled = a.scaled(1, 300);
      assert.ok(scaled >= 1 && scaled <= 300);
      sum += drawn;
    }
    assert.ok(Math.abs(sum / 20_000 - 10) < 0.5, `mean ${sum / 20_000}`);
  });
});

describe("the simulator's command line", () => {
  it("reads what it needs to run a seed again", () => {
    const { seed, overrides } = readArguments(
      command(9n, { seconds: 5, faults: new Set(["loss"]), without: new Set(["kills"]) })
        .split(" ").slice(4),
    );
    assert.equal(seed, 9n);
    assert.deepEqual(overrides, {
      seconds: 5,
      faults: new Set(["loss"]),
      without: new Set(["kills"]),
    });
  });

  it("refuses what it doesn't take, in one line", () => {
    for (const bad of [["--seed", "x"], ["--seconds", "0"], ["--without", "rain"], ["--what"]]) {
      assert.throws(() => readArguments(bad), /--/);
    }
    assert.ok(faultKinds.length > 20);
  });
});
