/**
 * Random schedules: messages lost, doubled and out of order, crashes that lose unsynced writes, partitions, stopped
 * processes and machines, clocks of different rates, transfers, snapshots, reads. `Invariants` watches every step.
 * `SEED=n` runs one seed, `SEEDS=n` that many from 1 on.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Chaos } from "./chaos.ts";

const one = process.env["SEED"];
const first = one === undefined ? 1 : Number(one);
const count = one === undefined ? Number(process.env["SEEDS"] ?? 100) : 1;
const faultsMs = 3000;
/** After the last fault: an election, and everybody caught up. */
const recoveryMs = 2000;
/** Seeds to a test: some runners give a test five seconds. */
const chunk = 10;

/** Branches that are rarely taken, by a line that tells of them: a run of all seeds that misses one tests too little. */
const rare: readonly RegExp[] = [
  /restores snapshot/,
  /log reset to/,
  /cut from/,
  / rejects \d+, conflict \d+@[1-9]/,
  /transferred to/,
  /transfer rejected: timedOut/,
  /the rest refused/,
  /read \d+ readable/,
  /read \d+ rejected/,
  /begins the change/,
  /refuses the change/,
  /is lost/,
];
const unseen = new Set(rare);

function run(seed: number): void {
  const trace: string[] = [];
  const chaos = new Chaos(seed, (line) => {
    trace.push(line);
    for (const branch of unseen) if (branch.test(line)) unseen.delete(branch);
    if (trace.length > 2000) trace.splice(0, 1000);
  });
  try {
    chaos.run(faultsMs);
    chaos.heal();
    chaos.run(recoveryMs);
    expectRecovered(chaos);
  } catch (error) {
    const tail = trace.slice(one === undefined ? -30 : -500).join("\n");
    const message = `seed ${seed} (replay: SEED=${seed})\n${tail}\n${String(error)}`;
    throw new Error(message, { cause: error });
  }
}

/** Somebody leads, what is proposed reaches everybody, reads are answered, and nobody was forgotten. */
function expectRecovered(chaos: Chaos): void {
  const { cluster } = chaos;
  const { leader } = cluster;
  assert.ok(leader !== null, "no leader after the last fault");
  // One behind the other, so that they may overtake each other; nothing comes after them.
  for (const value of [1, 2, 3, 4]) cluster.propose(leader.id, `last=${value}`);
  const last = leader.status.lastIndex;
  for (const id of cluster.nodes.keys()) cluster.read(id, "linearizable");
  chaos.run(1000);
  const { voters, outgoing, learners, next } = leader.status.configuration;
  assert.equal(outgoing.length, 0, "a joint phase that nobody leaves");
  assert.equal(next, undefined, "a change that nobody ends");
  for (const { id, status, applied, state } of cluster.nodes.values()) {
    if (!voters.includes(id) && !learners.includes(id)) continue;
    assert.ok(applied >= last, `${id} applied ${applied} of ${last}`);
    assert.equal(status.leader, leader.id, `${id} follows another`);
    assert.deepEqual(state, leader.state, `${id}'s state`);
  }
  assert.deepEqual(cluster.invariants.open, [], "what nobody answered");
}

describe("random schedules hold every invariant and recover", () => {
  for (let from = first; from < first + count; from += chunk) {
    const to = Math.min(from + chunk, first + count) - 1;
    it(`seeds ${from} to ${to}`, () => {
      for (let seed = from; seed <= to; seed++) run(seed);
    });
  }
  if (count < 100) return;
  it("and the rare branches were reached", () => assert.deepEqual([...unseen], []));
});
