/** What three nodes tell Prometheus, and what the README, the dashboard and the alerts make of it. */
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { parse as parseYaml } from "yaml";
import { type EmbeddedKv, open } from "../../src/mod.ts";
import { root } from "../matrix/harness/node-process.ts";
import { familiesIn, type Family } from "./exposition.ts";
import { Trio } from "./trio.ts";

const deployed = (name: string): string =>
  readFileSync(join(root, "runtimes/deploy", name), "utf8");

/** What Prometheus itself adds. */
const addedLabels = ["job", "instance"];
const addedMetrics = ["up"];

interface Selector {
  readonly metric: string;
  readonly labels: readonly string[];
}

/** What a PromQL expression selects; fails where it is none. */
function selectorsIn(expression: string): readonly Selector[] {
  const selectors: { metric: string; labels: string[] }[] = [];
  parser.parse(expression).iterate({
    enter: ({ type, name, from, to }) => {
      assert.ok(!type.isError, `not PromQL at ${from}: ${expression}`);
      const text = expression.slice(from, to);
      if (name === "VectorSelector") selectors.push({ metric: "", labels: [] });
      const selector = selectors.at(-1);
      if (name === "Identifier" && selector?.metric === "") selector.metric = text;
      if (name === "UnquotedLabelMatcher") selector?.labels.push(/^\w+/.exec(text)?.[0] ?? "");
    },
  });
  assert.ok(selectors.length > 0, expression);
  return selectors;
}

