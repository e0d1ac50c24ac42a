/** What a node knows of tokens may be old, and rights come to an end: what is let in, and what comes of it. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { credentials } from "../../../src/adapters/access-tokens.ts";
import { NotApplied } from "../../../src/errors.ts";
import { doubtsMax } from "../../../src/http/access/confirmations.ts";
import { fromInside } from "../../../src/http/access/gate.ts";
import { put } from "../../kv/access/tokens.ts";
import { EventReader, type SentEvent } from "../event-reader.ts";
import { assertProblem, json } from "../fixture.ts";
import { AccessScene, bearer, idOf } from "./scene.ts";

/** A node that hears of what happened elsewhere when it asks the leader. */
function behind(scene: AccessScene, happened: () => void): { asked: number } {
  const seen = { asked: 0 };
  let isHeard = false;
  scene.replica.read = async () => {
    seen.asked++;
    await Promise.resolve();
    if (!isHeard) happened();
    isHeard = true;
  };
  return seen;
}

describe("a node that is behind", () => {
  it("lets in whom it only hears of when it asks", async () => {
    const scene = AccessScene.whole();
    const seen = behind(scene, () => scene.token("spare", ["root"]));
    assert.equal((await scene.send("spare", "GET", "/v1/status")).status, 200);
    assert.equal(seen.asked, 1);
    assert.equal((await scene.send("spare", "GET", "/v1/status")).status, 200);
    assert.equal(seen.asked, 1, "it knows");
  });

  it("lets in whose right it only hears of when it asks", async () => {
    const scene = AccessScene.whole();
    behind(scene, () => scene.role("nothing", [{ verbs: ["write"], start: "", end: null }]));
    const answer = await scene.send("nothing", "PUT", "/v1/kv/k", "v");
    assert.equal(answer.status, 201);
  });

  it("reads nothing for a token that is deleted by then", async () => {
    const scene = AccessScene.whole();
    const requests = [
      ["GET", "/v1/kv/a/1"],
      ["GET", "/v1/kv?prefix=a/"],
      ["GET", "/v1/kv/a/1?revision=1"],
      ["GET", "/v1/leases/1"],
      ["GET", "/v1/leases"],
      ["GET", "/v1/watch"],
      ["GET", "/v1/watch?from=1"],
      ["GET", "/v1/members"],
      ["GET", "/v1/backup"],
      ["GET", "/v1/access/self"],
      ["POST", "/v1/txn"],
    ] as const;
    for (const [method, target] of requests) {
      const each = AccessScene.whole();
      behind(each, () => each.revoke("every verb"));
      const body = method === "POST" ? { then: [{ get: { key: "a/1" } }] } : undefined;
      const answer = await each.send("every verb", method, target, body);
      assert.equal(answer.status, 401, target);
      await answer.body?.cancel();
    }
    // What is stale says so, and is this node's own.
    behind(scene, () => scene.revoke("every verb"));
    assert.equal(
      (await scene.send("every verb", "GET", "/v1/kv/a/1?consistency=stale")).status,
      200,
    );
  });

  it("changes no members for a token that is deleted by then", async () => {
    for (
      const [method, target, body] of [
        ["PUT", "/v1/leader", { id: null }],
        ["POST", "/v1/members", { id: "n9", url: "http://127.0.0.1:4009" }],
        ["PUT", "/v1/members", { voters: ["n1"] }],
        ["DELETE", "/v1/members/n3", undefined],
      ] as const
    ) {
      const scene = AccessScene.whole();
      behind(scene, () => scene.revoke("member"));
      await assertProblem(
        await scene.send("member", method, target, body),
        401,
        "unauthenticated",
        "not_applied",
      );
      assert.equal(scene.replica.transferredTo, null);
    }
  });

  it("says that it can't tell where no leader answers", async () => {
    const scene = AccessScene.whole();
    scene.replica.refusal = new NotApplied("no_leader", "nobody leads");
    await assertProblem(await scene.send("unknown", "GET", "/v1/kv/a/1"), 503, "no_leader");
    const denied = await scene.send("nothing", "PUT", "/v1/kv/a/1", "v");
    await assertProblem(denied, 503, "no_leader", "not_applied");
    const wrong = await scene.send("wrong secret", "GET", "/v1/kv/a/1");
    await assertProblem(wrong, 401, "unauthenticated");
  });

  it("asks little for strangers, however many come at once", async () => {
    const scene = AccessScene.whole({ now: () => performance.now() });
    const gate = Promise.withResolvers<void>();
    let asked = 0;
    scene.replica.read = async () => {
      asked++;
      await gate.promise;
    };
    const answers = Array.from(
      { length: 3 * doubtsMax },
      () => scene.send("unknown", "GET", "/v1/status").then(({ status }) => status),
    );
    // The second question waits for the answer to the first.
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(asked, 1);
    gate.resolve();
    const statuses = await Promise.all(answers);
    assert.equal(statuses.filter((status) => status === 401).length, doubtsMax);
    assert.equal(statuses.filter((status) => status === 429).length, 2 * doubtsMax);
    assert.ok(asked <= 2, `${asked} questions`);
  });
});

