/** The machine against a naive one: all that is told outside, after every command. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Command, isTimed } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import { restoredFrom, run, snapshotOf } from "./machines.ts";
import { commandOf, keys, pick } from "./model-commands.ts";
import { ModelMachine } from "./model-machine.ts";
import { listed } from "./model.ts";
import { randomFrom } from "./random.ts";

type Random = (below: number) => number;

/** The keys at a revision, one by one and in both directions. */
function assertState(
  { store }: KvMachine,
  { revisions }: ModelMachine,
  revision: number,
  random: Random,
) {
  const view = store.at(revision);
  const expected = revisions.states[revision]!;
  assert.equal(view?.revision, revision);
  for (const key of keys) assert.deepEqual(view.get(key), expected.get(key));
  const start = random(3) === 0 ? "" : pick(random, keys);
  const end = random(3) === 0 ? null : pick(random, keys);
  const items = listed(expected, { start, end });
  assert.deepEqual([...view.list({ start, end })], items);
  assert.deepEqual([...view.list({ start, end, reverse: true })], items.toReversed());
}

function assertChange({ store }: KvMachine, { revisions }: ModelMachine, revision: number) {
  const events = revisions.eventsOf(revision);
  assert.deepEqual(store.change(revision), { revision, events });
}

function assertSame(machine: KvMachine, model: ModelMachine, random: Random): void {
  const { store } = machine;
  const { revisions } = model;
  const { floor, revision } = revisions;
  assert.deepEqual([store.revision, store.floor, store.size], [
    revision,
    floor,
    revisions.now.size,
  ]);
  for (const outside of [floor - 1, revision + 1]) assert.equal(store.at(outside), null);
  for (const outside of [floor, revision + 1]) assert.equal(store.change(outside), null);
  for (const at of [floor, revision, floor + random(revision - floor + 1)]) {
    assertState(machine, model, at, random);
  }
  for (let at = Math.max(floor, revision - 3) + 1; at <= revision; at++) {
    assertChange(machine, model, at);
  }
  if (revision > floor) assertChange(machine, model, floor + 1 + random(revision - floor));
  const dues = [...revisions.now.values()].map(({ due }) => due ?? Infinity);
  assert.equal(store.firstDue ?? Infinity, Math.min(...dues));
  assert.deepEqual(
    [...machine.leases()],
    [...model.leases.values()].toSorted((a, b) => a.id - b.id),
  );
  for (let lease = model.nextLease; lease > model.nextLease - 10; lease--) {
    assert.deepEqual(machine.keysOf(lease), model.keysOf(lease));
  }
}

const steps = 700;
/** Each has to come up in every run. */
const results: readonly KvResult["type"][] = [
  "put",
  "deleted",
  "transaction",
  "batch",
  "lease",
  "revoked",
  "expired",
  "configured",
  "upgraded",
  "conditionFailed",
  "noLease",
  "notInteger",
  "keyReused",
  "keyDone",
];

describe("the machine", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    it(`does what a naive one does, restored or not (seed ${seed})`, async () => {
      const random = randomFrom(seed);
      const machine = new KvMachine();
      const model = new ModelMachine();
      let twin = new KvMachine();
      let time = 0;
      const seen = new Set<string>();
      for (let step = 0; step < steps; step++) {
        time += random(40) > 0 ? random(1500) : random(13 * 60_000);
        const command: Command = commandOf(random, {
          revision: model.revisions.revision,
          nextLease: model.nextLease,
        });
        const expected = model.apply(command, isTimed(command) ? time : 0);
        const result = run(machine, command, time);
        assert.deepEqual(result, expected, `step ${step}: ${command.type}`);
        assert.deepEqual(run(twin, command, time), expected);
        seen.add(result.type);
        assertSame(machine, model, random);
        const snapshot = snapshotOf(machine);
        assert.ok(
          Buffer.compare(snapshotOf(twin), snapshot) === 0,
          `step ${step}: snapshots differ`,
        );
        if (random(10) > 0) continue;
        twin = await restoredFrom(snapshot, pick(random, [100, 65_536]));
        assert.ok(Buffer.compare(snapshotOf(twin), snapshot) === 0, `step ${step}: restored`);
        assertSame(twin, model, random);
      }
      const { floor, revision } = model.revisions;
      for (let at = floor + 1; at <= revision; at++) assertChange(machine, model, at);
      assert.ok(revision > steps / 4, `only ${revision} revisions`);
      assert.deepEqual(results.filter((type) => !seen.has(type)), []);
    });
  }
});
