/** What commands need, each verb and range of it, and what grants come to together. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { neededBy } from "../../../src/kv/access/needs.ts";
import { type Grant, verbs } from "../../../src/kv/access/grant.ts";
import { Principal } from "../../../src/kv/access/principal.ts";
import type { Command } from "../../../src/kv/command.ts";
import { put, tokenOf, under } from "./tokens.ts";

const keys: Readonly<Record<number, readonly string[]>> = { 1: [], 2: ["a/1", "b/1"] };

function may(command: Command, ...grants: readonly Grant[]): boolean {
  const needs = neededBy(
    command,
    (lease, { start, end }) =>
      keys[lease]?.find((key) => key >= start && (end === null || key < end)),
  );
  assert.ok(needs !== null);
  return new Principal(tokenOf("aaaaaaaa", ["x"]), grants).may(needs);
}

const ofOthers = { extras: { metadata: null, ttlMs: null, lease: 2 } };
const leased = { extras: { metadata: null, ttlMs: null, lease: 1 } };
const [start, end] = ["a/b", "a/d"];
const list = { type: "list", start, end, reverse: false, limit: 10, values: true } as const;
const add = { type: "add", key: "a/k", delta: 1n, min: null, max: null } as const;
const transaction = (parts: Partial<Extract<Command, { type: "transaction" }>>): Command => ({
  type: "transaction",
  checks: [],
  then: [],
  else: [],
  ...parts,
});
const batch = (item: Extract<Command, { type: "batch" }>["items"][number]): Command => ({
  type: "batch",
  items: [{ checks: [], operation: { type: "get", key: "a/0" } }, item],
});
const exists = { type: "exists", key: "a/c", exists: true } as const;

/** Each command, and the least that allows it: nothing of it may be missing. */
const cases: readonly (readonly [string, Command, readonly Grant[]])[] = [
  ["a put", put("a/k"), [under("a/k", "write")]],
  ["a put with a time to live", put("a/k", { extras: { metadata: null, ttlMs: 5, lease: null } }), [
    under("a/", "write"),
  ]],
  ["a put under a lease", put("a/k", leased), [under("a/", "write"), under("a/", "lease")]],
  ["a put under a lease that has keys", put("c", ofOthers), [
    under("c", "write"),
    under("c", "lease"),
    under("a/", "lease"),
    under("b/", "lease"),
  ]],
  [
    "a batch's put under a lease that has keys",
    batch({ checks: [], operation: put("c", ofOthers) as never }),
    [
      under("a/0", "read"),
      under("c", "write"),
      under("c", "lease"),
      under("a/", "lease"),
      under("b/", "lease"),
    ],
  ],
  ["a put with a condition", put("a/k", { conditions: [{ type: "exists" }] }), [
    under("a/", "write"),
  ]],
  ["a delete", { type: "delete", key: "a/k", conditions: [] }, [under("a/", "write")]],
  ["a range's delete", { type: "deleteRange", start, end }, [
    { verbs: ["write"], start: "a/b", end: "a/c" },
    { verbs: ["write"], start: "a/c", end: "a/d" },
  ]],
  ["a transaction's check", transaction({ checks: [exists] }), [under("a/c", "read")]],
  ["a transaction's put", transaction({ then: [put("a/k")] as never }), [under("a/", "write")]],
  ["a transaction's other half", transaction({ else: [{ type: "delete", key: "a/k" }] }), [
    under("a/", "write"),
  ]],
  ["a transaction's list", transaction({ then: [list] }), [under("a/", "read")]],
  ["a transaction's add", transaction({ then: [add] }), [
    under("a/", "read"),
    under("a/", "write"),
  ]],
  ["a transaction's put under a lease", transaction({ else: [put("a/k", leased)] as never }), [
    under("a/", "write"),
    under("a/", "lease"),
  ]],
  ["a batch's check", batch({ checks: [exists], operation: { type: "get", key: "a/k" } }), [
    under("a/", "read"),
  ]],
  ["a batch's put", batch({ checks: [], operation: put("a/k") as never }), [
    under("a/0", "read"),
    under("a/k", "write"),
  ]],
  [
    "a batch's range delete",
    batch({ checks: [], operation: { type: "deleteRange", start, end } }),
    [
      under("a/0", "read"),
      under("a/", "write"),
    ],
  ],
  ["a lease", { type: "grant", ttlMs: 1000 }, [under("zzz", "lease")]],
  ["a lease's keeping", { type: "keepAlive", lease: 1 }, [under("zzz", "lease")]],
  ["a lease's keeping that has keys", { type: "keepAlive", lease: 2 }, [
    under("a/", "lease"),
    under("b/", "lease"),
  ]],
  ["a lease's end that has keys", { type: "revoke", lease: 2 }, [
    under("a/", "lease"),
    under("b/", "lease"),
    under("a/", "write"),
    under("b/", "write"),
  ]],
];

