import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { decodeCbor, encodeCbor } from "../../src/cbor.ts";
import { ChangeRefused, NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { AddMemberAnswer, MembersAnswer, StatusAnswer } from "../../src/http/wire.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

const url = (n: number): string => `http://127.0.0.1:${4000 + n}`;
const path = "/v1/members";
const post = (f: Fixture, body: unknown) =>
  f.send("POST", path, { body: typeof body === "string" ? body : JSON.stringify(body) });
const put = (f: Fixture, body: unknown) => f.send("PUT", path, { body: JSON.stringify(body) });
const remove = (f: Fixture, id: string) => f.send("DELETE", `${path}/${id}`);

/** Ids with what they are: `n4?` is a learner that becomes a voter, `n3-` one that doesn't. */
async function shown(response: Response): Promise<string> {
  const { members } = v.parse(MembersAnswer, await json(response));
  return members.map(({ id, voter, waiting }) => id + (voter ? "" : waiting ? "?" : "-")).join(" ");
}

describe("GET /v1/members", () => {
  it("says who takes part, once a leader has confirmed the read", async () => {
    const { app, replica } = fixture();
    const body = await json(await app.request(path));
    assert.deepEqual(body, {
      members: [
        { id: "n1", url: url(1), voter: true, match: 0, lagMs: 0 },
        { id: "n2", url: url(2), voter: true, match: 3, lagMs: 100 },
        { id: "n3", url: url(3), voter: false, match: null, lagMs: null },
      ],
      change: null,
    });
    assert.deepEqual(replica.reads, ["linearizable"]);
    replica.refusal = new NotApplied("no_leader", "none");
    await assertProblem(await app.request(path), 503, "no_leader");
  });

  it("answers from this node alone where it was asked to, and says how old that is", async () => {
    const { app, replica } = fixture();
    replica.refusal = new NotApplied("no_leader", "none");
    replica.staleness = 30;
    const response = await app.request(`${path}?consistency=stale`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("holdfast-staleness-ms"), "30");
    await assertProblem(await app.request(`${path}?consistency=no`), 400, "bad_request");
  });

  it("shows voters of both halves while a change is joint, and what it ends in", async () => {
    const { app, replica } = fixture();
    replica.membership.changing = true;
    replica.membership.configuration = {
      ...replica.membership.configuration,
      voters: ["n3", "n2"],
      outgoing: ["n1", "n2"],
      learners: [],
      next: { voters: ["n3", "n2"], learners: [] },
    };
    const body = v.parse(MembersAnswer, await json(await app.request(path)));
    assert.deepEqual(body.members.map(({ id, voter }) => [id, voter]), [
      ["n1", true],
      ["n2", true],
      ["n3", true],
    ]);
    assert.deepEqual(body.change, { voters: ["n2", "n3"], learners: [] });
  });

  it("shows who waits to become a voter, and so do status and metrics", async () => {
    const f = fixture();
    f.replica.membership.pace = "begun";
    await post(f, { id: "n4", url: url(4) });
    const change = { voters: ["n1", "n2", "n4"], learners: ["n3"] };
    assert.equal(await shown(await f.app.request(path)), "n1 n2 n3- n4?");
    const status = v.parse(StatusAnswer, await json(await f.app.request("/v1/status")));
    assert.deepEqual(status.change, change);
    assert.equal(status.members.find(({ id }) => id === "n4")?.waiting, true);
    const metrics = await (await f.app.request("/metrics")).text();
    assert.match(metrics, /^holdfast_membership_members{kind="learner"} 2$/m);
    assert.match(metrics, /^holdfast_membership_change_in_progress 1$/m);
  });

  it("speaks CBOR where it is asked to", async () => {
    const { app } = fixture();
    const response = await app.request(path, { headers: { accept: "application/cbor" } });
    const limits = { totalBytesMax: 9999, depthMax: 9, itemsMax: 99 };
    const bytes = new Uint8Array(await response.arrayBuffer());
    const decoded = decodeCbor(bytes, { ...limits, textBytesMax: 99, byteStringBytesMax: 99 });
    assert.ok(v.is(MembersAnswer, decoded));
  });
});

describe("POST /v1/members", () => {
  it("is 201 once the member votes, and 200 where it did before", async () => {
    const f = fixture();
    const member = { id: "n4", url: url(4) };
    const first = await post(f, member);
    assert.equal(first.status, 201);
    assert.deepEqual(await json(first), { ...member, voter: true });
    const again = await post(f, member);
    assert.equal(again.status, 200);
    assert.deepEqual(await json(again), { ...member, voter: true });
    assert.equal(await shown(await f.app.request(path)), "n1 n2 n3- n4");
  });

  it("takes a learner in, and promotes one that is known by this URL", async () => {
    const f = fixture();
    const edge = { id: "n4", url: url(4), voter: false };
    assert.equal((await post(f, edge)).status, 201);
    assert.equal((await post(f, edge)).status, 200);
    const promoted = await post(f, { id: "n3", url: url(3) });
    assert.equal(promoted.status, 201);
    assert.equal((await json(promoted))["voter"], true);
    assert.equal(await shown(await f.app.request(path)), "n1 n2 n3 n4-");
  });

  it("is 202 and says so where the newcomer still catches up", async () => {
    const f = fixture();
    f.replica.membership.pace = "begun";
    for (const _ of [1, 2]) {
      const response = await post(f, { id: "n4", url: url(4) });
      assert.equal(response.status, 202);
      const answer = v.parse(AddMemberAnswer, await json(response));
      assert.equal(answer.voter, false);
      assert.match(answer.detail ?? "", /once it has caught up/);
    }
    const other = fixture();
    other.replica.membership.pace = "joint";
    assert.equal((await post(other, { id: "n5", url: url(5) })).status, 202);
  });

  it("puts one in the place of another, in the same role", async () => {
    const f = fixture();
    const voter = { id: "n4", url: url(4), replaces: "n2" };
    const learner = { id: "n5", url: url(5), replaces: "n3" };
    for (const [request, status] of [[voter, 201], [voter, 200], [learner, 201]] as const) {
      const response = await post(f, request);
      assert.equal(response.status, status);
      assert.equal((await json(response))["voter"], request === voter);
    }
    assert.equal(await shown(await f.app.request(path)), "n1 n4 n5-");
    const refusals = [
      [{ ...voter, voter: true }, 400, /takes the role of n2/],
      [{ ...voter, replaces: "n4" }, 400, /take a new id/],
      [{ id: "n6", url: url(6), replaces: "n2" }, 400, /n2 was removed already/],
      [{ id: "n6", url: url(6), replaces: "n9" }, 404, /n9 is not a member/],
    ] as const;
    for (const [request, status, why] of refusals) {
      const response = await post(f, request);
      assert.equal(response.status, status);
      assert.match(String((await json(response))["detail"]), why);
    }
  });

  it("is 202 and says what to do where the newcomer did not catch up", async () => {
    const f = fixture();
    f.replica.membership.pace = "givenUp";
    const response = await post(f, { id: "n4", url: url(4) });
    assert.equal(response.status, 202);
    const answer = v.parse(AddMemberAnswer, await json(response));
    assert.equal(answer.voter, false);
    assert.match(answer.detail ?? "", /stays a learner.*member promote n4/);
  });

  it("takes the URL's canonical form, and CBOR", async () => {
    const f = fixture();
    const body = encodeCbor({ id: "n4", url: "HTTP://Example.COM:80/" }).slice();
    const headers = { "content-type": "application/cbor" };
    const response = await f.send("POST", path, { body, headers });
    assert.equal(response.status, 201);
    assert.equal((await json(response))["url"], "http://example.com");
  });

  it("does not make a voter a learner", async () => {
    const f = fixture();
    const response = await post(f, { id: "n2", url: url(2), voter: false });
    await assertProblem(response, 400, "bad_request", "not_applied");
    assert.deepEqual(f.replica.membership.configuration.voters, ["n1", "n2"]);
  });
});

describe("a change of members that is refused", () => {
  const long = `http://${"a".repeat(2048)}`;
  const badUrls: readonly (readonly [string, RegExp])[] = [
    ["ftp://127.0.0.1:4004", /begins with http/],
    ["ws://127.0.0.1:4004", /begins with http/],
    ["127.0.0.1:4004", /begins with http/],
    ["", /begins with http/],
    ["http://", /begins with http/],
    ["http://user:password@127.0.0.1:4004", /credentials/],
    ["http://127.0.0.1:4004/a b", /path/],
    ["http://127.0.0.1:4004/a/../b", /path/],
    ["http://127.0.0.1:4004/a%2Fb", /path/],
    ["http://127.0.0.1:4004//a", /path/],
    ["http://127.0.0.1:4004?x", /query/],
    ["http://127.0.0.1:4004/#x", /fragment/],
    ["http://169.254.169.254", /link-local/],
    ["http://169.254.1", /link-local/],
    ["http://0xa9fe0001:80", /link-local/],
    ["http://2852039166", /link-local/],
    ["http://%31%36%39.254.1.1", /link-local/],
    ["http://169.254.1.1.", /link-local/],
    ["http://[fe80::1]:4004", /link-local/],
    ["http://[FEBF::1]:4004", /link-local/],
    ["http://[::ffff:169.254.1.1]", /link-local/],
    ["http://0.0.0.0:4004", /unspecified/],
    ["http://0:4004", /unspecified/],
    ["http://[::]:4004", /unspecified/],
    ["http://224.0.0.1", /multicast/],
    ["http://[ff02::1]", /multicast/],
    ["http://255.255.255.255", /broadcast/],
    ["http://127.0.0.1:0", /port 0/],
    ["http://127.0.0.1:70000", /not a URL/],
    ["http://[::1", /not a URL/],
    ["http://127.0.0.1:4004 ", /path/],
    [long, /2048 characters/],
  ];

  it("names what is wrong with a URL, and where, and changes nothing", async () => {
    const f = fixture();
    for (const [bad, why] of badUrls) {
      const added = await assertProblem(
        await post(f, { id: "n4", url: bad }),
        400,
        "bad_request",
        "not_applied",
      );
      assert.match(String(added["detail"]), /^body: url: /, bad);
      assert.match(String(added["detail"]), why, bad);
      const response = await put(f, { voters: ["n1", { id: "n4", url: bad }] });
      const set = await assertProblem(response, 400, "bad_request", "not_applied");
      assert.match(String(set["detail"]), /^body: voters\[1\]\.url: /, bad);
    }
    assert.deepEqual(f.replica.membership.asked, []);
  });

  it("takes hosts that are names, private addresses, or look like what is refused", async () => {
    const hosts = ["n4.example", "169.254.example", "10.0.0.4", "[fd00::4]", "[::1]", "localhost"];
    for (const host of [...hosts, "[fec0::1]", "223.255.255.255", "[::ffff:10.0.0.4]"]) {
      const response = await post(fixture(), { id: "n4", url: `http://${host}:4004` });
      assert.equal(response.status, 201, host);
    }
  });

  it("names what else is wrong with a body", async () => {
    const f = fixture();
    const many = Array.from({ length: 64 }, (_, at) => `m${at}`);
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [{ voters: [] }, /^body: voters: /],
      [{}, /^body: voters: /],
      [{ voters: "n1" }, /^body: voters: /],
      [{ voters: ["n1", "n2", "n1"] }, /^body: voters\[2\]: n1 comes twice/],
      [{ voters: ["n1"], learners: ["n1"] }, /^body: learners\[0\]: n1 comes twice/],
      [{ voters: ["n1", { id: "n1", url: url(9) }] }, /^body: voters\[1\]: n1 comes twice/],
      [
        { voters: ["n1", { id: "n8", url: url(8) }], learners: [{ id: "n9", url: `${url(8)}/` }] },
        /^body: learners\[0\]\.url: .*4008 comes twice/,
      ],
      [{ voters: ["n 1"] }, /^body: voters\[0\]: an id takes/],
      [{ voters: [7] }, /^body: voters\[0\]: /],
      [{ voters: [null] }, /^body: voters\[0\]: /],
      [{ voters: [{ id: "n4" }] }, /^body: voters\[0\]\.url: /],
      [{ voters: ["n1"], learner: ["n3"] }, /^body: learner: /],
      [{ voters: [...many, "n1"] }, /^body: voters: /],
      [{ voters: many, learners: ["n1"] }, /^body: .*64 members/],
    ];
    for (const [body, why] of cases) {
      const refused = await assertProblem(await put(f, body), 400, "bad_request", "not_applied");
      assert.match(String(refused["detail"]), why, JSON.stringify(body));
    }
    for (const body of ["", "[]", '{"id":"n4"}', '{"id":"","url":"http://a"}', "null"]) {
      await assertProblem(await post(f, body), 400, "bad_request", "not_applied");
    }
    const typo = await post(f, { id: "n4", url: url(4), voters: false });
    await assertProblem(typo, 400, "bad_request", "not_applied");
    await assertProblem(await post(f, " ".repeat(65_537)), 413, "too_large", "not_applied");
    assert.deepEqual(f.replica.membership.asked, []);
  });

  it("says what the leader says of ids and URLs, with a conflict as 409", async () => {
    const f = fixture();
    await remove(f, "n3");
    const before = f.replica.membership.view;
    const refusals = [
      [await put(f, { voters: ["n1", "n9"] }), /n9 is not a member/],
      [await put(f, { voters: ["n1", { id: "n3", url: url(3) }] }), /n3 was removed/],
      [await post(f, { id: "n3", url: url(3) }), /n3 was removed/],
      [await post(f, { id: "n4", url: url(2) }), /same URL/],
    ] as const;
    for (const [response, why] of refusals) {
      const { detail } = await assertProblem(response, 400, "bad_request", "not_applied");
      assert.match(String(detail), why);
    }
    assert.deepEqual(f.replica.membership.view, before);
    f.replica.membership.changing = true;
    for (
      const response of [
        await post(f, { id: "n4", url: url(4) }),
        await put(f, { voters: ["n1"] }),
        await remove(f, "n2"),
      ]
    ) await assertProblem(response, 409, "change_in_progress", "not_applied");
    assert.deepEqual(f.replica.membership.configuration, before.configuration);
  });

  it("keeps the outcome apart: not applied with 503, unknown with 504", async () => {
    const changes = [
      (f: Fixture) => post(f, { id: "n4", url: url(4) }),
      (f: Fixture) => put(f, { voters: ["n1"] }),
      (f: Fixture) => remove(f, "n3"),
    ];
    for (const change of changes) {
      const f = fixture();
      f.replica.refusal = new NotApplied("no_leader", "none");
      await assertProblem(await change(f), 503, "no_leader", "not_applied");
      f.replica.refusal = null;
      f.replica.loss = new OutcomeUnknown("lost");
      await assertProblem(await change(f), 504, "outcome_unknown", "unknown");
      assert.equal(f.replica.membership.asked.length, 1);
    }
  });
});

