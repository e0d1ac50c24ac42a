import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HelloReply } from "../../src/adapters/peer-hello.ts";
import { PeerUnreachable } from "../../src/errors.ts";
import type { Configuration } from "../../src/raft/types.ts";
import { isAwaited } from "../../runtimes/member.ts";
import { watchForRemoval } from "../../runtimes/removal-watch.ts";
import { ManualClock } from "./newcomers.ts";

const birth: Configuration = {
  voters: ["n1", "n2", "n3"],
  outgoing: [],
  learners: [],
  urls: { n1: "http://n1", n2: "http://n2", n3: "http://n3" },
};
const without: Configuration = { ...birth, voters: ["n1", "n3"], removed: ["n2"] };

/** n2 asks, and gets these answers; null: nobody is there. */
async function watched(
  answers: Readonly<Record<string, HelloReply | null>>,
  options: { readonly leaders?: readonly (string | null)[] } = {},
) {
  const clock = new ManualClock();
  const asked: string[] = [];
  let removals = 0;
  const { leaders = [null] } = options;
  const cancel = watchForRemoval({
    self: { id: "n2", incarnation: "two" },
    clusterId: "c1",
    leader: () => leaders[Math.min(Math.floor(clock.now() / 1000), leaders.length - 1)] ?? null,
    configuration: () => birth,
    sayHello: async ({ id }, hello) => {
      assert.deepEqual(hello, { from: "n2", to: id, incarnation: "two", peers: null });
      asked.push(id);
      const answer = answers[id] ?? null;
      if (answer === null) throw new PeerUnreachable("nobody is there", false);
      return answer;
    },
    clock,
    onRemoved: () => removals++,
  });
  await clock.run(20_000);
  cancel();
  await clock.run(40_000);
  return { asked, removals };
}

function member(clusterId: string, configuration: Configuration): HelloReply {
  return { state: "member", clusterId, birth, configuration, leader: null };
}

describe("a member that knows no leader", () => {
  it("asks now and then whether it was removed, and hears it once", async () => {
    const gone = await watched({ n1: null, n3: member("c1", without) });
    assert.equal(gone.removals, 1);
    assert.deepEqual(gone.asked.toSorted(), ["n1", "n3"]);
  });

  it("goes on asking where nobody says so, until it is told to end", async () => {
    const { asked, removals } = await watched({ n1: member("c1", birth), n3: null });
    assert.equal(removals, 0);
    const rounds = asked.length / 2;
    assert.ok(rounds >= 3 && rounds <= 4, `${rounds} rounds in 20 s`);
  });

  it("does not ask while it knows one, and believes no other cluster", async () => {
    const known = await watched({ n1: member("c1", without) }, { leaders: ["n1"] });
    assert.deepEqual([known.asked, known.removals], [[], 0]);
    const leaders = Array.from({ length: 20 }, (_, second) => second % 4 === 0 ? "n1" : null);
    assert.deepEqual((await watched({ n1: member("c1", without) }, { leaders })).asked, []);
    assert.equal((await watched({ n1: member("c2", without) })).removals, 0);
    assert.equal((await watched({ n1: { state: "waiting" } })).removals, 0);
  });
});

describe("whom a leader binds", () => {
  const urls = { ...birth.urls, n4: "http://n4" };
  const added: Configuration = { ...birth, learners: ["n4"], urls };

  it("is a member that was added and has not come yet", () => {
    assert.ok(isAwaited(added, birth, "n4"));
    assert.ok(!isAwaited(birth, birth, "n4"));
    assert.ok(!isAwaited({ ...added, incarnations: { n4: "four" } }, birth, "n4"));
    assert.ok(isAwaited({ ...added, incarnations: { n1: "one" } }, birth, "n4"));
  });

  it("is no first member, not even of a cluster from before there were incarnations", () => {
    assert.ok(!isAwaited(birth, birth, "n2"));
  });
});