describe("a right that ends while a request is on its way", () => {
  const onItsWay = (scene: AccessScene, happens: () => void): void => {
    let isOver = false;
    scene.replica.before = () => {
      if (isOver) return;
      isOver = true;
      happens();
    };
  };

  it("is none any more where the command is applied", async () => {
    const scene = AccessScene.whole();
    onItsWay(scene, () => scene.role("write a/", []));
    const answer = await scene.send("write a/", "PUT", "/v1/kv/a/new", "v");
    await assertProblem(answer, 403, "forbidden", "not_applied");
    assert.equal(scene.replica.machine.store.get("a/new"), undefined);
    assert.equal(scene.replica.log.length, 1, "it was proposed");
  });

  it("is none for what is nested, and for what is to happen once", async () => {
    for (
      const [target, body, headers] of [
        ["/v1/txn", { then: [{ put: { key: "a/new", value: "v" } }] }, {}],
        ["/v1/batch", { ops: [{ put: { key: "a/new", value: "v" } }] }, {}],
        ["/v1/batch", { ops: [{ put: { key: "a/new", value: "v" } }] }, { "idempotency-key": "k" }],
      ] as const
    ) {
      const scene = AccessScene.whole();
      onItsWay(scene, () => scene.revoke("write a/"));
      const answer = await scene.send("write a/", "POST", target, body, headers);
      await assertProblem(answer, 401, "unauthenticated", "not_applied");
      assert.equal(scene.replica.machine.store.get("a/new"), undefined);
    }
  });

  it("ends a root's own edits", async () => {
    const scene = AccessScene.whole();
    scene.token("spare", ["root"]);
    onItsWay(scene, () => scene.revoke("root"));
    const answer = await scene.send("root", "POST", "/v1/access/tokens", { name: "x", roles: [] });
    await assertProblem(answer, 401, "unauthenticated", "not_applied");
  });

  it("ends a lease's end whose keys are more by then", async () => {
    const scene = AccessScene.whole();
    onItsWay(scene, () => {
      const extras = { metadata: null, ttlMs: null, lease: 2 };
      scene.inside(put("b/late", { extras }));
    });
    const answer = await scene.send("write+lease a/", "DELETE", "/v1/leases/2");
    await assertProblem(answer, 403, "forbidden", "not_applied");
    assert.ok(scene.replica.machine.lease(2) !== undefined);
  });
});

/** The next event that tells more than how far it is. */
async function nextOf(reader: EventReader): Promise<SentEvent | null> {
  for (;;) {
    const event = await reader.next();
    if (event?.event !== "progress") return event;
  }
}

describe("a watcher", () => {
  it("is told that it may not go on, and nothing that comes after", async () => {
    const scene = AccessScene.whole();
    const watch = async (kind: "watch a/" | "root"): Promise<EventReader> =>
      new EventReader(await scene.send(kind, "GET", "/v1/watch?prefix=a/"));
    const [ended, other] = await Promise.all([watch("watch a/"), watch("root")]);
    scene.inside(put("a/first"));
    assert.equal((await nextOf(ended))?.event, "put");
    scene.role("watch a/", [{ verbs: ["watch"], start: "b", end: null }]);
    scene.inside(put("a/second"));
    const last = await nextOf(ended);
    assert.equal(last?.event, "refused");
    assert.equal(last.data["code"], "forbidden");
    assert.equal(last.id, scene.replica.machine.store.revision - 1);
    assert.equal(await nextOf(ended), null);
    const told = (await other.changes(2)).map(({ data }) => data["key"]);
    assert.deepEqual(told, ["a/first", "a/second"]);
    await other.cancel();
  });

  it("is told so also where its token is gone, or came to an end in a snapshot", async () => {
    const scene = AccessScene.whole();
    const reader = new EventReader(await scene.send("watch a/", "GET", "/v1/watch?prefix=a/"));
    scene.revoke("watch a/");
    assert.equal((await nextOf(reader))?.data["code"], "unauthenticated");
    const restored = AccessScene.whole();
    const other = new EventReader(await restored.send("watch a/", "GET", "/v1/watch?prefix=a/"));
    const chunks = [...scene.replica.machine.snapshot().chunks()].map((chunk) => chunk.slice());
    await restored.replica.machine.restore((async function* () {
      yield* chunks;
    })());
    assert.equal((await nextOf(other))?.event, "refused");
  });

  it("that was let in without a token is told so once tokens are asked for", async () => {
    const scene = new AccessScene({ access: { auth: false, credentials } });
    const reader = new EventReader(await scene.send("no token", "GET", "/v1/watch"));
    scene.first();
    const last = await nextOf(reader);
    assert.equal(last?.event, "refused");
  });
});

