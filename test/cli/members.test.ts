import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { statusOf } from "../../src/cli/command.ts";
import { progressLine } from "../../src/cli/member-progress.ts";
import { run } from "../../src/cli/run.ts";
import type { StatusAnswer } from "../../src/client/mod.ts";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { type Fixture, fixture } from "../http/fixture.ts";
import { type AppServer, serveApp } from "./app-server.ts";
import { type Ended, runBatch, startCli } from "./processes.ts";

const url = (n: number): string => `http://127.0.0.1:${4000 + n}`;

describe("member and leader", () => {
  it("refuse a wrong command line before they ask anybody", async () => {
    for (
      const [line, message] of [
        ["member", /^ACTION is missing|^member takes list, add/],
        ["member rename n1", /^member takes list, add, remove, replace, promote; got "rename"/],
        ["member list n1", /^member list: "n1" is one word too many/],
        ["member list --learner", /^member list takes no --learner/],
        ["member add", /^ID is missing/],
        ["member add n4", /^URL is missing/],
        ["member add n/4 http://a", /^ID takes 1 to 64/],
        ["member add n4 ftp://a", /^URL takes a URL without a query/],
        ["member add n4 http://169.254.1.1", /^URL takes .*not link-local/],
        ["member add n4 http://a --wait soon", /^--wait takes a duration/],
        ["member remove n1 n2", /^member remove: "n2" is one word too many/],
        ["member remove n1 --with n2=http://a", /^member remove takes no --with/],
        ["member replace n1", /^--with is missing/],
        ["member replace n1 --with n4", /^--with takes ID=URL/],
        ["member replace n1 --with n4=http://0.0.0.0", /^--with takes ID=URL/],
        ["member replace n1 --with n1=http://a", /^--with takes a new id/],
        ["member promote n1 --learner", /^member promote takes no --learner/],
        ["leader n2", /^leader takes transfer/],
        ["leader transfer n/2", /^ID takes/],
      ] as const
    ) {
      await assert.rejects(run(line.split(" ")), (error) => {
        assert.equal(statusOf(error), 2, line);
        assert.match(String(error instanceof Error ? error.message : error), message, line);
        return true;
      });
    }
  });
});

describe("a change's progress", () => {
  const member = { url: url(4), voter: false, waiting: true as const };
  const status: StatusAnswer = {
    ...{ id: "n1", clusterId: "c", role: "leader", term: 2, leader: "n1", commit: 9, applied: 9 },
    ...{ lastLog: 3500, snapshot: 0, revision: 3, runtime: "test", version: "0" },
    members: [
      { id: "n4", ...member, match: 120, lagMs: 3 },
      { id: "n5", ...member, url: url(5), match: 0, lagMs: null },
    ],
    change: { voters: ["n1", "n4", "n5"], learners: [] },
  };

  it("is told by how far those are who catch up, and that they are heard from", () => {
    assert.equal(
      progressLine(status),
      "n4 catches up: 120 of 3500; n5 has not answered yet, at http://127.0.0.1:4005",
    );
    assert.equal(
      progressLine({ ...status, role: "follower" }),
      "n4 catches up; n5 catches up",
    );
    assert.equal(progressLine({ ...status, members: [] }), "joint: n1, n4, n5 become the voters");
    assert.equal(progressLine({ ...status, change: null }), null);
  });
});

