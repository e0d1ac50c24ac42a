/** The app over a replica that is one machine and a few switches: what it is told to fail with, it fails with. */
import assert from "node:assert/strict";
import type { Hono } from "hono";
import { type AppOptions, createApp, type LogEntry, type ReplicaView } from "../../src/http/app.ts";
import { Metrics } from "../../src/http/metrics.ts";
import type { Bindings } from "../../src/http/target.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Applied, HealthCheck, ReplicaStatus } from "../../src/replica.ts";
import type { MemberRequest, MembersView } from "../../src/ports.ts";
import { FakeMembers } from "./fake-members.ts";

export class FakeReplica implements ReplicaView {
  readonly id = "n1";
  readonly machine: KvMachine = new KvMachine();
  term = 7;
  staleness: number | null = 0;
  /** The cluster's, in milliseconds: stamped into what depends on it. */
  now = 1_000_000;
  checks: readonly HealthCheck[] = [];
  overrides: Partial<ReplicaStatus> = {};
  readonly log: LogEntry[] = [];
  /** Reads asked for, by level. */
  readonly reads: string[] = [];
  /** What the next requests end with, before or after the command was applied. */
  refusal: Error | null = null;
  loss: Error | null = null;
  /** Runs before each command is applied. */
  before: () => void | Promise<void> = () => {};
  transferredTo: string | null = null;
  readonly membership: FakeMembers = new FakeMembers();

  async propose(command: Uint8Array): Promise<Applied<KvResult>> {
    await this.before();
    if (this.refusal !== null) throw this.refusal;
    const payload = command.slice();
    this.machine.housekeeping.stamp(payload, this.now);
    const index = this.log.length + 1;
    this.log.push({ index, term: this.term, kind: "command", payload });
    const result = this.machine.decodeResult(
      this.machine.encodeResult(this.machine.apply({ payload })),
    );
    if (this.loss !== null) throw this.loss;
    return { index, term: this.term, result };
  }

  async read(level: "linearizable" | "lease"): Promise<void> {
    this.reads.push(level);
    await Promise.resolve();
    if (this.refusal !== null) throw this.refusal;
  }

  time(): number {
    return this.now;
  }

  /** Lets time pass, and deletes what is due then, as a leader does. */
  pass(ms: number): void {
    this.now += ms;
    const payload = encodeCommand({ type: "expire" });
    this.machine.housekeeping.stamp(payload, this.now);
    this.machine.apply({ payload });
  }

  stalenessMs(): number | null {
    return this.staleness;
  }

  status(): ReplicaStatus {
    return {
      id: this.id,
      clusterId: "c1",
      role: "leader",
      term: this.term,
      vote: "n1",
      leader: "n1",
      commit: this.log.length,
      applied: this.log.length,
      lastIndex: this.log.length,
      lastTerm: this.term,
      firstIndex: 1,
      snapshotIndex: 0,
      configuration: this.membership.configuration,
      progress: [{ id: "n2", match: 3, state: "replicate", lastReply: 900 }],
      pendingProposals: 2,
      persistLagMs: 5,
      room: null,
      ...this.overrides,
    };
  }

  entries(from: number, limit: number): readonly LogEntry[] {
    return this.log.slice(from - 1, from - 1 + limit);
  }

  health(): { readonly live: readonly HealthCheck[]; readonly ready: readonly HealthCheck[] } {
    return { live: this.checks.slice(0, 1), ready: this.checks };
  }

  members(): MembersView {
    return this.membership.view;
  }

  /** As with `propose`: a refusal comes before anything was done, a loss after it. */
  async changeMembers(request: MemberRequest): Promise<MembersView> {
    await this.before();
    if (this.refusal !== null) throw this.refusal;
    const view = this.membership.change(request);
    if (this.loss !== null) throw this.loss;
    return view;
  }

  transferLeadership(target: string | null): Promise<string> {
    if (this.refusal !== null) return Promise.reject(this.refusal);
    this.transferredTo = target;
    return Promise.resolve(target ?? "n2");
  }
}

export interface Fixture {
  readonly app: Hono<{ Bindings: Bindings }>;
  readonly replica: FakeReplica;
  readonly metrics: Metrics;
  /** Messages logged as errors. */
  readonly logged: string[];
  readonly defects: Error[];
  /** Sends a request whose path is taken as it is, as a server delivers it. */
  readonly send: (method: string, target: string, init?: RequestInit) => Promise<Response>;
  /** Posts a document as JSON. */
  readonly post: (
    target: string,
    document: unknown,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Response>;
  /** Puts text; fails unless that succeeds. */
  readonly put: (key: string, text?: string) => Promise<Response>;
}

export function fixture(options: Partial<AppOptions> = {}): Fixture {
  const replica = new FakeReplica();
  const metrics = new Metrics();
  const logged: string[] = [];
  const defects: Error[] = [];
  const app = createApp({
    replica,
    machine: replica.machine,
    metrics,
    runtime: "test 1.0",
    version: "0.1.0",
    now: () => 1000,
    log: (level, message) => {
      if (level === "error") logged.push(message);
    },
    onDefect: (error) => defects.push(error),
    leaseReads: false,
    ...options,
  });
  const send = async (method: string, target: string, init: RequestInit = {}) =>
    await app.request("http://localhost/", { method, ...init }, { incoming: { url: target } });
  const put = async (key: string, text = "v") => {
    const response = await send("PUT", `/v1/kv/${key}`, {
      body: text,
      headers: { "content-type": "text/plain" },
    });
    assert.ok(response.ok, `PUT ${key}: ${response.status}`);
    return response;
  };
  const post = (
    target: string,
    document: unknown,
    headers: Readonly<Record<string, string>> = {},
  ) => send("POST", target, { body: JSON.stringify(document), headers });
  return { app, replica, metrics, logged, defects, send, post, put };
}

/** The members of a JSON answer. */
export async function json(response: Response): Promise<Record<string, unknown>> {
  const body: unknown = await response.json();
  assert.ok(typeof body === "object" && body !== null);
  return Object.fromEntries(Object.entries(body));
}

/** Fails unless `response` is a problem of this status and code; gives its members. */
export async function assertProblem(
  response: Response,
  status: number,
  code: string,
  outcome?: "not_applied" | "unknown",
): Promise<Record<string, unknown>> {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  for (const name of ["holdfast-node", "holdfast-revision", "holdfast-term"]) {
    assert.ok(response.headers.has(name), name);
  }
  const body = await json(response);
  assert.equal(body["status"], status);
  assert.equal(body["code"], code);
  assert.equal(body["outcome"], outcome);
  for (const member of ["type", "title", "detail"]) assert.equal(typeof body[member], "string");
  return body;
}