describe("whether tokens are asked for", () => {
  it("is the cluster's to say once it has a root token, whatever the node was told", async () => {
    const scene = new AccessScene({ access: { auth: false, credentials } });
    assert.equal((await scene.send("no token", "PUT", "/v1/kv/k", "v")).status, 201);
    scene.first();
    const answer = await scene.send("no token", "PUT", "/v1/kv/k", "v");
    await assertProblem(answer, 401, "unauthenticated", "not_applied");
    assert.equal((await scene.send("root", "PUT", "/v1/kv/k", "v")).status, 200);
  });

  it("is so for what was let in before, where it is read or applied", async () => {
    const scene = new AccessScene({ access: { auth: false, credentials } });
    scene.replica.before = () => scene.first();
    const answer = await scene.send("no token", "PUT", "/v1/kv/k", "v");
    await assertProblem(answer, 401, "unauthenticated", "not_applied");
    const reading = new AccessScene({ access: { auth: false, credentials } });
    behind(reading, () => reading.first());
    assert.equal((await reading.send("no token", "GET", "/v1/kv/k")).status, 401);
  });

  it("is so before there is any where the node was told to", async () => {
    const scene = new AccessScene();
    const answer = await scene.send("no token", "GET", "/v1/kv/k");
    await assertProblem(answer, 401, "unauthenticated");
    await assertProblem(await scene.send("root", "GET", "/v1/kv/k"), 503, "not_ready");
  });

  it("is not for this process itself, nor for who recovers a cluster", async () => {
    const scene = AccessScene.whole();
    const asked = new Request("http://localhost/v1/kv/k", { method: "PUT", body: "v" });
    assert.equal((await scene.fixture.app.request(asked, {}, { origin: fromInside })).status, 201);
    const forged = { origin: Symbol("inside") };
    const stranger = new Request("http://localhost/v1/kv/k", { method: "PUT", body: "v" });
    assert.equal((await scene.fixture.app.request(stranger, {}, forged)).status, 401);
    const recovering = AccessScene.whole({ access: { auth: true, recovers: true, credentials } });
    const made = await recovering.send("no token", "POST", "/v1/access/tokens", {
      name: "root",
      roles: ["root"],
    });
    assert.equal(made.status, 201);
    assert.equal((await recovering.send("nothing", "GET", "/v1/kv/k")).status, 403);
    assert.equal((await recovering.send("no such form", "GET", "/v1/kv/k")).status, 401);
  });
});

describe("a token", () => {
  it("is told once, and lets its bearer in from then on", async () => {
    const scene = AccessScene.whole();
    const made = await scene.send("root", "POST", "/v1/access/tokens", {
      name: "app",
      roles: ["root"],
    });
    assert.equal(made.headers.get("cache-control"), "no-store");
    const { id, token } = await json(made);
    assert.match(String(token), new RegExp(`^hf_${String(id)}_[A-Za-z0-9_-]{43}$`));
    const headers = { authorization: `bearer ${String(token)}` };
    assert.equal((await scene.fixture.send("GET", "/v1/status", { headers })).status, 200);
    const hash = [...credentials.hash(String(token))];
    const texts = await Promise.all(
      ["/v1/log?limit=1000", "/v1/access/tokens", "/v1/access/self"].map(async (target) =>
        await (await scene.send("root", "GET", target)).text()
      ),
    );
    const base64 = btoa(String.fromCharCode(...hash));
    const hex = hash.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    for (const text of texts) {
      for (const secret of [String(token), base64, hex, hash.join(), hash.join(" ")]) {
        assert.ok(!text.includes(secret));
      }
    }
    assert.ok(texts[1]?.includes(String(id)));
  });

  it("takes no idempotency key: it can't be told twice", async () => {
    const scene = AccessScene.whole();
    const body = { name: "app", roles: [] };
    const answer = await scene.send("root", "POST", "/v1/access/tokens", body, {
      "idempotency-key": "k",
    });
    await assertProblem(answer, 400, "bad_request", "not_applied");
  });

  it("of a role that isn't there, and the end of the last root, are refused with what to do", async () => {
    const scene = AccessScene.whole();
    const post = (document: object) => scene.send("root", "POST", "/v1/access/tokens", document);
    await assertProblem(
      await post({ name: "x", roles: ["nope"] }),
      404,
      "not_found",
      "not_applied",
    );
    await assertProblem(await post({ name: "x y", roles: [] }), 400, "bad_request", "not_applied");
    await assertProblem(
      await post({ name: "x", roles: ["a", "a"] }),
      400,
      "bad_request",
      "not_applied",
    );
    scene.revoke("wrong secret");
    const last = await scene.send("root", "DELETE", `/v1/access/tokens/${idOf("root")}`);
    const { detail } = await assertProblem(last, 412, "precondition_failed", "not_applied");
    assert.match(String(detail), /last token of the role root/);
  });

  it("is asked for its rights in words that a machine reads", async () => {
    const scene = AccessScene.whole();
    const self = await json(await scene.send("read+write a/", "GET", "/v1/access/self"));
    assert.deepEqual(self["grants"], [{ verbs: ["read", "write"], prefix: "a/" }]);
    assert.equal(self["required"], true);
    const open = new AccessScene({ access: { auth: false, credentials } });
    const anybody = await json(await open.send("no token", "GET", "/v1/access/self"));
    assert.deepEqual(anybody, { required: false, token: null, grants: [] });
    const refused = await open.send("no token", "POST", "/v1/access/tokens", {
      name: "x",
      roles: ["root"],
    });
    await assertProblem(refused, 412, "precondition_failed", "not_applied");
  });
});

