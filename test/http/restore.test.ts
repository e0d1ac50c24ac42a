/** `POST /v1/restore`: a sound backup becomes an empty cluster's store, whole; anything else changes nothing. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { apply, backupOf, put as putCommand, smallMachine, stateOf } from "../backup/samples.ts";
import { EventReader } from "./event-reader.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

/** An empty cluster of the second version. */
function cluster(limits: Parameters<typeof fixture>[0] = {}): Fixture {
  const made = fixture({ now: () => performance.now(), ...limits });
  made.replica.machine.apply({ payload: encodeCommand({ type: "upgrade", version: 2 }) });
  return made;
}

const restore = ({ send }: Fixture, body: BodyInit) => send("POST", "/v1/restore", { body });

function bytesOf(machine: KvMachine): Uint8Array<ArrayBuffer> {
  return new Uint8Array(backupOf(machine));
}

describe("POST /v1/restore", () => {
  it("makes the backup's store the cluster's, and what was, was", async () => {
    const made = cluster();
    const { send, replica } = made;
    const machine = smallMachine();
    const { revision, size: keys } = machine.store;
    const response = await restore(made, bytesOf(machine));
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("holdfast-revision"), String(revision));
    assert.deepEqual(await json(response), { revision, keys });
    assert.equal(replica.machine.store.size, keys);
    assert.equal(await (await send("GET", "/v1/kv/a")).text(), "two");
    assert.equal(await (await send("GET", "/v1/kv/a?revision=1")).text(), "one");
    const next = await json(await made.put("next"));
    assert.equal(next["revision"], revision + 1);
    await assertProblem(
      await restore(made, bytesOf(machine)),
      412,
      "precondition_failed",
      "not_applied",
    );
  });

  it("takes more than fits into one command", async () => {
    const machine = new KvMachine();
    for (let i = 0; i < 40; i++) apply(machine, putCommand(`k${i}`, `${i}`.repeat(60_000)));
    const made = cluster();
    const { replica } = made;
    const response = await restore(made, bytesOf(machine));
    assert.equal(response.status, 200);
    assert.ok(replica.log.length > 4);
    assert.ok(replica.log.every(({ payload }) => payload.length < 1_100_000));
    const { revision, size } = replica.machine.store;
    assert.deepEqual({ revision, size }, { revision: 40, size: 40 });
  });

  it("ends with a node that does nothing any more", async () => {
    const made = cluster();
    let asked = 0;
    made.replica.propose = () => {
      asked++;
      return Promise.reject(new NotApplied("not_ready", "this node is stopping"));
    };
    const response = await restore(made, bytesOf(smallMachine()));
    await assertProblem(response, 503, "not_ready", "not_applied");
    assert.equal(asked, 2, "its first step, and what frees the members of it");
  });

  it("lets whoever watches resume, as far as the backup's history goes", async () => {
    const made = cluster();
    const { send } = made;
    const waiting = new EventReader(await send("GET", "/v1/watch?from=1"));
    const machine = smallMachine();
    await restore(made, bytesOf(machine));
    const changes = await waiting.changes(machine.store.revision);
    assert.deepEqual(changes.map(({ id }) => id), [1, 2, 3, 4, 5, 6, 7]);
    await waiting.cancel();
    const short = new KvMachine();
    apply(short, { type: "configure", history: { revisionsMax: 1, bytesMax: 10_000 } });
    for (const key of ["a", "b", "c"]) apply(short, putCommand(key, key));
    const other = cluster();
    await restore(other, bytesOf(short));
    await assertProblem(await other.send("GET", "/v1/watch?from=1"), 410, "compacted");
  });

  it("refuses what is no sound backup before anything is proposed", async () => {
    const bytes = bytesOf(smallMachine());
    const made = cluster({ limits: { restoreBytesMax: 4096 } });
    const { replica } = made;
    const before = stateOf(replica.machine);
    const damaged = bytes.slice();
    damaged[bytes.length - 100]! ^= 1;
    for (const body of [damaged, bytes.slice(0, -1), bytes.slice(0, 20), new Uint8Array()]) {
      await assertProblem(await restore(made, body), 400, "bad_request", "not_applied");
    }
    const empty = bytesOf(new KvMachine());
    await assertProblem(await restore(made, empty), 400, "bad_request", "not_applied");
    await assertProblem(await restore(made, new Uint8Array(4097)), 413, "too_large", "not_applied");
    assert.equal(replica.log.length, 0);
    assert.deepEqual(stateOf(replica.machine), before);
  });

  it("refuses a cluster that isn't empty, or of which a member is of an older release", async () => {
    const used = cluster();
    await used.put("k");
    const bytes = bytesOf(smallMachine());
    const { detail } = await assertProblem(
      await restore(used, bytes),
      412,
      "precondition_failed",
      "not_applied",
    );
    assert.match(String(detail), /not empty: it is at revision 1/);
    const leased = cluster();
    await leased.post("/v1/leases", { ttl: "1s" });
    await assertProblem(await restore(leased, bytes), 412, "precondition_failed", "not_applied");
    await assertProblem(await restore(fixture(), bytes), 503, "not_ready", "not_applied");
  });

  it("gets through a leader's death in its midst, and does nothing twice", async () => {
    const made = cluster();
    const { replica } = made;
    let proposals = 0;
    replica.before = () => {
      proposals++;
      // Now refused, now applied without an answer.
      replica.refusal = proposals % 3 === 1 ? new NotApplied("no_leader", "nobody leads") : null;
      replica.loss = proposals % 3 === 2 ? new OutcomeUnknown("the leader is gone") : null;
    };
    const response = await restore(made, bytesOf(smallMachine()));
    assert.equal(response.status, 200);
    assert.equal(proposals, 9);
    assert.equal(replica.machine.store.revision, smallMachine().store.revision);
  });

  it("says truly what became of one that has not been answered", async () => {
    const limits = { limits: { restoreTimeoutMs: 150 } };
    const bytes = bytesOf(smallMachine());
    const isCommit = (text: string) => text.includes("commit");
    for (
      const [loses, status, code, outcome, revision] of [
        [(text: string) => isCommit(text), 504, "outcome_unknown", "unknown", 7],
        [(text: string) => text.includes("piece"), 503, "no_leader", "not_applied", 0],
      ] as const
    ) {
      const made = cluster(limits);
      const { replica } = made;
      const { propose } = replica;
      replica.propose = async (command) => {
        const applied = await propose.call(replica, command);
        if (loses(new TextDecoder().decode(command))) throw new OutcomeUnknown("no answer");
        return applied;
      };
      await assertProblem(await restore(made, bytes), status, code, outcome);
      assert.equal(replica.machine.store.revision, revision && smallMachine().store.revision);
    }
  });
});
