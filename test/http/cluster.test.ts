import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Hono } from "hono";
import * as v from "valibot";
import { encodeCbor } from "../../src/cbor.ts";
import { NotApplied } from "../../src/errors.ts";
import { StatusAnswer } from "../../src/http/wire.ts";
import { assertProblem, fixture, json } from "./fixture.ts";

describe("GET /v1/status", () => {
  it("says what this node knows of itself and the cluster", async () => {
    const { app, put } = fixture();
    await put("a");
    const body = await json(await app.request("/v1/status"));
    assert.ok(v.is(StatusAnswer, body));
    assert.deepEqual(body, {
      id: "n1",
      clusterId: "c1",
      role: "leader",
      term: 7,
      leader: "n1",
      commit: 1,
      applied: 1,
      lastLog: 1,
      snapshot: 0,
      revision: 1,
      runtime: "test 1.0",
      version: "0.1.0",
      clusterVersion: 1,
      disk: null,
      members: [
        { id: "n1", url: "http://127.0.0.1:4001", voter: true, match: 1, lagMs: 0 },
        { id: "n2", url: "http://127.0.0.1:4002", voter: true, match: 3, lagMs: 100 },
        { id: "n3", url: "http://127.0.0.1:4003", voter: false, match: null, lagMs: null },
      ],
      change: null,
    });
  });

  it("on a follower says of itself how old its state is, and of others nothing", async () => {
    const { app, replica } = fixture();
    replica.overrides = { role: "follower", leader: "n2", progress: [] };
    replica.staleness = 40;
    const body = await json(await app.request("/v1/status"));
    const members = v.parse(StatusAnswer, body).members.map(({ match, lagMs }) => [match, lagMs]);
    assert.deepEqual(members, [[0, 40], [null, null], [null, null]]);
  });
});

describe("health", () => {
  const sound = { name: "running", ok: true, detail: "running" };
  const broken = { name: "leader", ok: false, detail: "none known" };

  it("is 200 where all checks hold", async () => {
    const { app, replica } = fixture();
    replica.checks = [sound];
    for (const path of ["/livez", "/readyz"]) {
      const response = await app.request(path);
      assert.equal(response.status, 200);
      assert.deepEqual(await json(response), { status: "ok", checks: [sound] });
    }
  });

  it("is 503 with the checks that fail", async () => {
    const { app, replica } = fixture();
    replica.checks = [sound, broken];
    assert.equal((await app.request("/livez")).status, 200);
    const body = await assertProblem(await app.request("/readyz"), 503, "not_ready");
    assert.deepEqual(body["checks"], [broken]);
    replica.checks = [{ ...sound, ok: false }];
    await assertProblem(await app.request("/livez"), 503, "not_ready");
  });
});

describe("GET /metrics", () => {
  it("tells Prometheus of role, term, log, proposals, disk and process", async () => {
    const { app, metrics, put } = fixture();
    await put("a");
    metrics.roleChanged({ role: "follower", leader: null });
    metrics.roleChanged({ role: "leader", leader: "n1" });
    metrics.roleChanged({ role: "follower", leader: null });
    metrics.roleChanged({ role: "follower", leader: "n2" });
    metrics.persisted(0.003);
    metrics.written(0.001, 4096);
    metrics.proposalEnded("ok", 0.0015);
    metrics.proposalEnded("unknown", 2);
    metrics.snapshotWritten(0.5);
    const response = await app.request("/metrics");
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const lines = new Set((await response.text()).split("\n"));
    for (
      const line of [
        'holdfast_server_role{role="leader"} 1',
        'holdfast_server_role{role="follower"} 0',
        "holdfast_cluster_version 1",
        'holdfast_membership_members{kind="voter"} 2',
        'holdfast_membership_members{kind="learner"} 1',
        "holdfast_membership_change_in_progress 0",
        "holdfast_server_has_leader 1",
        "holdfast_server_is_leader 1",
        "holdfast_server_term 7",
        "holdfast_server_leader_changes_seen_total 2",
        "holdfast_server_proposals_committed_total 1",
        "holdfast_server_proposals_applied_total 1",
        "holdfast_server_proposals_pending 2",
        "holdfast_server_proposals_ok_total 1",
        'holdfast_server_proposals_failed_total{outcome="unknown"} 1',
        'holdfast_server_proposals_failed_total{outcome="not_applied"} 0',
        'holdfast_disk_wal_persist_duration_seconds_bucket{le="0.002"} 0',
        'holdfast_disk_wal_persist_duration_seconds_bucket{le="0.004"} 1',
        "holdfast_disk_wal_write_bytes_total 4096",
        'holdfast_disk_backend_commit_duration_seconds_bucket{le="0.002"} 1',
        "holdfast_disk_backend_snapshot_duration_seconds_count 1",
        "holdfast_mvcc_current_revision 1",
        "holdfast_mvcc_keys 1",
        "holdfast_mvcc_watchers 0",
      ]
    ) {
      assert.ok(lines.has(line), line);
    }
    assert.ok([...lines].some((line) => line.startsWith("process_cpu_seconds_total ")));
  });

  it("keeps the figures of two nodes in one process apart", async () => {
    const [one, two] = [fixture(), fixture()];
    one.metrics.proposalEnded("ok", 0.1);
    assert.match(await (await one.app.request("/metrics")).text(), /proposals_ok_total 1/);
    assert.match(await (await two.app.request("/metrics")).text(), /proposals_ok_total 0/);
  });
});