describe("what a command needs", () => {
  for (const [name, command, grants] of cases) {
    it(`${name}: all of ${grants.map(({ verbs }) => verbs.join()).join(" and ")}, and no more`, () => {
      assert.ok(may(command, ...grants));
      for (const one of grants) {
        assert.ok(!may(command, ...grants.filter((other) => other !== one)), "one less");
        const others = verbs.filter((verb) => !one.verbs.includes(verb));
        const replaced = grants.map((grant) => grant === one ? { ...one, verbs: others } : grant);
        const isGrantedElsewhere = replaced.some((grant) =>
          grant !== one && grant.verbs.includes(one.verbs[0]!) && grant.start === one.start
        );
        if (!isGrantedElsewhere) assert.ok(!may(command, ...replaced), "other verbs");
      }
      assert.ok(may(command, { verbs, start: "", end: null }), "everything");
      assert.ok(!may(command), "nothing");
    });
  }

  it("is nothing that anybody may ask for where it is the leader's own", () => {
    const own: readonly Command[] = [
      { type: "expire" },
      { type: "configure", history: { revisionsMax: 1, bytesMax: 1 } },
      { type: "upgrade", version: 2 },
      { type: "as", token: null, command: new Uint8Array() },
    ];
    for (const command of own) assert.equal(neededBy(command, () => undefined), null);
  });

  it("is the role root, which no verbs come to, for roles and tokens", () => {
    const everything = new Principal(tokenOf("aaaaaaaa", ["x"]), [
      { verbs, start: "", end: null },
    ]);
    const root = new Principal(tokenOf("aaaaaaaa", ["root"]), []);
    for (
      const command of [
        { type: "putRole", role: { name: "x", grants: [] } },
        { type: "deleteRole", name: "x" },
        { type: "putToken", token: tokenOf("bbbbbbbb", []), first: false },
        { type: "deleteToken", id: "bbbbbbbb" },
      ] as const
    ) {
      const needs = neededBy(command, () => undefined) ?? [];
      assert.ok(root.may(needs));
      assert.ok(!everything.may(needs));
    }
  });
});

describe("ranges of several grants", () => {
  const reads = (start: string, end: string | null): Grant => ({ verbs: ["read"], start, end });
  const can = (range: readonly [string, string | null], ...grants: readonly Grant[]): boolean =>
    may(transaction({ then: [{ ...list, start: range[0], end: range[1] }] }), ...grants);

  it("count as one where they touch or overlap, in whatever order they come", () => {
    assert.ok(can(["a", "d"], reads("c", "d"), reads("a", "b"), reads("b", "c")));
    assert.ok(can(["a", "d"], reads("a", "c"), reads("b", "d")));
    assert.ok(can(["a", null], reads("a", "c"), reads("b", null)));
    assert.ok(can(["b", "c"], reads("a", null), reads("b", "b\0")));
  });

  it("leave out what lies between them, by a single key", () => {
    assert.ok(!can(["a", "d"], reads("a", "b"), reads("b\0", "d")));
    assert.ok(!can(["a", "d"], reads("a", "c\xff"), reads("a", "c")));
    assert.ok(!can(["a", "d"], reads("a\0", "d")));
    assert.ok(!can(["a", null], reads("a", "zzz")));
  });

  it("that hold nothing grant nothing", () => {
    assert.ok(!can(["a", "b"], reads("b", "a"), reads("c", "c")));
  });
});