describe("DELETE /v1/members/{id}", () => {
  it("removes, again without harm, and knows a stranger", async () => {
    const f = fixture();
    for (const _ of [1, 2]) {
      const response = await remove(f, "n2");
      assert.equal(response.status, 200);
      assert.deepEqual(await json(response), { removed: "n2" });
    }
    assert.equal(await shown(await f.app.request(path)), "n1 n3-");
    await assertProblem(await remove(f, "n9"), 404, "not_found", "not_applied");
  });

  it("keeps the last voter", async () => {
    const f = fixture();
    await remove(f, "n2");
    await assertProblem(await remove(f, "n1"), 400, "bad_request", "not_applied");
    assert.equal(await shown(await f.app.request(path)), "n1 n3-");
  });

  it("is 202 while the removal goes on", async () => {
    const f = fixture();
    f.replica.membership.pace = "joint";
    const response = await remove(f, "n2");
    assert.equal(response.status, 202);
    const body = await json(response);
    assert.equal(body["removing"], "n2");
    assert.equal(body["removed"], undefined);
  });

  it("is 200 for who left before, also while a later change goes on", async () => {
    const f = fixture();
    await remove(f, "n3");
    f.replica.membership.pace = "begun";
    await post(f, { id: "n4", url: url(4) });
    f.replica.changeMembers = () => Promise.resolve(f.replica.membership.view);
    assert.equal((await remove(f, "n3")).status, 200);
  });

  it("reads the id percent-decoded, and takes nothing else for one", async () => {
    const f = fixture();
    assert.equal((await remove(f, "n%33?x=1")).status, 200);
    assert.deepEqual(f.replica.membership.asked, [{ type: "remove", id: "n3" }]);
    for (const bad of ["", "a/b", "a%2Fb", "a%20b", "%zz", "%", "n%C3%BC", "x".repeat(65)]) {
      await assertProblem(await remove(f, bad), 400, "bad_request", "not_applied");
    }
    assert.equal(f.replica.membership.asked.length, 1);
  });

  it("is the only thing that a member's path takes", async () => {
    const { send } = fixture();
    for (const method of ["GET", "PUT", "POST"]) {
      const response = await send(method, `${path}/n1`);
      assert.equal(response.status, 405);
      assert.equal(response.headers.get("allow"), "DELETE");
    }
    assert.equal((await send("PATCH", path)).headers.get("allow"), "GET, HEAD, POST, PUT");
    assert.equal((await send("GET", `${path}x`)).status, 404);
  });
});

