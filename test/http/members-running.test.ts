/** The routes for members over replicas that run, in one process: what a client sees while the members really change. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { createApp } from "../../src/http/app.ts";
import { Metrics } from "../../src/http/metrics.ts";
import { MembersAnswer } from "../../src/http/wire.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { TestCluster, until } from "../replica/cluster.ts";
import { assertProblem, json } from "./fixture.ts";

type Send = (id: string, method: string, path: string, body?: object) => Promise<Response>;

async function withCluster(
  size: number,
  test: (cluster: TestCluster, send: Send) => Promise<void>,
): Promise<void> {
  const cluster = new TestCluster(size);
  await cluster.start();
  const send: Send = async (id, method, path, body) => {
    const replica = cluster.replica(id);
    const { machine } = replica;
    assert.ok(machine instanceof KvMachine);
    const app = createApp({
      ...{ replica, machine, metrics: new Metrics(), runtime: "test 1.0", version: "0.1.0" },
      ...{ now: () => performance.now(), log: () => {}, leaseReads: false },
      onDefect: (error) => {
        throw error;
      },
      // A quiet newcomer is still waited for when this is over.
      limits: { requestTimeoutMs: 1000 },
    });
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
    return await app.request(path, init);
  };
  try {
    await cluster.leader();
    await test(cluster, send);
  } finally {
    await cluster.stop();
  }
}

const voters = async (response: Response): Promise<string[]> => {
  const { members } = v.parse(MembersAnswer, await json(response));
  return members.filter(({ voter }) => voter).map(({ id }) => id);
};

describe("members of a cluster that runs", () => {
  it("grow, are replaced with the leader among them, and are told alike by every node", async () => {
    await withCluster(3, async (cluster, send) => {
      const leader = await cluster.leader();
      const [follower] = cluster.followers(leader.id);
      assert.ok(follower);
      await cluster.join("n4", "n5");
      const n4 = { id: "n4", url: "http://n4" };
      assert.equal((await send(follower.id, "POST", "/v1/members", n4)).status, 201);
      assert.equal((await send(leader.id, "POST", "/v1/members", n4)).status, 200);

      const others = ["n1", "n2", "n3", "n4"].filter((id) => id !== leader.id);
      const set = { voters: [...others, { id: "n5", url: "http://n5" }] };
      const changed = await send(follower.id, "PUT", "/v1/members", set);
      assert.equal(changed.status, 200, await changed.clone().text());
      assert.deepEqual(await voters(changed), [...others, "n5"]);
      for (const id of [...others, "n5"]) {
        assert.deepEqual(await voters(await send(id, "GET", "/v1/members")), [...others, "n5"]);
      }
      assert.equal((await send("n5", "PUT", "/v1/kv/a", {})).status, 201);
      const again = { id: leader.id, url: `http://${leader.id}` };
      const back = await send("n4", "POST", "/v1/members", again);
      await assertProblem(back, 400, "bad_request", "not_applied");
    });
  });

  it("wait for a newcomer, which can be taken back; meanwhile another change is a conflict", async () => {
    await withCluster(1, async (cluster, send) => {
      const absent = { id: "n2", url: "http://n2" };
      assert.equal((await send("n1", "POST", "/v1/members", absent)).status, 202);
      const body = v.parse(MembersAnswer, await json(await send("n1", "GET", "/v1/members")));
      assert.deepEqual(body.change, { voters: ["n1", "n2"], learners: [] });
      const waiting = body.members.find(({ id }) => id === "n2");
      assert.deepEqual([waiting?.voter, waiting?.waiting], [false, true]);
      const other = await send("n1", "POST", "/v1/members", { id: "n3", url: "http://n3" });
      await assertProblem(other, 409, "change_in_progress", "not_applied");
      assert.equal((await send("n1", "DELETE", "/v1/members/n2")).status, 200);
      assert.equal((await send("n1", "DELETE", "/v1/members/n2")).status, 200);
      await assertProblem(
        await send("n1", "DELETE", "/v1/members/n9"),
        404,
        "not_found",
        "not_applied",
      );
      await assertProblem(
        await send("n1", "DELETE", "/v1/members/n1"),
        400,
        "bad_request",
        "not_applied",
      );
      assert.deepEqual(cluster.replica("n1").members().configuration.voters, ["n1"]);
    });
  });

  it("hand leadership over, asked of any node, and to whom has it already", async () => {
    await withCluster(3, async (cluster, send) => {
      const leader = await cluster.leader();
      const [target, other] = cluster.followers(leader.id);
      assert.ok(target && other);
      for (const from of [other, target, leader]) {
        const response = await send(from.id, "PUT", "/v1/leader", { id: target.id });
        assert.equal(response.status, 200, await response.clone().text());
        assert.deepEqual(await json(response), { leader: target.id });
        await until(
          "all know it",
          () =>
            [target, other, leader].every(({ id }) =>
              cluster.replica(id).status().leader === target.id
            ),
        );
      }
    });
  });
});