describe("GET /v1/log", () => {
  it("shows entries with their commands decoded, large values by their size", async () => {
    const { app, send, put, replica } = fixture();
    const headers = { "content-type": "text/plain", "if-match": "*" };
    await put("a", "small");
    await send("PUT", "/v1/kv/%FF", { body: Uint8Array.of(255) });
    await send("PUT", "/v1/kv/b", { body: "x".repeat(129), headers });
    await send("DELETE", "/v1/kv/a");
    await send("DELETE", "/v1/kv?prefix=a");
    const configuration = new TextEncoder().encode('{"voters":["n1"]}');
    replica.log.push({ index: 6, term: 7, kind: "configuration", payload: configuration });
    replica.log.push({ index: 7, term: 7, kind: "empty", payload: new Uint8Array() });
    replica.log.push({ index: 8, term: 7, kind: "command", payload: encodeCbor([2]) });
    const body = await json(await app.request("/v1/log"));
    assert.deepEqual([body["firstIndex"], body["lastIndex"], body["commit"]], [1, 8, 8]);
    const entries = body["entries"];
    assert.ok(Array.isArray(entries));
    const octets = "application/octet-stream";
    assert.deepEqual(entries.map((entry) => entry.command ?? entry.configuration), [
      {
        type: "put",
        key: "a",
        valueBytes: 5,
        value: "small",
        contentType: "text/plain",
        conditions: [],
      },
      {
        type: "put",
        key: { base64: "/w==" },
        valueBytes: 1,
        value: { base64: "/w==" },
        contentType: octets,
        conditions: [],
      },
      {
        type: "put",
        key: "b",
        valueBytes: 129,
        contentType: "text/plain",
        conditions: [{ type: "exists" }],
      },
      { type: "delete", key: "a", conditions: [] },
      { type: "deleteRange", start: "a", end: "b" },
      { voters: ["n1"] },
      undefined,
      { type: "malformed", detail: "not a command of version 1 (at byte 0)" },
    ]);
    const { index, term, kind, size } = entries[6];
    assert.deepEqual({ index, term, kind, size }, { index: 7, term: 7, kind: "empty", size: 0 });
  });

  it("begins where it is asked to, or where the log does", async () => {
    const { app, put, replica } = fixture();
    for (const key of ["a", "b", "c", "d"]) await put(key);
    const shown = async (query: string) => {
      const { entries } = await json(await app.request(`/v1/log${query}`));
      assert.ok(Array.isArray(entries));
      return entries.map((entry) => entry.index);
    };
    assert.deepEqual(await shown("?from=2&limit=2"), [2, 3]);
    assert.deepEqual(await shown("?from=5"), []);
    replica.overrides = { firstIndex: 3 };
    assert.deepEqual(await shown(""), [3, 4]);
    for (const query of ["from=0", "from=x", "limit=0", "limit=1001", "from=99999999999999999"]) {
      await assertProblem(await app.request(`/v1/log?${query}`), 400, "bad_request");
    }
  });
});

describe("PUT /v1/leader", () => {
  const put = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) => ({
    method: "PUT",
    body,
    headers,
  });

  it("hands leadership over, and says who has it", async () => {
    const { app, replica } = fixture();
    const response = await app.request("/v1/leader", put('{"id":"n2"}'));
    assert.equal(response.status, 200);
    assert.deepEqual(await json(response), { leader: "n2" });
    assert.equal(replica.transferredTo, "n2");
  });

  it("takes CBOR too", async () => {
    const { app, replica } = fixture();
    const body = encodeCbor({ id: "n2" }).slice();
    const response = await app.request(
      "/v1/leader",
      put(body, { "content-type": "application/cbor" }),
    );
    assert.equal(response.status, 200);
    assert.equal(replica.transferredTo, "n2");
  });

  it("is 503 where leadership did not change hands", async () => {
    const { app, replica } = fixture();
    replica.refusal = new NotApplied("no_leader", "not the leader");
    const response = await app.request("/v1/leader", put('{"id":"n2"}'));
    await assertProblem(response, 503, "no_leader", "not_applied");
  });

  for (const body of ["", "{", "[]", "{}", '{"id":1}', '{"id":""}', '{"id":"n9"}', '{"id":"n3"}']) {
    it(`refuses ${body || "nothing"}`, async () => {
      const { app, replica } = fixture();
      const response = await app.request("/v1/leader", put(body));
      await assertProblem(response, 400, "bad_request", "not_applied");
      assert.equal(replica.transferredTo, null);
    });
  }

  it("refuses a document that is not UTF-8, not CBOR, or too large", async () => {
    const { app } = fixture();
    const cbor = { "content-type": "application/cbor; x=y" };
    for (const init of [put(Uint8Array.of(255)), put("{}", cbor), put(Uint8Array.of(0x81), cbor)]) {
      await assertProblem(await app.request("/v1/leader", init), 400, "bad_request", "not_applied");
    }
    const large = await app.request("/v1/leader", put("x".repeat(65_537)));
    await assertProblem(large, 413, "too_large", "not_applied");
  });
});

describe("peers' routes", () => {
  it("stand beside the others", async () => {
    const peerRoutes = new Hono();
    peerRoutes.post("/raft/v1/append", (c) => c.text("reply"));
    const { app, put } = fixture({ peerRoutes });
    const response = await app.request("/raft/v1/append", { method: "POST" });
    assert.equal(await response.text(), "reply");
    await put("a");
    await assertProblem(await app.request("/raft/v1/other"), 404, "no_such_route");
  });
});
