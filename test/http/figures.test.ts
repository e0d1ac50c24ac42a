import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { InvariantViolation } from "../../src/assert.ts";
import { Figures, seriesMax } from "../../src/http/metrics/figures.ts";
import { utf8Length } from "../../src/http/text.ts";

const lines = (figures: Figures<null>): readonly string[] => figures.text(null).split("\n");

describe("figures", () => {
  it("are told with HELP and TYPE, labels escaped", () => {
    const figures = new Figures<null>();
    figures.counters("c_total", "Of each.", ["what"]).of('a"b\\c\nd').add(2);
    figures.gauge("g", "Now.", () => -Infinity);
    figures.gauge("none", "Not known.", () => null);
    assert.deepEqual(lines(figures), [
      "# HELP c_total Of each.",
      "# TYPE c_total counter",
      'c_total{what="a\\"b\\\\c\\nd"} 2',
      "# HELP g Now.",
      "# TYPE g gauge",
      "g -Inf",
      "# HELP none Not known.",
      "# TYPE none gauge",
      "",
    ]);
  });

  it("count an observation in each bucket whose bound it does not exceed", () => {
    const figures = new Figures<null>();
    const distribution = figures.histograms("h", "Of each.", ["to"], [1, 2]).of("n2");
    for (const value of [0.5, 1, 1.5, 2, 3]) distribution.observe(value);
    assert.deepEqual(lines(figures).slice(2, -1), [
      'h_bucket{to="n2",le="1"} 2',
      'h_bucket{to="n2",le="2"} 4',
      'h_bucket{to="n2",le="+Inf"} 5',
      'h_sum{to="n2"} 8',
      'h_count{to="n2"} 5',
    ]);
  });

  it("are the same series for the same labels, and bounded in number", () => {
    const figures = new Figures<null>();
    const counters = figures.counters("c_total", "Of each.", ["a", "b"]);
    assert.equal(counters.of("x", "y"), counters.of("x", "y"));
    for (let n = 0; n < 2 * seriesMax; n++) counters.of(`${n}`, "y").add();
    const told = lines(figures).filter((line) => line.startsWith("c_total"));
    assert.equal(told.length, seriesMax + 1);
    const sum = told.reduce((all, line) => all + Number(line.split(" ").at(-1)), 0);
    assert.equal(sum, 2 * seriesMax);
    assert.ok(told.some((line) => line.startsWith('c_total{a="other",b="other"}')));
  });

  it("refuse a name twice, and one that Prometheus would not take", () => {
    const figures = new Figures<null>();
    figures.counter("c_total", "Once.");
    assert.throws(() => figures.counter("c_total", "Twice."), InvariantViolation);
    assert.throws(() => figures.gauge("C-1", "Bad.", () => 1), InvariantViolation);
    assert.throws(() => figures.gauge("g", "Two\nlines.", () => 1), InvariantViolation);
  });
});

describe("utf8Length", () => {
  for (const text of ["", "abc", "é\u07ff", "\u0800€", "😀a😀"]) {
    it(`of ${JSON.stringify(text)}`, () => {
      assert.equal(utf8Length(text), new TextEncoder().encode(text).length);
    });
  }
});
