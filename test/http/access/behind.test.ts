/** A node that has not heard yet that its cluster asks for tokens, and was not told to ask for any itself. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { credentials } from "../../../src/adapters/access-tokens.ts";
import { doubtsMax } from "../../../src/http/access/confirmations.ts";
import { fromInside } from "../../../src/http/access/gate.ts";
import { KvMachine } from "../../../src/kv/machine.ts";
import { assertProblem } from "../fixture.ts";
import { AccessScene, bearer, type Kind } from "./scene.ts";

/** Hears of everything when it first asks the leader. */
function unaware(): AccessScene {
  const machine = new KvMachine();
  const scene = AccessScene.whole({ machine, access: { auth: false, credentials } });
  scene.replica.read = async () => {
    await machine.restore(scene.replica.machine.snapshot().chunks() as never);
  };
  return scene;
}

const requests: readonly (readonly [Kind, string, string, (string | object)?])[] = [
  ["write a/", "PUT", "/v1/kv/a/new", "v"],
  ["read a/", "GET", "/v1/kv/a/1"],
  ["read a/", "POST", "/v1/txn", { then: [{ get: { key: "a/1" } }] }],
  ["write a/", "POST", "/v1/batch", { ops: [{ put: { key: "a/new", value: "v" } }] }],
  ["member", "PUT", "/v1/leader", { id: "n2" }],
  ["member", "POST", "/v1/members", { id: "n9", url: "http://127.0.0.1:4009" }],
  ["member", "PUT", "/v1/members", { voters: ["n1"] }],
  ["member", "DELETE", "/v1/members/n3"],
  ["root", "POST", "/v1/access/tokens", { name: "x", roles: [] }],
  ["root", "GET", "/v1/access/tokens"],
];

describe("a node that has not heard of tokens yet", () => {
  for (const [kind, method, target, body] of requests) {
    it(`lets in whose token allows it, and nobody else: ${method} ${target}`, async () => {
      const answer = await unaware().send(kind, method, target, body);
      assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
      const scene = unaware();
      let changed = 0;
      scene.replica.membership.change = () => assert.fail(`${changed++}`);
      const revision = scene.replica.machine.store.revision;
      const refused = await scene.send("no token", method, target, body);
      const outcome = method === "GET" ? undefined : "not_applied";
      await assertProblem(refused, 401, "unauthenticated", outcome);
      assert.equal((await unaware().send("nothing", method, target, body)).status, 403);
      assert.deepEqual([changed, scene.replica.transferredTo], [0, null]);
      assert.equal(scene.replica.machine.store.revision, revision);
    });
  }

  it("does what its own process asks for", async () => {
    const { fixture } = unaware();
    const asked = new Request("http://localhost/v1/kv/k", { method: "PUT", body: "v" });
    assert.equal((await fixture.app.request(asked, {}, { origin: fromInside })).status, 201);
  });
});

describe("a change of members", () => {
  it("is refused where its token is deleted while the body is on its way", async () => {
    const scene = AccessScene.whole();
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        scene.revoke("member");
        controller.enqueue(new TextEncoder().encode('{"id":"n2"}'));
        controller.close();
      },
    }, { highWaterMark: 0 });
    const init = { body, duplex: "half", headers: bearer("member") };
    const answer = await scene.fixture.send("PUT", "/v1/leader", { method: "PUT", ...init });
    await assertProblem(answer, 401, "unauthenticated", "not_applied");
    assert.equal(scene.replica.transferredTo, null);
  });
});

describe("strangers whose tokens nobody knows", () => {
  it("take no operator's place, and none of those whose tokens are known", async () => {
    const scene = AccessScene.whole({
      limits: { operatorRequestsMax: 1 },
      now: () => performance.now(),
    });
    const answer = Promise.withResolvers<void>();
    scene.replica.read = () => answer.promise;
    const strangers = Array.from(
      { length: doubtsMax + 1 },
      () => scene.send("unknown", "GET", "/v1/members").then(({ status }) => status),
    );
    const asked = scene.send("member", "DELETE", "/v1/members/n3");
    answer.resolve();
    assert.equal((await asked).status, 200);
    const statuses = await Promise.all(strangers);
    assert.equal(statuses.filter((status) => status === 401).length, doubtsMax);
  });
});
