import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, connect } from "../../src/client/mod.ts";
import {
  answer,
  type Asked,
  failure,
  problem,
  refused,
  reset,
  scripted,
  type Step,
} from "./fake-fetch.ts";

const n4 = { id: "n4", url: "http://127.0.0.1:4004" };
const member = { id: "n1", url: "http://127.0.0.1:4001", voter: true, match: 9, lagMs: 0 };
const seen = { members: [member], change: null };
const noLeader = problem(503, "no_leader", { outcome: "not_applied" });
const unknown = problem(504, "outcome_unknown", { outcome: "unknown" });
const running = problem(409, "change_in_progress", { outcome: "not_applied" });

function clientOf(...steps: Step[]): { client: Client; asked: Asked[] } {
  const { fetch, asked } = scripted(...steps);
  const endpoints = ["http://a", "http://b"];
  return { client: connect({ endpoints, fetch, timeoutMs: 2_000 }), asked };
}

const said = ({ method, url, body }: Asked): string => `${method} ${url.slice(8)} ${body}`.trim();

describe("a client's members", () => {
  it("are read as the server's contract has them", async () => {
    const { client, asked } = clientOf(answer(200, seen));
    assert.deepEqual(await client.members(), seen);
    await client.members({ consistency: "stale", maxStaleMs: 50 });
    assert.deepEqual(asked.map(said), [
      "GET /v1/members",
      "GET /v1/members?consistency=stale&max_stale=50ms",
    ]);
    const odd = clientOf(answer(200, { members: [{}], change: null }));
    assert.equal((await failure(odd.client.members())).code, "bad_answer");
  });

  it("are added, as voters unless told otherwise", async () => {
    const { client, asked } = clientOf(
      answer(201, { ...n4, voter: true }),
      answer(202, { ...n4, voter: false, detail: "it catches up" }),
    );
    assert.deepEqual(await client.addMember(n4), {
      ...n4,
      voter: true,
      isOver: true,
      detail: null,
    });
    assert.deepEqual(await client.addMember({ ...n4, voter: false }), {
      ...n4,
      voter: false,
      isOver: false,
      detail: "it catches up",
    });
    assert.deepEqual(asked.map(({ body }) => JSON.parse(body)), [
      n4,
      { ...n4, voter: false },
    ]);
    assert.equal(asked[0]?.headers.get("content-type"), "application/json");
  });

  it("are removed and set", async () => {
    const { client, asked } = clientOf(
      answer(200, { removed: "n4" }),
      answer(202, { removing: "n4", detail: "it goes on" }),
      answer(200, seen),
    );
    assert.deepEqual(await client.removeMember("n4"), { isOver: true, detail: null });
    assert.deepEqual(await client.removeMember("n4"), { isOver: false, detail: "it goes on" });
    const set = await client.setMembers({ voters: ["n1", n4] });
    assert.deepEqual(set, { ...seen, isOver: true, detail: null });
    assert.deepEqual(asked.map(said), [
      "DELETE /v1/members/n4",
      "DELETE /v1/members/n4",
      `PUT /v1/members ${JSON.stringify({ voters: ["n1", n4], learners: [] })}`,
    ]);
  });

  it("are changed again, elsewhere, where an attempt's fate is unknown", async () => {
    for (const lost of [unknown, reset, noLeader, refused]) {
      const { client, asked } = clientOf(lost, answer(200, { removed: "n4" }));
      assert.equal((await client.removeMember("n4")).isOver, true);
      assert.equal(asked.length, 2);
      assert.notEqual(asked[0]?.url, asked[1]?.url);
    }
  });

  it("are not changed again once it is refused for good; what came before stays unknown", async () => {
    const refusal = clientOf(running);
    const first = await failure(refusal.client.addMember(n4));
    assert.deepEqual([first.code, first.outcome], ["change_in_progress", "not_applied"]);
    assert.equal(refusal.asked.length, 1);
    const behind = clientOf(unknown, running);
    assert.equal((await failure(behind.client.addMember(n4))).outcome, "unknown");
  });
});

describe("a client's transfer of leadership", () => {
  it("says who leads, and is repeated to the same node", async () => {
    const { client, asked } = clientOf(unknown, answer(200, { leader: "n2" }));
    assert.equal(await client.transferLeadership("n2"), "n2");
    assert.deepEqual(asked.map(({ body }) => body), ['{"id":"n2"}', '{"id":"n2"}']);
  });

  it("is not begun anew where nobody took over, or anybody may have", async () => {
    const late = clientOf(problem(503, "not_ready", { outcome: "not_applied" }));
    assert.equal((await failure(late.client.transferLeadership("n2"))).code, "not_ready");
    assert.equal(late.asked.length, 1);
    const any = clientOf(unknown);
    assert.equal((await failure(any.client.transferLeadership(null))).outcome, "unknown");
    assert.equal(any.asked.length, 1);
  });
});
