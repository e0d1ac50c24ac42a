/** What a request's way looks like to an OpenTelemetry SDK: one trace over two nodes, and no key or value in it. */
import { after, before, beforeEach, describe, it } from "node:test";
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpanKind, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { openTelemetry } from "../../src/adapters/open-telemetry.ts";
import { type EmbeddedKv, open } from "../../src/mod.ts";
import { Trio } from "./trio.ts";

const secretKey = "marker-of-a-key";
const secretValue = "marker-of-a-value";
const caller = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
const traceparent = `00-${caller.traceId}-${caller.spanId}-01`;
const waitMs = 10_000;

describe("tracing", () => {
  const exporter = new InMemorySpanExporter();
  let directory: string;
  let trio: Trio<EmbeddedKv>;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-"));
    assert.equal(openTelemetry("0"), null, "nobody has registered an SDK");
    const provider = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(exporter)],
    });
    assert.ok(trace.setGlobalTracerProvider(provider));
    const options = (id: string) => ({ data: join(directory, id) });
    trio = await Trio.start({ base: "", open, options });
    await Promise.all(trio.programs.map(({ replica }) => replica.ready));
  });
  after(async () => {
    await trio[Symbol.asyncDispose]();
    trace.disable();
    await rm(directory, { recursive: true });
  });
  beforeEach(() => exporter.reset());

  /** Resolves with the spans of the request once all of these names are among them. */
  async function spansNamed(names: readonly string[]): Promise<Map<string, ReadableSpan>> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const spans = new Map(exporter.getFinishedSpans().map((span) => [span.name, span]));
      if (names.every((name) => spans.has(name))) return spans;
      assert.ok(performance.now() < deadline, `only ${[...spans.keys()].join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async function byRole(): Promise<{ readonly leader: string; readonly follower: string }> {
    const [first, second] = trio.programs;
    assert.ok(first && second);
    const status = await (await fetch(`${first.url}/v1/status`)).json() as { leader: string };
    const leader = trio.at(status.leader);
    const follower = leader === first ? second : first;
    exporter.reset();
    return { leader: leader.url, follower: follower.url };
  }

  const put = (url: string, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/kv/${secretKey}`, { method: "PUT", body: secretValue, headers });

  const ways = ["append", "fsync", "replicate", "apply"];

  it("shows a PUT at a follower as one trace: forward, append, fsync, replicate, apply", async () => {
    const { follower } = await byRole();
    const response = await put(follower, { traceparent, tracestate: "vendor=1" });
    assert.ok(response.ok);
    const spans = await spansNamed(["PUT /v1/kv/{key}", "forward", "propose", ...ways]);
    const parentOf = (name: string) => spans.get(name)?.parentSpanContext?.spanId;
    const idOf = (name: string) => spans.get(name)?.spanContext().spanId;
    for (const span of spans.values()) {
      assert.equal(span.spanContext().traceId, caller.traceId, span.name);
      assert.equal(span.spanContext().traceState?.get("vendor"), "1", span.name);
    }
    assert.equal(parentOf("PUT /v1/kv/{key}"), caller.spanId);
    assert.equal(parentOf("forward"), idOf("PUT /v1/kv/{key}"));
    assert.equal(parentOf("propose"), idOf("forward"));
    for (const name of ways) assert.equal(parentOf(name), idOf("propose"), name);
    assert.equal(spans.get("PUT /v1/kv/{key}")?.kind, SpanKind.SERVER);
    assert.equal(spans.get("forward")?.kind, SpanKind.CLIENT);
    assert.equal(spans.get("PUT /v1/kv/{key}")?.attributes["http.response.status_code"], 201);
    assert.notEqual(
      spans.get("PUT /v1/kv/{key}")?.attributes["holdfast.node"],
      spans.get("propose")?.attributes["holdfast.node"],
    );
  });

  it("shows a PUT at the leader without a hop, and a trace of its own where none came", async () => {
    const { leader } = await byRole();
    for (
      const headers of [{}, { traceparent: "00-0-0-01" }, {
        traceparent: `00-${"0".repeat(32)}-${caller.spanId}-01`,
      }]
    ) {
      exporter.reset();
      assert.ok((await put(leader, headers)).ok);
      const spans = await spansNamed(["PUT /v1/kv/{key}", ...ways]);
      const root = spans.get("PUT /v1/kv/{key}");
      assert.equal(root?.parentSpanContext, undefined);
      assert.notEqual(root?.spanContext().traceId, caller.traceId);
      for (const name of ways) {
        assert.equal(spans.get(name)?.parentSpanContext?.spanId, root?.spanContext().spanId, name);
      }
      assert.ok(!spans.has("forward"));
    }
  });

  it("shows a GET with its confirmation, and a refusal with its code", async () => {
    const { follower } = await byRole();
    assert.equal((await fetch(`${follower}/v1/kv/${secretKey}-2`)).status, 404);
    const spans = await spansNamed(["GET /v1/kv/{key}", "read"]);
    const get = spans.get("GET /v1/kv/{key}");
    assert.equal(spans.get("read")?.parentSpanContext?.spanId, get?.spanContext().spanId);
    assert.equal(get?.attributes["holdfast.refusal"], "not_found");
  });

  it("holds no key, value, query or header of a request", async () => {
    const { follower } = await byRole();
    const marked = { "idempotency-key": secretKey, authorization: `Bearer ${secretValue}` };
    await put(follower, marked);
    await fetch(`${follower}/v1/kv?prefix=${secretKey}`);
    await fetch(`${follower}/v1/${secretKey}`);
    await fetch(`${follower}/v1/leases/${secretKey}`, { method: "DELETE" });
    await fetch(`${follower}/v1/kv/${secretKey}`, { method: "PROPFIND" });
    const spans = exporter.getFinishedSpans();
    assert.ok(spans.length >= 5);
    const told = JSON.stringify(
      spans.map((
        { name, attributes, events, status, links },
      ) => [name, attributes, events, status, links]),
    );
    assert.ok(!/marker|PROPFIND/.test(told), told);
  });
});
