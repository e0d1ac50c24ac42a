/** Tokens where commands are applied: who had a right, at that place in the log, and who hasn't any more. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { rolesMax } from "../../../src/kv/access/grant.ts";
import { encodeCommand } from "../../../src/kv/command-codec.ts";
import type { Command, KeyedCommand } from "../../../src/kv/command.ts";
import { bytesOf, Guarded, put, rootId, tokenOf, under } from "./tokens.ts";

const keyed = (command: Command, parts: Partial<KeyedCommand> = {}): Command => ({
  type: "keyed",
  session: "s",
  number: 0,
  done: 0,
  command: encodeCommand(command),
  ...parts,
});
const deletion = (id: string): Command => ({ type: "deleteToken", id });

describe("a machine that has a root token", () => {
  it("does nothing without one, but for what is the leader's own", () => {
    const guarded = Guarded.with();
    assert.equal(guarded.bare(put("k")).type, "unauthenticated");
    assert.equal(guarded.bare(keyed(put("k"))).type, "unauthenticated");
    assert.equal(
      guarded.bare({ type: "putRole", role: { name: "x", grants: [] } }).type,
      "unauthenticated",
    );
    assert.equal(guarded.machine.store.revision, 0);
    assert.equal(guarded.bare({ type: "expire" }).type, "expired");
    const history = { revisionsMax: 5, bytesMax: 1000 };
    assert.equal(guarded.bare({ type: "configure", history }).type, "configured");
    assert.equal(guarded.bare({ type: "upgrade", version: 2 }).type, "upgraded");
  });

  it("does what a token's roles allow when the command is applied, not when it was proposed", () => {
    const guarded = Guarded.with({ appmaker: [under("a/", "write")] });
    assert.equal(guarded.as("appmaker", put("a/k")).type, "put");
    assert.equal(guarded.as("appmaker", put("b/k")).type, "forbidden");
    guarded.role("appmaker", [under("b/", "write")]);
    assert.equal(guarded.as("appmaker", put("a/k")).type, "forbidden");
    assert.equal(guarded.as("appmaker", put("b/k")).type, "put");
    guarded.edit({ type: "deleteToken", id: "appmaker" });
    assert.equal(guarded.as("appmaker", put("b/k")).type, "unauthenticated");
    assert.equal(guarded.machine.store.revision, 2);
  });

  it("lists none of a lease's keys to say whether a token may keep or join it", () => {
    const guarded = Guarded.with({ appmaker: [under("a/", "write", "lease")] });
    guarded.as("appmaker", { type: "grant", ttlMs: 60_000 });
    const extras = { metadata: null, ttlMs: null, lease: 1 };
    assert.equal(guarded.as("appmaker", put("a/1", { extras })).type, "put");
    Object.assign(guarded.machine.store, { keysOf: () => assert.fail("they are listed") });
    assert.equal(guarded.as("appmaker", put("a/2", { extras })).type, "put");
    for (const token of ["appmaker", rootId, null]) {
      assert.equal(guarded.as(token, { type: "keepAlive", lease: 1 }).type, "lease");
    }
    assert.equal(guarded.as(rootId, put("b/1", { extras })).type, "put");
    assert.equal(guarded.as("appmaker", { type: "keepAlive", lease: 1 }).type, "forbidden");
  });

  it("does what a node asks for its own process", () => {
    assert.equal(Guarded.with().as(null, put("k")).type, "put");
  });

  it("has time where the command in it depends on it, as it has without a token", () => {
    const guarded = Guarded.with({ appmaker: [under("", "write", "lease")] });
    guarded.time = 50_000;
    const extras = { metadata: null, ttlMs: 1000, lease: null };
    assert.equal(guarded.as("appmaker", put("k", { extras })).type, "put");
    assert.equal(guarded.machine.store.get("k")?.due, 51_000);
    assert.equal(guarded.machine.housekeeping.time(), 50_000);
    const payload = encodeCommand({ type: "as", token: null, command: encodeCommand(put("k")) });
    guarded.machine.housekeeping.stamp(payload, 99);
    assert.equal(guarded.machine.housekeeping.stampOf(payload), 0, "a plain put has none");
  });

  it("takes no command for the leader's own that comes with a token, nor a token within one", () => {
    const guarded = Guarded.with();
    for (
      const command of [
        { type: "expire" },
        { type: "upgrade", version: 2 },
        { type: "as", token: rootId, command: encodeCommand(put("k")) },
        keyed({ type: "as", token: rootId, command: encodeCommand(put("k")) }),
        keyed(keyed(put("k"))),
      ] as const
    ) {
      assert.equal(guarded.as(rootId, command).type, "malformed", command.type);
    }
    assert.equal(guarded.machine.store.revision, 0);
  });

  it("asks what a lease's end needs of the keys that it has then", () => {
    const guarded = Guarded.with({ keeperof: [under("a/", "write", "lease")] });
    const grant = guarded.as("keeperof", { type: "grant", ttlMs: 60_000 });
    assert.ok(grant.type === "lease");
    const { lease } = grant;
    const under1 = { extras: { metadata: null, ttlMs: null, lease } };
    assert.equal(guarded.as("keeperof", put("a/k", under1)).type, "put");
    assert.equal(guarded.as("keeperof", { type: "keepAlive", lease }).type, "lease");
    assert.equal(guarded.as(rootId, put("b/k", under1)).type, "put");
    assert.equal(guarded.as("keeperof", { type: "revoke", lease }).type, "forbidden");
    assert.equal(guarded.as("keeperof", { type: "keepAlive", lease }).type, "forbidden");
    assert.equal(guarded.as(rootId, { type: "revoke", lease }).type, "revoked");
  });

  it("refuses the whole of a transaction, or a batch, for the least that isn't allowed", () => {
    const guarded = Guarded.with({ appmaker: [under("a/", "write", "read")] });
    const then = [put("a/1"), put("b/1")] as never;
    const all: Command = { type: "transaction", checks: [], then, else: [] };
    assert.equal(guarded.as("appmaker", all).type, "forbidden");
    const items = [put("a/1"), put("b/1")].map((operation) => ({ checks: [], operation })) as never;
    assert.equal(guarded.as("appmaker", { type: "batch", items }).type, "forbidden");
    assert.equal(guarded.machine.store.size, 0);
  });
});

describe("an idempotency key", () => {
  it("gives nobody an answer who may not do what was asked", () => {
    const guarded = Guarded.with({ writerof: [under("", "write")] });
    assert.equal(guarded.as("writerof", keyed(put("k"))).type, "put");
    guarded.role("writerof", []);
    assert.equal(guarded.as("writerof", keyed(put("k"))).type, "forbidden");
    guarded.role("writerof", [under("k", "write")]);
    assert.deepEqual(guarded.as("writerof", keyed(put("k"))), {
      type: "put",
      revision: 1,
      version: 1,
      created: 1,
    });
  });

  it("is each principal's own: another's of the same text is another key", () => {
    const guarded = Guarded.with({
      writerof: [under("", "write")],
      anotherof: [under("", "write")],
    });
    assert.equal(guarded.as("writerof", keyed(put("k"))).revision, 1);
    assert.equal(guarded.as("anotherof", keyed(put("k"))).revision, 2, "no repetition");
    assert.equal(guarded.as("anotherof", keyed(put("other"), { number: 1 })).revision, 3);
    assert.equal(
      guarded.as("writerof", keyed(put("third"), { number: 1 })).revision,
      4,
      "not reused",
    );
    assert.equal(guarded.as(null, keyed(put("k"))).revision, 5);
    assert.equal(guarded.as("writerof", keyed(put("k"))).revision, 1);
  });

  it("stays a principal's when its token is replaced by one of the same name", () => {
    const guarded = Guarded.with({ writerof: [under("", "write")] });
    assert.equal(guarded.as("writerof", keyed(put("k"))).revision, 1);
    const token = tokenOf("rotated0", ["writerof"], "writerof");
    guarded.edit({ type: "putToken", token, first: false });
    guarded.edit({ type: "deleteToken", id: "writerof" });
    assert.equal(guarded.as("rotated0", keyed(put("k"))).revision, 1);
    assert.equal(guarded.machine.store.revision, 1);
  });
});

describe("edits of roles and tokens", () => {
  it("begin with the first token, once, which is root's whatever it says", () => {
    const guarded = new Guarded();
    const role = { name: "x", grants: [] };
    const early = guarded.bare({ type: "putRole", role });
    assert.deepEqual(early, { type: "accessRefused", revision: 0, reason: "not_required" });
    const first = { type: "putToken", token: tokenOf(rootId, []), first: true } as const;
    assert.equal(guarded.bare(keyed({ ...first, first: false })).type, "accessRefused");
    assert.ok(!guarded.machine.access.isRequired);
    assert.equal(guarded.bare(first).type, "accessChanged");
    assert.ok(guarded.machine.access.principal(rootId)?.isRoot);
    const second = guarded.bare({ ...first, token: tokenOf("another0", []) });
    assert.deepEqual(second, { type: "accessRefused", revision: 0, reason: "not_first" });
  });

  it("are nothing to a cluster of a version that doesn't know them", () => {
    const guarded = new Guarded();
    const old = new (guarded.machine.constructor as new () => typeof guarded.machine)();
    const first = { type: "putToken", token: tokenOf(rootId, []), first: true } as const;
    assert.equal(old.apply({ payload: encodeCommand(first) }).type, "malformed");
    const as = { type: "as", token: null, command: encodeCommand(put("k")) } as const;
    assert.equal(old.apply({ payload: encodeCommand(as) }).type, "malformed");
    assert.equal(old.store.revision, 0);
  });

  it("are root's alone", () => {
    const guarded = Guarded.with({ allverbs: [under("", "read", "write", "member", "backup")] });
    assert.equal(guarded.as("allverbs", deletion("allverbs")).type, "forbidden");
    const token = tokenOf("sneaky00", ["root"]);
    assert.equal(
      guarded.as("allverbs", { type: "putToken", token, first: false }).type,
      "forbidden",
    );
  });

  it("leave a root token, and no token of a role that isn't there", () => {
    const guarded = Guarded.with({ appmaker: [] });
    const refused = (command: Command): string => {
      const result = guarded.as(rootId, command);
      return result.type === "accessRefused" ? result.reason : result.type;
    };
    assert.equal(refused(deletion(rootId)), "last_root");
    assert.equal(refused(deletion("nobody00")), "no_such_token");
    assert.equal(refused({ type: "deleteRole", name: "appmaker" }), "role_in_use");
    assert.equal(refused({ type: "deleteRole", name: "nothing" }), "no_such_role");
    const token = tokenOf("another0", ["nothing"]);
    assert.equal(refused({ type: "putToken", token, first: false }), "no_such_role");
    assert.equal(
      refused({ type: "putToken", token: tokenOf("appmaker", []), first: false }),
      "token_exists",
    );
    guarded.edit({ type: "putToken", token: tokenOf("another0", ["root"]), first: false });
    assert.equal(refused(deletion(rootId)), "accessChanged");
    assert.equal(guarded.as("another0", deletion("another0")).type, "accessRefused");
  });

  it("are bounded", () => {
    const guarded = Guarded.with();
    for (let at = 0; at < rolesMax; at++) guarded.role(`r${at}`, []);
    const more = { type: "putRole", role: { name: "more", grants: [] } } as const;
    const result = guarded.as(rootId, more);
    assert.deepEqual(result, { type: "accessRefused", revision: 0, reason: "full" });
    guarded.role("r1", [under("a", "read")]);
    const long = "x".repeat(2000);
    const grants = Array.from({ length: 128 }, (_, at) => under(`${at}${long}`, "read"));
    const all = Array.from({ length: 50 }, (_, at) => ({ name: `r${at}`, grants }));
    const results = all.map((role) => guarded.as(rootId, { type: "putRole", role }).type);
    assert.ok(results.includes("accessChanged") && results.includes("accessRefused"));
  });

  it("are told to whoever watches them, and nothing else is", () => {
    const guarded = Guarded.with();
    let told = 0;
    const end = guarded.machine.watchAccess(() => told++);
    guarded.role("r", []);
    guarded.as(rootId, put("k"));
    guarded.as(rootId, deletion(rootId));
    assert.equal(told, 1);
    end();
    guarded.role("r", []);
    assert.equal(told, 1);
  });
});

describe("a snapshot", () => {
  it("has roles, tokens and each principal's answers, and gives the same bytes again", async () => {
    const guarded = Guarded.with({
      appmaker: [under("a/", "write"), { verbs: ["read", "watch"], start: "\xff", end: null }],
      another0: [],
    });
    guarded.as("appmaker", keyed(put("a/k")));
    const machine = await guarded.restored();
    assert.equal(bytesOf(machine.snapshot()), bytesOf(guarded.machine.snapshot()));
    assert.deepEqual([...machine.access.roles()], [...guarded.machine.access.roles()]);
    assert.deepEqual([...machine.access.tokens()], [...guarded.machine.access.tokens()]);
    const again = encodeCommand({
      type: "as",
      token: "appmaker",
      command: encodeCommand(keyed(put("a/k"))),
    });
    assert.equal(machine.apply({ payload: again }).type, "put");
    assert.equal(machine.store.revision, 1);
  });

  it("stays what it was while roles change", () => {
    const guarded = Guarded.with({ appmaker: [] });
    const before = bytesOf(guarded.machine.snapshot());
    const snapshot = guarded.machine.snapshot();
    guarded.role("more", []);
    assert.equal(bytesOf(snapshot), before);
  });
});
