/** Changing who takes part, on replicas that run: asked of any node, idempotent, and without a write lost. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChangeRefused, OutcomeUnknown } from "../../src/errors.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { MemberRequest } from "../../src/ports.ts";
import type { Replica } from "../../src/replica.ts";
import { put, TestCluster, until } from "./cluster.ts";

const LONG_MS = 5000;

async function withCluster(
  size: number,
  test: (
    cluster: TestCluster,
    leader: Replica<KvResult>,
    follower: Replica<KvResult>,
  ) => Promise<void>,
  settings: ConstructorParameters<typeof TestCluster>[1] = {},
): Promise<void> {
  const cluster = new TestCluster(size, settings);
  await cluster.start();
  try {
    const leader = await cluster.leader();
    await test(cluster, leader, cluster.followers(leader.id)[0] ?? leader);
  } finally {
    await cluster.stop();
  }
}

function add(id: string, how: { readonly voter: boolean } = { voter: true }): MemberRequest {
  return { type: "add", id, url: `http://${id}`, ...how };
}

async function refusal(change: Promise<unknown>): Promise<string> {
  const error = await change.then(() => null, (reason: unknown) => reason);
  assert.ok(error instanceof ChangeRefused, String(error));
  return error.code;
}

describe("members", () => {
  it("a newcomer gets what is there, becomes a voter, and counts", async () => {
    await withCluster(1, async (cluster, leader) => {
      await leader.propose(put("a", "1"), LONG_MS);
      await cluster.join("n2");
      const { configuration, changing } = await leader.changeMembers(add("n2"), LONG_MS);
      assert.deepEqual([configuration.voters, changing], [["n1", "n2"], false]);
      await cluster.replica("n2").read("linearizable", LONG_MS);
      assert.equal(cluster.value("n2", "a"), "1");
      // Two voters: without the other one nothing is written.
      await cluster.crash("n2");
      await assert.rejects(leader.propose(put("a", "2"), 300));
    });
  });

  it("a newcomer whose log is gone gets a snapshot, with the members in it", async () => {
    await withCluster(1, async (cluster, leader) => {
      for (let i = 0; i < 30; i++) await leader.propose(put(`k${i}`, "v"), LONG_MS);
      await until("a snapshot was taken", () => leader.status().snapshotIndex > 0);
      await cluster.join("n2");
      await leader.changeMembers(add("n2"), LONG_MS);
      await cluster.replica("n2").read("linearizable", LONG_MS);
      assert.ok(cluster.replica("n2").status().firstIndex > 1);
      assert.equal(cluster.value("n2", "k0"), "v");
    }, { snapshotEntries: 10, trailingEntries: 0 });
  });

  it("a snapshot that a follower gets says who takes part, also to the next one that it takes", async () => {
    await withCluster(3, async (cluster, leader, follower) => {
      await cluster.crash(follower.id);
      await leader.changeMembers(add("n4", { voter: false }), LONG_MS);
      for (let i = 0; i < 30; i++) await leader.propose(put(`k${i}`, "v"), LONG_MS);
      await until("a snapshot was taken", () => leader.status().snapshotIndex > 10);
      await cluster.start([follower.id]);
      const again = cluster.replica(follower.id);
      await again.read("linearizable", LONG_MS);
      assert.ok(again.status().firstIndex > 10);
      assert.deepEqual(again.appliedConfiguration.learners, ["n4"]);
      assert.deepEqual(again.status().configuration.learners, ["n4"]);
    }, { snapshotEntries: 10, trailingEntries: 0 });
  });

  it("a follower hands the request on, and the same again changes nothing", async () => {
    await withCluster(3, async (cluster, leader, follower) => {
      await cluster.join("n4");
      await follower.changeMembers(add("n4"), LONG_MS);
      const before = leader.status().lastIndex;
      const { configuration } = await follower.changeMembers(add("n4"), LONG_MS);
      assert.deepEqual(configuration.voters.toSorted(), ["n1", "n2", "n3", "n4"]);
      assert.equal(leader.status().lastIndex, before);
    });
  });

  it("a learner gets the log, never votes, and reads linearizably with the leader", async () => {
    await withCluster(3, async (cluster, leader) => {
      await cluster.join("n4");
      const view = await leader.changeMembers(add("n4", { voter: false }), LONG_MS);
      assert.deepEqual(view.configuration.learners, ["n4"]);
      await leader.propose(put("a", "1"), LONG_MS);
      const learner = cluster.replica("n4");
      await learner.read("linearizable", LONG_MS);
      assert.equal(cluster.value("n4", "a"), "1");
      assert.equal(learner.status().role, "learner");
      const { result } = await learner.propose(put("a", "2"), LONG_MS);
      assert.ok(result);
    });
  });

  it("a change to others removes the leader too, and writes go on", async () => {
    await withCluster(3, async (cluster, leader) => {
      await leader.propose(put("a", "1"), LONG_MS);
      await cluster.join("n4", "n5");
      const [second, third] = cluster.followers(leader.id).map(({ id }) => id);
      assert.ok(second !== undefined && third !== undefined);
      const voters = [second, "n4", "n5"].map((id) => ({ id, url: `http://${id}` }));
      const gone = [leader.id, third];
      // Writes go on through a node that stays, and each is answered with its place.
      let written = 0;
      let changed = false;
      const writes = (async () => {
        while (!changed) {
          await cluster.replica(second).propose(put("b", String(++written)), LONG_MS);
        }
      })();
      const { configuration, changing } = await cluster.replica(second).changeMembers(
        { type: "set", voters, learners: [] },
        LONG_MS,
      );
      changed = true;
      await writes;
      assert.equal(changing, false);
      assert.deepEqual(configuration.voters.toSorted(), [second, "n4", "n5"].toSorted());
      assert.deepEqual(configuration.removed?.toSorted(), gone.toSorted());
      await Promise.all(gone.map((id) => cluster.replica(id).removed));
      for (const id of gone) await cluster.crash(id);
      await cluster.replica("n4").read("linearizable", LONG_MS);
      assert.equal(cluster.value("n4", "a"), "1");
      assert.equal(cluster.value("n4", "b"), String(written));
      assert.ok(written > 0);
    });
  });

  it("answers while a newcomer is still awaited, refuses another change, and takes the newcomer back", async () => {
    await withCluster(3, async (_, leader, follower) => {
      const { configuration, changing } = await follower.changeMembers(add("n4"), 300);
      assert.equal(changing, true);
      assert.deepEqual(configuration.learners, ["n4"]);
      assert.equal(await refusal(leader.changeMembers(add("n5"), 300)), "change_in_progress");
      assert.equal(leader.members().changing, true);
      const after = await follower.changeMembers({ type: "remove", id: "n4" }, LONG_MS);
      assert.deepEqual([after.changing, after.configuration.learners], [false, []]);
      assert.equal(await refusal(leader.changeMembers(add("n4"), 300)), "bad_request");
    });
  });

  it("replaces a dead member in one change, in the same role, and again it is so already", async () => {
    await withCluster(3, async (cluster, leader, follower) => {
      await cluster.join("n4");
      await cluster.crash(follower.id);
      const request = {
        type: "replace",
        id: "n4",
        url: "http://n4",
        replaces: follower.id,
      } as const;
      const { configuration, changing } = await leader.changeMembers(request, LONG_MS);
      assert.equal(changing, false);
      assert.deepEqual([configuration.voters.length, configuration.removed], [3, [follower.id]]);
      assert.ok(configuration.voters.includes("n4"));
      const before = leader.status().lastIndex;
      await leader.changeMembers(request, LONG_MS);
      assert.equal(leader.status().lastIndex, before);
      const other = { ...request, id: "n5", url: "http://n5" };
      assert.equal(await refusal(leader.changeMembers(other, LONG_MS)), "bad_request");
      const stranger = { ...other, replaces: "n9" };
      assert.equal(await refusal(leader.changeMembers(stranger, LONG_MS)), "not_found");
    });
  });

  it("a change that was cut off with its leader is not called over behind another leader's snapshot", async () => {
    await withCluster(3, async (cluster, deposed) => {
      const others = cluster.followers(deposed.id);
      for (const { id } of others) {
        cluster.network.cut(deposed.id, id);
        cluster.network.cut(id, deposed.id);
      }
      const change = deposed.changeMembers({ type: "remove", id: others[0]?.id ?? "" }, LONG_MS);
      const fate = change.then(() => null, (reason: unknown) => reason);
      await until(
        "another leads",
        () => others.some(({ id }) => id === others[0]?.status().leader),
      );
      const { leader } = others[0]?.status() ?? {};
      for (let i = 0; i < 30; i++) {
        await cluster.replica(leader ?? "").propose(put(`k${i}`, "v"), LONG_MS);
      }
      for (const { id } of others) {
        cluster.network.heal(deposed.id, id);
        cluster.network.heal(id, deposed.id);
      }
      assert.ok(await fate instanceof OutcomeUnknown, String(await fate));
      assert.equal(deposed.members().configuration.voters.length, 3);
    }, { snapshotEntries: 5, trailingEntries: 0 });
  });

  it("is refused where no majority of those who would be left answers", async () => {
    await withCluster(3, async (cluster, leader, follower) => {
      const other = cluster.followers(leader.id).find(({ id }) => id !== follower.id);
      assert.ok(other);
      await cluster.crash(other.id);
      const silent = async (): Promise<string> =>
        await leader.changeMembers({ type: "remove", id: follower.id }, LONG_MS).then(
          () => "done",
          (error: unknown) => error instanceof ChangeRefused ? error.code : String(error),
        );
      // It has to be silent for a while.
      await until("it is refused", async () => {
        const { lastReply = null } = leader.status().progress.find(({ id }) => id === other.id) ??
          {};
        return lastReply !== null && performance.now() - lastReply > 1000;
      });
      assert.equal(await silent(), "bad_request");
      const { configuration } = await leader.changeMembers(
        { type: "remove", id: other.id },
        LONG_MS,
      );
      assert.deepEqual(configuration.voters.toSorted(), [leader.id, follower.id].toSorted());
    });
  });

  it("whoever was removed is not removed twice, and who was never there is not found", async () => {
    await withCluster(3, async (_, leader, follower) => {
      await leader.changeMembers({ type: "remove", id: follower.id }, LONG_MS);
      const { configuration } = await leader.changeMembers(
        { type: "remove", id: follower.id },
        LONG_MS,
      );
      assert.deepEqual(configuration.removed, [follower.id]);
      const stranger = leader.changeMembers({ type: "remove", id: "n9" }, LONG_MS);
      assert.equal(await refusal(stranger), "not_found");
    });
  });

  it("what makes no sense is refused, and changes nothing", async () => {
    await withCluster(3, async (_, leader, follower) => {
      const before = leader.status().lastIndex;
      const all = ["n1", "n2", "n3"].map((id) => ({ id, url: null }));
      const bad: MemberRequest[] = [
        { type: "set", voters: [], learners: all },
        { type: "set", voters: [...all, { id: "n9", url: null }], learners: [] },
        { type: "set", voters: all, learners: [{ id: "n1", url: null }] },
        { type: "set", voters: [...all, { id: "n9", url: "http://n1" }], learners: [] },
        { type: "set", voters: [{ id: "n1", url: "http://elsewhere" }], learners: [] },
        { type: "add", id: "n1", url: "http://elsewhere", voter: true },
        { type: "add", id: "n9", url: "http://n2", voter: true },
        { type: "add", id: "n1", url: "http://n1", voter: false },
        // Names that every object has something by.
        { type: "set", voters: [...all, { id: "__proto__", url: null }], learners: [] },
        { type: "set", voters: [...all, { id: "constructor", url: null }], learners: [] },
      ];
      for (const request of bad) {
        assert.equal(await refusal(follower.changeMembers(request, LONG_MS)), "bad_request");
      }
      assert.equal(leader.status().lastIndex, before);
    });
  });

  it("takes ids that every object has something by", async () => {
    await withCluster(1, async (_, leader) => {
      for (const id of ["__proto__", "constructor"]) {
        const { configuration } = await leader.changeMembers(add(id, { voter: false }), LONG_MS);
        assert.equal(new Map(Object.entries(configuration.urls)).get(id), `http://${id}`);
      }
    });
  });

  for (
    const [how, settings] of [
      ["another leader's entry", {}],
      ["a snapshot", { snapshotEntries: 10, trailingEntries: 0 }],
    ] as const
  ) {
    it(`a change that was cut, and ${how} stands in its place, is never said to be done`, async () => {
      await withCluster(3, async (cluster, leader, follower) => {
        const others = cluster.followers(leader.id).map(({ id }) => id);
        const { network } = cluster;
        for (const id of others) network.cut(leader.id, id);
        for (const id of others) network.cut(id, leader.id);
        const request: MemberRequest = { type: "remove", id: follower.id };
        const outcome = leader.changeMembers(request, LONG_MS).then(() => "done", String);
        const successor = () =>
          others.map((id) => cluster.replica(id)).find((one) => one.status().role === "leader");
        await until("another leads", () => successor() !== undefined);
        for (let i = 0; i < 40; i++) await successor()?.propose(put("a", `${i}`), LONG_MS);
        for (const id of others) network.heal(leader.id, id);
        for (const id of others) network.heal(id, leader.id);
        assert.match(await outcome, /^(NotApplied|OutcomeUnknown)/);
        assert.equal(successor()?.members().configuration.voters.length, 3);
      }, settings);
    });
  }

  it("what may have begun is unknown: no majority has it, or the answer was lost on its way", async () => {
    await withCluster(3, async (cluster, leader, follower) => {
      const { network } = cluster;
      network.cut(leader.id, follower.id);
      const asked = follower.changeMembers(add("n8", { voter: false }), 400);
      await assert.rejects(asked, OutcomeUnknown);
      assert.deepEqual(leader.members().configuration.learners, ["n8"]);
      network.heal(leader.id, follower.id);
      await until("it is led again", () => follower.status().leader !== null);
      const current = await cluster.leader();
      for (const { id } of cluster.followers(current.id)) network.cut(current.id, id);
      // Before it leaves its office for want of a majority.
      await assert.rejects(current.changeMembers(add("n9", { voter: false }), 50), OutcomeUnknown);
      assert.ok(current.members().changing);
    });
  });

  it("a follower hands over the leader's office", async () => {
    await withCluster(3, async (cluster, leader, follower) => {
      assert.equal(await follower.transferLeadership(follower.id, LONG_MS), follower.id);
      assert.equal((await cluster.leader()).id, follower.id);
      assert.notEqual(follower.id, leader.id);
    });
  });

  it("binds a member to the life of its disk that came first", async () => {
    await withCluster(3, async (_, leader) => {
      await leader.changeMembers(add("n4", { voter: false }), LONG_MS);
      leader.bind("n4", "first");
      const bound = () => leader.status().configuration.incarnations;
      await until("it is bound", () => bound() !== undefined && !leader.members().changing);
      leader.bind("n4", "second");
      leader.bind("n9", "stranger");
      assert.deepEqual(bound(), { n4: "first" });
    });
  });
});