describe("metrics", () => {
  let directory: string;
  let trio: Trio<EmbeddedKv>;
  let scrapes: ReadonlyMap<string, Family>[];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-"));
    const options = (id: string) => ({ data: join(directory, id) });
    trio = await Trio.start({ base: "", open, options });
    await Promise.all(trio.programs.map(({ replica }) => replica.ready));
    for (const { url } of trio.programs) {
      const put = await fetch(`${url}/v1/kv/a%22%0Ab`, { method: "PUT", body: "1" });
      assert.ok(put.ok);
      await put.text();
      for (const path of ["/v1/kv/a%22%0Ab", "/v1/kv/absent", "/nothing", "/readyz"]) {
        await (await fetch(url + path)).text();
      }
      await (await fetch(`${url}/v1/kv`, { method: "PATCH" })).text();
    }
    // Behind all of the puts, on each node.
    for (const { url } of trio.programs) await (await fetch(`${url}/v1/kv/a%22%0Ab`)).text();
    scrapes = await Promise.all(trio.programs.map(async ({ url }) => {
      const response = await fetch(`${url}/metrics`);
      assert.equal(response.status, 200);
      return familiesIn(await response.text());
    }));
  });
  after(async () => {
    await trio[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  /** The sum of one family's series that have these labels, over all nodes. */
  function total(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const all = scrapes.flatMap((families) => families.get(name)?.series ?? []);
    const asked = all.filter((each) =>
      Object.entries(labels).every(([label, value]) => each.labels[label] === value)
    );
    return asked.reduce((sum, { value }) => sum + value, 0);
  }

  /** Fails unless `expression` is PromQL, of metrics that a scrape has, with labels that they have. */
  function assertAnswerable(expression: string): void {
    for (const { metric, labels } of selectorsIn(expression)) {
      if (addedMetrics.includes(metric)) continue;
      const base = metric.replace(/_(bucket|sum|count)$/, "");
      for (const families of scrapes) {
        assert.ok(families.has(metric) || families.get(base)?.type === "histogram", metric);
      }
      const series = scrapes.flatMap((families) =>
        (families.get(metric) ?? families.get(base))?.series ?? []
      );
      const known = new Set([
        ...addedLabels,
        ...series.flatMap((each) => Object.keys(each.labels)),
      ]);
      for (const label of series.length > 0 ? labels : []) {
        assert.ok(known.has(label), `${metric} has no label ${label}`);
      }
    }
  }

  it("are the same families on all nodes, each with HELP and TYPE, in Prometheus' format", () => {
    const [first, ...others] = scrapes.map((families) => [...families.keys()]);
    for (const names of others) assert.deepEqual(names, first);
    // These walk the heap under Bun: a scrape would hold up a large node for as long as an election takes.
    assert.deepEqual(first?.filter((name) => name.startsWith("nodejs_heap_space_")), []);
    for (const { name, type, help } of scrapes[0]?.values() ?? []) {
      if (!name.startsWith("holdfast_")) continue;
      assert.equal(type === "counter", name.endsWith("_total"), `${name} is a ${type}`);
      assert.ok(!/_(bucket|count|sum|info)$/.test(name) || name === "holdfast_build_info", name);
      assert.match(help, /^\S.{8,}\.$/, `${name}: ${help}`);
    }
  });

  it("tell what was asked, what it took, and who leads", () => {
    const route = "/v1/kv/{key}";
    assert.equal(total("holdfast_http_requests_total", { route, method: "PUT", status: "201" }), 1);
    assert.equal(total("holdfast_http_requests_total", { route, method: "PUT", status: "200" }), 2);
    assert.equal(total("holdfast_http_requests_total", { route, method: "GET", status: "404" }), 3);
    assert.equal(total("holdfast_http_requests_total", { method: "other", status: "405" }), 3);
    assert.ok(total("holdfast_http_refusals_total", { code: "not_found" }) >= 3);
    assert.equal(total("holdfast_server_is_leader"), 1);
    assert.equal(total("holdfast_server_has_leader"), 3);
    assert.ok(total("holdfast_server_elections_won_total") >= 1);
    assert.equal(total("holdfast_mvcc_commands_total", { type: "put" }), 9);
    assert.equal(total("holdfast_mvcc_keys"), 3);
    assert.equal(total("holdfast_mvcc_current_revision"), 9);
    assert.ok(total("holdfast_network_peer_sent_messages_total", { type: "forward" }) >= 2);
    assert.ok(total("holdfast_network_active_peers") <= 2);
    const count = (name: string): number =>
      scrapes.flatMap((families) => families.get(name)?.series ?? [])
        .filter((each) => each.name === `${name}_count`)
        .reduce((sum, { value }) => sum + value, 0);
    assert.ok(count("holdfast_disk_wal_fsync_duration_seconds") >= 3);
    assert.ok(count("holdfast_network_peer_round_trip_time_seconds") >= 2);
    assert.ok(count("holdfast_server_read_index_duration_seconds") >= 6);
    assert.ok(count("holdfast_disk_backend_commit_duration_seconds") >= 3);
  });

  it("are those of the README's table, no more and no less", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const [, table = ""] = /^## Watch it run$(.*?)^## /ms.exec(readme) ?? [];
    const told = table.split("\n").filter((line) => line.startsWith("| `holdfast_"))
      .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    const exposed = [...scrapes[0]?.values() ?? []]
      .filter(({ name }) => name.startsWith("holdfast_"))
      .map(({ name, type, help }) => [`\`${name}\``, type, help.replace(/\.$/, "")]);
    assert.equal(
      new Set(told.map(([name]) => name)).size,
      told.length,
      "a metric stands there twice",
    );
    const rows = told.map(([name = "", type = "", _labels, what = ""]) => [name, type, what]);
    const text = (lines: readonly (readonly string[])[]) => lines.map((cells) => cells.join(" | "));
    const lacks = text(exposed).filter((row) => !text(rows).includes(row));
    const surplus = text(rows).filter((row) => !text(exposed).includes(row));
    assert.deepEqual({ lacks, surplus }, { lacks: [], surplus: [] });
  });

  it("have all that the alert rules ask for", () => {
    const { groups } = parseYaml(deployed("alerts.yaml")) as {
      groups: { rules: { alert: string; expr: string; labels: object; annotations: object }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    assert.ok(rules.length > 20);
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
    for (const { alert, expr, labels, annotations } of rules) {
      assert.match(alert, /^Holdfast[A-Z]/);
      assert.deepEqual(Object.keys(labels), ["severity"], alert);
      assert.deepEqual(Object.keys(annotations), ["summary", "description"], alert);
      assertAnswerable(expr);
    }
  });

  it("have all that the dashboard shows", () => {
    const { panels, templating } = JSON.parse(deployed("grafana-dashboard.json")) as {
      panels: {
        id: number;
        type: string;
        targets?: { expr: string }[];
        gridPos: { x: number; y: number; w: number; h: number };
      }[];
      templating: { list: { name: string }[] };
    };
    assert.deepEqual(templating.list.map(({ name }) => name), ["datasource", "job", "instance"]);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    assert.equal(new Set(panels.map(({ gridPos: { x, y } }) => `${x},${y}`)).size, panels.length);
    const graphs = panels.filter(({ type }) => type !== "row");
    assert.ok(graphs.length > 40);
    for (const { targets } of graphs) {
      assert.ok(targets !== undefined && targets.length > 0);
      for (const { expr } of targets) assertAnswerable(expr.replaceAll("$__rate_interval", "5m"));
    }
  });
});
