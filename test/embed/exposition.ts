/** Prometheus' text format 0.0.4, read as strictly as it is written down. */
import assert from "node:assert/strict";

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly series: Series[];
}

const types: ReadonlySet<string> = new Set(["counter", "gauge", "histogram", "summary", "untyped"]);
const endings: Readonly<Record<string, readonly string[]>> = {
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"],
};
const sampleForm = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const labelForm = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

/** The families of a scrape by name; fails where anything about it is not as it has to be. */
export function familiesIn(text: string): ReadonlyMap<string, Family> {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const families = new Map<string, Family>();
  let current: Family | null = null;
  let help: { readonly name: string; readonly text: string } | null = null;
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "") continue;
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment;
      if (kind === "HELP") {
        help = { name, text: rest };
        continue;
      }
      assert.equal(help?.name, name, `HELP comes before TYPE: ${line}`);
      assert.ok(types.has(rest), line);
      assert.ok(!families.has(name), `one TYPE for ${name}`);
      current = { name, help: help?.text ?? "", type: rest, series: [] };
      families.set(name, current);
      continue;
    }
    assert.ok(current !== null && !line.startsWith("#"), line);
    current.series.push(seriesIn(line, current));
  }
  for (const family of families.values()) check(family);
  return families;
}

function seriesIn(line: string, { name: family, type }: Family): Series {
  const [, name = "", inner, number = ""] = sampleForm.exec(line) ?? [];
  const names = (endings[type] ?? [""]).map((ending) => family + ending);
  assert.ok(names.includes(name), `${line}: among those of ${family}`);
  const value = number === "+Inf" ? Infinity : number === "-Inf" ? -Infinity : Number(number);
  // As Go reads them.
  assert.ok(/^nan$/i.test(number) || !Number.isNaN(value), line);
  return { name, labels: inner === undefined ? {} : labelsIn(inner, line), value };
}

function labelsIn(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let at = 0; at < text.length; at = labelForm.lastIndex) {
    labelForm.lastIndex = at;
    const [, name = "", value = ""] = labelForm.exec(text) ?? assert.fail(`labels of ${line}`);
    assert.ok(!Object.hasOwn(labels, name), `${line}: ${name} once`);
    labels[name] = value;
  }
  return labels;
}

function check(family: Family): void {
  const { name, type, series } = family;
  const keys = series.map((each) => JSON.stringify([each.name, each.labels]));
  assert.equal(new Set(keys).size, keys.length, `${name}: each series once`);
  if (type === "counter") {
    for (const { value } of series) assert.ok(value >= 0, `${name} is not negative`);
  }
  if (type === "histogram") checkHistogram(family);
}

/** Buckets in order, cumulative, up to the count. */
function checkHistogram({ name, series }: Family): void {
  const groups = Map.groupBy(
    series,
    ({ labels }) => JSON.stringify({ ...labels, le: undefined }),
  );
  for (const [labels, group] of groups) {
    const buckets = group.filter((each) => each.name === `${name}_bucket`);
    const bounds = buckets.map((each) =>
      Number((each.labels["le"] ?? "").replace("+Inf", "Infinity"))
    );
    assert.ok(bounds.length > 1 && bounds.at(-1) === Infinity, `${name}${labels} ends with +Inf`);
    for (const [at, { value }] of buckets.entries()) {
      assert.ok(at === 0 || bounds[at]! > bounds[at - 1]!, `${name}${labels}: bounds ascend`);
      assert.ok(at === 0 || value >= buckets[at - 1]!.value, `${name}${labels}: is cumulative`);
    }
    const count = group.find((each) => each.name === `${name}_count`);
    assert.equal(count?.value, buckets.at(-1)?.value, `${name}${labels}: _count`);
    assert.ok(group.some((each) => each.name === `${name}_sum`), `${name}${labels}: _sum`);
  }
}
