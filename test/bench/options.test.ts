import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { stepsOf } from "../../bench/growth.ts";
import { BadUsage, help, readOptions } from "../../bench/options.ts";
import { root, run } from "../matrix/harness/node-process.ts";

describe("the bench's command line", () => {
  it("runs the quick rows by default, and none where growth is asked for", () => {
    assert.deepEqual(readOptions([])?.rows, ["put", "get", "batch", "failover", "disk"]);
    assert.deepEqual(readOptions(["--growth", "keys"])?.rows, []);
    assert.deepEqual(readOptions(["--growth", "keys", "--rows", "put"])?.rows, ["put"]);
    assert.equal(readOptions(["--rows", "all", "--growth", "all"])?.rows.length, 11);
    assert.equal(readOptions(["--help"]), null);
  });

  it("takes outstanding requests for puts and gets alike", () => {
    assert.deepEqual(readOptions([])?.outstanding, { put: [1024, 256, 64, 1], get: [256, 64] });
    assert.deepEqual(readOptions(["--outstanding", "8,1"])?.outstanding, {
      put: [8, 1],
      get: [8, 1],
    });
  });

  it("names the flag that is wrong, and what it takes", () => {
    const wrong: readonly (readonly [string, string])[] = [
      ["--against", "redis"],
      ["--rows", "put,speed"],
      ["--growth", "users"],
      ["--runtimes", "php"],
      ["--rounds", "0"],
      ["--seconds", "1.5"],
      ["--outstanding", "1,many"],
      ["--value-bytes", "8"],
      ["--driver", "ab"],
    ];
    for (const [flag, text] of wrong) {
      assert.throws(() => readOptions([flag, text]), (error) => {
        assert.ok(error instanceof BadUsage);
        assert.match(error.message, new RegExp(`^${flag} takes .*, not `));
        return true;
      });
    }
    assert.throws(() => readOptions(["--speed", "9"]), BadUsage);
  });

  it("names every flag in its help", () => {
    const flags = ["against", "runtimes", "rows", "growth", "seconds", "rounds", "outstanding"];
    for (
      const flag of [
        ...flags,
        "keys",
        "big-keys",
        "value-bytes",
        "streams",
        "driver",
        "json",
        "overload-seconds",
      ]
    ) {
      assert.match(help, new RegExp(`^  --${flag}\\b`, "m"));
    }
  });

  it("lets growth in keys end at the big number, whatever it is", () => {
    const options = readOptions(["--big-keys", "20000"]);
    assert.ok(options !== null);
    assert.deepEqual(stepsOf("keys", options).map(({ keys }) => keys), [1000, 10_000, 20_000]);
  });

  it("ends with 2 for a wrong command line, and with 0 for help", async () => {
    const bench = (...args: string[]) =>
      run([join(root, "node_modules/.bin/node"), join(root, "bench/main.ts"), ...args]);
    const wrong = await bench("--rows", "speed");
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /^bench: --rows takes all, or some of put,.*not speed\n$/);
    const asked = await bench("--help");
    assert.equal(asked.status, 0);
    assert.equal(asked.stdout, help);
  });
});