describe("a role", () => {
  const roundTrip = async (grants: readonly object[]): Promise<unknown> => {
    const scene = AccessScene.whole();
    const answer = await scene.send("root", "PUT", "/v1/access/roles/new", { grants });
    assert.equal(answer.status, 200);
    const roles = (await json(await scene.send("root", "GET", "/v1/access/roles")))["roles"];
    assert.ok(Array.isArray(roles));
    assert.deepEqual(await json(answer), roles.find(({ name }) => name === "new"));
    return roles.find(({ name }) => name === "new").grants;
  };

  it("is shown as it was put, in the order of the verbs", async () => {
    const grants = [
      { verbs: ["read"], prefix: "a/" },
      { verbs: ["read", "write"], key: "k" },
      { verbs: ["watch"], start: "b", end: "d" },
      { verbs: ["lease"], start: "b" },
      { verbs: ["member", "backup", "metrics"] },
      { verbs: ["read"], prefix: "/w==", keyEncoding: "base64" },
    ];
    assert.deepEqual(await roundTrip(grants), grants);
    assert.deepEqual(await roundTrip([{ verbs: ["write", "read", "read"] }]), [
      { verbs: ["read", "write"] },
    ]);
  });

  it("is refused where it can't be one", async () => {
    const scene = AccessScene.whole();
    const bad: readonly (readonly [string, unknown])[] = [
      ["root", { grants: [] }],
      ["a%20b", { grants: [] }],
      ["x", { grants: [{ verbs: [] }] }],
      ["x", { grants: [{ verbs: ["fly"] }] }],
      ["x", { grants: [{ verbs: ["read"], prefix: "a", key: "a" }] }],
      ["x", { grants: [{ verbs: ["read"], key: "" }] }],
      ["x", { grants: Array.from({ length: 129 }, () => ({ verbs: ["read"] })) }],
      ["x", {}],
    ];
    for (const [name, document] of bad) {
      const answer = await scene.send(
        "root",
        "PUT",
        `/v1/access/roles/${name}`,
        document as object,
      );
      await assertProblem(answer, 400, "bad_request", "not_applied");
    }
    const inUse = await scene.send("root", "DELETE", "/v1/access/roles/member");
    await assertProblem(inUse, 412, "precondition_failed", "not_applied");
  });

  it("that is put again with less takes it from all tokens that have it", async () => {
    const scene = AccessScene.whole();
    assert.equal((await scene.send("read a/", "GET", "/v1/kv/a/1")).status, 200);
    const put = await scene.send("root", "PUT", "/v1/access/roles/read-a-", { grants: [] });
    assert.equal(put.status, 200);
    assert.equal((await scene.send("read a/", "GET", "/v1/kv/a/1")).status, 403);
  });
});

describe("the header of a token", () => {
  it("is taken in no other form", async () => {
    const { fixture } = AccessScene.whole();
    const { authorization = "" } = bearer("root");
    const token = authorization.slice("Bearer ".length);
    for (
      const [header, status] of [
        [`BEARER  ${token} `, 200],
        [token, 401],
        [`Basic ${btoa(token)}`, 401],
        [`Bearer ${token}x`, 401],
        [`Bearer ${token.slice(0, -1)}`, 401],
        [`Bearer ${token.toUpperCase()}`, 401],
        [`Bearer ${token}, Bearer ${token}`, 401],
        ["Bearer ", 401],
        ["", 401],
      ] as const
    ) {
      const answer = await fixture.send("GET", "/v1/status", {
        headers: { authorization: header },
      });
      assert.equal(answer.status, status, header);
    }
  });
});
