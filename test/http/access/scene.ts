/** A node's app that asks for tokens, and tokens of all kinds. */
import assert from "node:assert/strict";
import { credentials } from "../../../src/adapters/access-tokens.ts";
import type { AppOptions } from "../../../src/http/app.ts";
import { type AccessEdit, type Grant, verbs } from "../../../src/kv/access/grant.ts";
import { encodeCommand } from "../../../src/kv/command-codec.ts";
import type { Command } from "../../../src/kv/command.ts";
import type { KvResult } from "../../../src/kv/result.ts";
import { put, under } from "../../kv/access/tokens.ts";
import { FakeReplica, type Fixture, fixture } from "../fixture.ts";

const all = { start: "", end: null };

type Names =
  | "nothing"
  | "read a/"
  | "write a/"
  | "read+write a/"
  | "watch a/"
  | "lease a/"
  | "write+lease a/"
  | "read all"
  | "member"
  | "backup"
  | "metrics"
  | "every verb";

/** A token of each of these has a role of its name, which grants this. */
export const grants: Readonly<Record<Names, readonly Grant[]>> = {
  nothing: [],
  "read a/": [under("a/", "read")],
  "write a/": [under("a/", "write")],
  "read+write a/": [under("a/", "read", "write")],
  "watch a/": [under("a/", "watch")],
  "lease a/": [under("a/", "lease")],
  "write+lease a/": [under("a/", "write", "lease")],
  "read all": [{ verbs: ["read"], ...all }],
  member: [{ verbs: ["member"], ...all }],
  backup: [{ verbs: ["backup"], ...all }],
  metrics: [{ verbs: ["metrics"], ...all }],
  "every verb": [{ verbs, ...all }],
};

/** What comes with a request, beside tokens of {@link grants}. */
export const strangers = [
  "no token",
  "no such form",
  "unknown",
  "wrong secret",
  "deleted",
] as const;

export type Granted = Names | "root";
/** `spare` is nobody's yet. */
export type Kind = Granted | typeof strangers[number] | "spare";
export const kinds: readonly Kind[] = [
  ...strangers,
  ...Object.keys(grants) as Names[],
  "root",
];

/** All tokens, made once: they are random. */
const texts = new Map([...kinds, "spare" as const].map((kind) => [kind, credentials.draw()]));

const idOf = (kind: Kind): string => texts.get(kind)?.id ?? "";
const roleName = (kind: string): string => kind.replaceAll(/[^a-z]/g, "-");

export class AccessScene {
  readonly replica: FakeReplica;
  readonly fixture: Fixture;

  constructor(options: Partial<AppOptions> = {}) {
    const replica = new FakeReplica();
    this.replica = replica;
    const access = { auth: true, credentials };
    // Doubts follow each other at a distance: let time fly.
    let now = 0;
    const flying = { now: () => now += 1000 };
    this.fixture = fixture({ replica, machine: replica.machine, access, ...flying, ...options });
    this.apply({ type: "upgrade", version: 2 });
  }

  /** With all tokens, and some keys: `a/1`, `b/1`, and those of the leases 2 (`a/2`) and 3 (`a/3`, `b/3`). */
  static whole(options: Partial<AppOptions> = {}): AccessScene {
    const scene = new AccessScene(options);
    scene.first();
    for (const [name, granted] of Object.entries(grants) as [Names, readonly Grant[]][]) {
      scene.edit({ type: "putRole", role: { name: roleName(name), grants: granted } });
      scene.token(name, [roleName(name)]);
    }
    scene.token("deleted", ["root"]);
    scene.edit({ type: "deleteToken", id: idOf("deleted") });
    scene.token("wrong secret", ["root"]);
    for (let lease = 1; lease <= 3; lease++) scene.inside({ type: "grant", ttlMs: 60_000 });
    const leased = { a: 0, "a/1": 0, "b/1": 0, "a/2": 2, "a/3": 3, "b/3": 3 };
    for (const [key, lease] of Object.entries(leased)) {
      const extras = { metadata: null, ttlMs: null, lease };
      scene.inside(put(key, lease === 0 ? {} : { extras }));
    }
    return scene;
  }

  /** Root's token, as the first leader makes it. */
  first(): void {
    const { id, text } = texts.get("root") ?? { id: "", text: "" };
    const token = { id, name: "root", hash: credentials.hash(text), roles: ["root"] };
    assert.equal(this.apply({ type: "putToken", token, first: true }).type, "accessChanged");
  }

  token(kind: Kind, roles: readonly string[]): void {
    const { id, text } = texts.get(kind) ?? { id: "", text: "" };
    const token = { id, name: roleName(kind), hash: credentials.hash(text), roles };
    this.edit({ type: "putToken", token, first: false });
  }

  role(kind: Names, granted: readonly Grant[]): void {
    this.edit({ type: "putRole", role: { name: roleName(kind), grants: granted } });
  }

  revoke(kind: Kind): void {
    this.edit({ type: "deleteToken", id: idOf(kind) });
  }

  edit(edit: AccessEdit): void {
    assert.equal(this.inside(edit).type, "accessChanged");
  }

  /** As a node asks for its own process. */
  inside(command: Command): KvResult {
    return this.apply({ type: "as", token: null, command: encodeCommand(command) });
  }

  apply(command: Command): KvResult {
    const payload = encodeCommand(command).slice();
    this.replica.machine.housekeeping.stamp(payload, this.replica.now);
    return this.replica.machine.apply({ payload });
  }

  async send(
    kind: Kind,
    method: string,
    target: string,
    body?: string | object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    return await this.fixture.send(method, target, {
      headers: { ...bearer(kind), ...headers },
      ...(text === undefined ? {} : { body: text }),
    });
  }
}

/** The header that a request of this kind comes with. */
export function bearer(kind: Kind): Readonly<Record<string, string>> {
  if (kind === "no token") return {};
  if (kind === "no such form") return { authorization: "Bearer let-me-in" };
  const { id, text } = texts.get(kind) ?? { id: "", text: "" };
  const given = kind === "wrong secret" ? `hf_${id}_${"A".repeat(43)}` : text;
  return { authorization: `Bearer ${given}` };
}

/** The id of a token of this kind. */
export { idOf };