describe("the command line for members", { timeout: 60_000 }, () => {
  let f: Fixture;
  let server: AppServer;
  beforeEach(async () => {
    f = fixture();
    server = await serveApp(f);
  });
  afterEach(() => server.close());

  /** Runs command lines, whose words are parted by single spaces, one after the other. */
  const cli = (...lines: string[]): Promise<readonly Ended[]> =>
    runBatch(lines.map((line) => line.split(" ")), { HOLDFAST_ENDPOINTS: server.url });
  const one = async (line: string): Promise<Ended> => {
    const [ended] = await cli(line);
    assert.ok(ended);
    return ended;
  };
  /** What each printed, where all succeed. */
  const ok = async (...lines: string[]): Promise<string[]> => {
    const all = await cli(...lines);
    for (const [at, { status, stderr }] of all.entries()) {
      assert.equal(status, 0, `${lines[at]}: ${stderr}`);
    }
    return all.map(({ stdout }) => stdout);
  };

  it("lists who takes part, and what is under way", async () => {
    assert.match(
      (await one("member list")).stdout,
      /^ID +MEMBER +MATCH +LAG +URL\nn1 +voter, leads +0 +0 ms +http.*\nn2 +voter +3 +100 ms .*\nn3 +learner +- +- .*\n$/,
    );
    const { membership } = f.replica;
    membership.pace = "begun";
    membership.change({ type: "add", id: "n4", url: url(4), voter: true });
    const [list, json, status] = await cli("member list", "member list --json", "status");
    const way = "a change is under way, to voters n1, n2, n4, learners n3\n";
    assert.match(list?.stdout ?? "", new RegExp(`\nn4 +learner, catches up .*\n${way}$`));
    const { members, change } = JSON.parse(json?.stdout ?? "");
    assert.equal(members.length, 4);
    assert.deepEqual(change.voters, ["n1", "n2", "n4"]);
    assert.match(status?.stdout ?? "", new RegExp(`\nn1 +leader +7 +n1 +voter .*\n[^]*${way}$`));
  });

  it("adds, promotes and removes, each again without harm", async () => {
    const lines = [`member add n4 ${url(4)}`, "member promote n3", "member remove n2"];
    assert.deepEqual(await ok(...lines, `member add n5 ${url(5)} --learner`, ...lines), [
      "n4 votes\n",
      "n3 votes\n",
      "n2 is removed\n",
      "n5 is a learner\n",
      "n4 votes\n",
      "n3 votes\n",
      "n2 is removed\n",
    ]);
    const { configuration } = f.replica.membership;
    assert.deepEqual(configuration.voters, ["n1", "n4", "n3"]);
    assert.deepEqual(configuration.learners, ["n5"]);
  });

  it("replaces by one request, in the same role, and again without harm", async () => {
    const { membership } = f.replica;
    const replace = `member replace n2 --with n4=${url(4)}`;
    const said = await ok(replace, replace, `member replace n3 --with n5=${url(5)}`);
    assert.deepEqual(said, [
      "n4 has taken the place of n2\n",
      "n4 has taken the place of n2\n",
      "n5 has taken the place of n3\n",
    ]);
    const asked = { type: "replace", id: "n4", url: url(4), replaces: "n2" } as const;
    assert.deepEqual(membership.asked.slice(0, 2), [asked, asked]);
    const { voters, learners, removed } = membership.configuration;
    assert.deepEqual([voters, learners, removed], [["n1", "n4"], ["n5"], ["n2", "n3"]]);
  });

  it("waits until a change is over, and tells how far it is", async () => {
    const { membership } = f.replica;
    membership.pace = "begun";
    const env = { HOLDFAST_ENDPOINTS: server.url };
    const adding = startCli(["member", "add", "n4", url(4)], { env });
    await adding.errorLine(/^n4 has not answered yet, at http:\/\/127\.0\.0\.1:4004$/);
    membership.changing = false;
    const { next: _next, ...rest } = membership.configuration;
    membership.configuration = { ...rest, voters: ["n1", "n2", "n4"], learners: ["n3"] };
    const { status, stdout } = await adding.ended;
    assert.deepEqual([status, stdout], [0, "n4 votes\n"]);
  });

  it("tells by its exit status that a change goes on, or that nobody waited for it", async () => {
    f.replica.membership.pace = "begun";
    const add = `member add n4 ${url(4)}`;
    const [late, begun] = await cli(`${add} --wait 300ms`, `${add} --wait 0 --json`);
    assert.equal(late?.status, 6);
    assert.match(late.stderr, /the change goes on/);
    assert.equal(begun?.status, 0);
    assert.equal(JSON.parse(begun.stdout).isOver, false);
  });

  it("tells that a newcomer stays a learner, and how to try again", async () => {
    f.replica.membership.pace = "givenUp";
    const [added, replaced] = await cli(
      `member add n4 ${url(4)}`,
      `member replace n2 --with n5=${url(5)} --json`,
    );
    assert.equal(added?.status, 1);
    assert.match(added.stderr, /n4 didn't catch up and stays a learner: `member promote n4`/);
    assert.equal(replaced?.status, 1);
    assert.match(JSON.parse(replaced.stdout).missing, /n5 didn't catch up .* n2 stays/);
  });

  it("tells by its exit status what else became of a request", async () => {
    const lines = ["member remove n9", `member add n4 ${url(2)}`, "leader transfer n3"];
    const strangers = ["member promote n9", `member replace n8 --with n9=${url(9)}`];
    const refused = await cli(...lines, ...strangers);
    const whys = [/n9 is not a/, /same URL/, /n3 is not a voter/, /n9 is not a/, /n8 is not a/];
    for (const [at, why] of whys.entries()) {
      assert.equal(refused[at]?.status, 1);
      assert.match(refused[at].stderr, why);
    }
    const remove = "member remove n2 --timeout 2s";
    f.replica.membership.changing = true;
    assert.equal((await one(remove)).status, 1);
    f.replica.refusal = new NotApplied("no_leader", "none");
    assert.equal((await one(remove)).status, 5);
    f.replica.refusal = new OutcomeUnknown("lost");
    assert.equal((await one(remove)).status, 6);
    assert.deepEqual(f.replica.membership.configuration.voters, ["n1", "n2"]);
  });

  it("shows who leads, and hands it over", async () => {
    assert.deepEqual(await ok("leader", "leader --json", "leader transfer n2"), [
      "n1 leads in term 7, at http://127.0.0.1:4001\n",
      '{"leader":"n1","term":7}\n',
      "n2 leads\n",
    ]);
    assert.equal(f.replica.transferredTo, "n2");
    assert.deepEqual(await ok("leader transfer --json"), ['{"leader":"n2"}\n']);
    assert.equal(f.replica.transferredTo, null);
    f.replica.overrides = { leader: null, role: "follower" };
    assert.equal((await one("leader")).status, 5);
  });
});
