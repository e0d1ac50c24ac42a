import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readH2load } from "../../bench/h2load.ts";
import { sectionOf } from "../../bench/rows/throughput.ts";
import { spread, table } from "../../bench/table.ts";
import { judge, verdictCell, verdictTable } from "../../bench/targets.ts";
import { type Measured, median, quantile } from "../../bench/workload.ts";

const printed = `
finished in 2.06s, 100.50 req/s, 540.97KB/s
requests: 456 total, 456 started, 200 done, 200 succeeded, 3 failed, 0 errored, 0 timeout
status codes: 200 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.06MB (1107906) total, 33.35KB (34152) headers (space savings 94.72%), 532.63KB (545416) data
`;

function measured(perSecond: number): Measured {
  const mean = 256_000 / perSecond;
  return { perSecond, mean, p50: mean, p99: 2 * mean, succeeded: perSecond, failed: 0 };
}

describe("figures", () => {
  it("reads h2load's summary, and latencies of answers alone from its log", () => {
    const log = "1795240864450279\t200\t1000\n1795240864450277\t-1\t9000000\n1\t200\t3000\n";
    assert.deepEqual(readH2load(printed, log), {
      ...{
        perSecond: 100.5,
        mean: 2,
        p50: 3,
        p99: 3,
        succeeded: 200,
        failed: 3,
        bodyBytes: 545416,
      },
    });
  });

  it("refuses what h2load never prints", () => {
    assert.throws(() => readH2load("finished", "1\t200\t1\n"), /not understood/);
    assert.throws(() => readH2load(printed, ""), /not understood/);
  });

  it("has the median of odd and even numbers of rounds, and quantiles", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.equal(quantile([1, 2, 3, 4], 0.99), 4);
    assert.equal(spread([3, 1, 2], String), "2 (1–3)");
  });

  it("judges a ratio in the direction of its target, each runtime by its own", () => {
    assert.equal(verdictCell(judge("putRate", "bun", 2.5)), "2.50 (≥ 2.5, met)");
    assert.equal(verdictCell(judge("putRate", "deno", 1.99)), "1.99 (≥ 2, not met)");
    assert.equal(verdictCell(judge("putP99", "node", 1)), "1.00 (≤ 1, met)");
    assert.equal(verdictCell(judge("disk", "node", 1.31)), "1.31 (≤ 1.3, not met)");
    const text = verdictTable([judge("disk", "bun", 1), judge("disk", "node", 2)]);
    assert.equal(text.split("\n").length, 3);
  });

  it("puts targets beside ratios at 256 outstanding, and latency's at 1", () => {
    const base = { runtime: "bun", hono: [measured(10_000)] } as const;
    const { rows, verdicts } = sectionOf([
      {
        ...base,
        method: "PUT",
        outstanding: 256,
        holdfast: [measured(6000)],
        etcd: [measured(2000)],
      },
      {
        ...base,
        method: "PUT",
        outstanding: 64,
        holdfast: [measured(6000)],
        etcd: [measured(2000)],
      },
      { ...base, method: "PUT", outstanding: 1, holdfast: [measured(500)], etcd: [measured(1000)] },
      { ...base, method: "GET", outstanding: 256, holdfast: [measured(6000)], etcd: [] },
    ]);
    assert.deepEqual(verdicts.map(({ target, met }) => [target, met]), [
      ["putRate", true],
      ["putP99", true],
      ["putHono", true],
      ["putAlone", false],
    ]);
    assert.equal(rows[0]?.[10], "3.00 (≥ 2.5, met)");
    assert.equal(rows[1]?.[10], "3.00");
    assert.equal(rows[3]?.[10], "–");
  });

  it("aligns a table by its widest cells", () => {
    assert.equal(table(["a", "bb"], [["ccc", "d"]]), "|   a | bb |\n|----:|---:|\n| ccc |  d |");
  });
});
