import assert from "node:assert/strict";
import { it } from "node:test";
import { PeerClocks } from "../../src/adapters/peer-clocks.ts";

it("tells once a minute of a peer whose clock is too far away, and when it agrees again", () => {
  let now = 0;
  const lines: string[] = [];
  const clock = {
    now: () => now,
    wallNow: () => now,
    timer: () => () => {},
    yield: async () => {},
  };
  const clocks = new PeerClocks(
    clock,
    (level, message, fields) => lines.push(`${level} ${message} ${String(fields?.["peer"])}`),
  );
  const refused = "error a peer's clock and ours are too far apart: its messages are refused";
  clocks.heard("n2", 1500, false);
  assert.deepEqual([...clocks.offsets()], [["n2", 1500]]);
  for (; now < 60_000; now += 1000) clocks.heard("n2", 3_600_000, true);
  assert.deepEqual(lines, [`${refused} n2`]);
  clocks.heard("n2", 3_600_000, true);
  assert.equal(lines.length, 2);
  clocks.heard("n2", 3, false);
  clocks.heard("n2", 4, false);
  assert.deepEqual(lines.slice(2), ["info a peer's clock agrees with ours again n2"]);
  for (let n = 0; n < 1000; n++) clocks.heard(`stranger-${n}`, 0, false);
  assert.equal(clocks.offsets().size, 256, "it is bounded");
});
