/** Who waits for a leader's word on who may what is answered in time, whoever else waits for it. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { NotApplied } from "../../../src/errors.ts";
import { Confirmations } from "../../../src/http/access/confirmations.ts";
import { assertProblem } from "../fixture.ts";
import { AccessScene, bearer } from "./scene.ts";

const never = new Promise<never>(() => {});
const now = (): number => performance.now();

describe("a question to a leader that doesn't answer", () => {
  it("keeps nobody beyond their own time, not even who waits for the next one", async () => {
    const confirmations = new Confirmations({
      replica: { read: () => never },
      timeoutMs: 60_000,
      now,
    });
    const asked = [1, 2, 3].map((ms) => confirmations.confirm(now() + ms, "stranger"));
    for (const each of await Promise.allSettled(asked)) {
      assert.equal(each.status, "rejected");
      assert.ok(each.reason instanceof NotApplied);
      assert.equal(each.reason.reason, "no_leader");
    }
  });

  it("is heard of by whoever still waits, when others have given up", async () => {
    const answer = Promise.withResolvers<void>();
    const confirmations = new Confirmations({
      replica: { read: () => answer.promise },
      timeoutMs: 60_000,
      now,
    });
    const patient = confirmations.confirm(now() + 60_000, "bearer");
    await assert.rejects(confirmations.confirm(now() + 1, "stranger"), NotApplied);
    answer.resolve();
    await patient;
  });
});

describe("a request with a doubtful token", () => {
  const scene = (): AccessScene => {
    const made = AccessScene.whole({ now, limits: { requestTimeoutMs: 5 } });
    made.replica.read = () => never;
    return made;
  };

  it("is answered within the request timeout where nobody leads", async () => {
    const { fixture } = scene();
    const headers = bearer("unknown");
    const ask = () => fixture.send("GET", "/v1/kv/a/1", { headers });
    for (const answer of await Promise.all([ask(), ask()])) {
      await assertProblem(answer, 503, "no_leader");
    }
  });

  it("that changes members has what is left of its time, not all of it again", async () => {
    for (
      const [method, target, body] of [
        ["POST", "/v1/members", { id: "n9", url: "http://127.0.0.1:4009" }],
        ["PUT", "/v1/members", { voters: ["n1"] }],
        ["DELETE", "/v1/members/n3", undefined],
        ["PUT", "/v1/leader", { id: "n2" }],
      ] as const
    ) {
      // Each look at its clock takes a second of the two.
      const late = AccessScene.whole();
      const given: number[] = [];
      const { changeMembers, transferLeadership } = late.replica;
      Object.assign(late.replica, {
        changeMembers: (request: never, timeoutMs: number) => {
          given.push(timeoutMs);
          return changeMembers.call(late.replica, request);
        },
        transferLeadership: (id: string | null, timeoutMs: number) => {
          given.push(timeoutMs);
          return transferLeadership.call(late.replica, id);
        },
      });
      assert.ok((await late.send("member", method, target, body)).ok, target);
      assert.deepEqual(given, [1], `${method} ${target}`);
    }
  });
});