describe("PUT /v1/members", () => {
  it("changes any set to any other, and says who is left", async () => {
    const f = fixture();
    const body = { voters: ["n3", { id: "n4", url: url(4) }], learners: ["n1"] };
    const response = await put(f, body);
    assert.equal(response.status, 200);
    assert.equal(await shown(response), "n1- n3 n4");
    assert.deepEqual(f.replica.membership.asked, [{
      type: "set",
      voters: [{ id: "n3", url: null }, { id: "n4", url: url(4) }],
      learners: [{ id: "n1", url: null }],
    }]);
    assert.equal((await put(f, body)).status, 200);
  });

  it("leaves no learners where none are named", async () => {
    const f = fixture();
    assert.equal(await shown(await put(f, { voters: ["n1", "n2"] })), "n1 n2");
  });

  it("is 202 with the way there while the change goes on, or where it was given up", async () => {
    const f = fixture();
    const wanted = { voters: ["n1", { id: "n4", url: url(4) }] };
    f.replica.membership.pace = "givenUp";
    const givenUp = await put(f, wanted);
    assert.equal(givenUp.status, 202);
    const ended = v.parse(MembersAnswer, await json(givenUp));
    assert.equal(ended.change, null);
    assert.match(ended.detail ?? "", /^n4 didn't catch up/);
    f.replica.membership.pace = "begun";
    const begun = await put(f, wanted);
    assert.equal(begun.status, 202);
    assert.deepEqual(v.parse(MembersAnswer, await json(begun)).change, {
      voters: ["n1", "n4"],
      learners: [],
    });
  });
});

describe("PUT /v1/leader, from any node", () => {
  it("asks again who votes before it calls a voter a stranger", async () => {
    const { app, replica } = fixture();
    replica.read = () => {
      const { configuration } = replica.membership;
      replica.membership.configuration = { ...configuration, voters: ["n1", "n2", "n4"] };
      return Promise.resolve();
    };
    const response = await app.request("/v1/leader", { method: "PUT", body: '{"id":"n4"}' });
    assert.equal(response.status, 200);
    assert.equal(replica.transferredTo, "n4");
  });

  it("lets the leader choose where the id is null", async () => {
    const { app } = fixture();
    const response = await app.request("/v1/leader", { method: "PUT", body: '{"id":null}' });
    assert.deepEqual(await json(response), { leader: "n2" });
  });

  it("says what became of it", async () => {
    const cases = [
      [new NotApplied("not_ready", "timed out"), 503, "not_ready", "not_applied"],
      [new OutcomeUnknown("no answer"), 504, "outcome_unknown", "unknown"],
      [new ChangeRefused("bad_request", "no voter"), 400, "bad_request", "not_applied"],
    ] as const;
    for (const [refusal, status, code, outcome] of cases) {
      const { app, replica } = fixture();
      replica.refusal = refusal;
      const response = await app.request("/v1/leader", { method: "PUT", body: '{"id":"n2"}' });
      await assertProblem(response, status, code, outcome);
    }
  });
});
