import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { NotApplied } from "../../src/errors.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { LogLevel } from "../../src/ports.ts";
import { Room, roomLookMs } from "../../src/replica/room.ts";
import { key, put, TestCluster, until } from "./cluster.ts";
import { HandClock } from "./hand-clock.ts";

const reserveBytes = 1000;

interface Kept {
  readonly room: Room;
  readonly steps: string[];
  readonly lines: string[];
  /** The next look finds so many bytes. */
  becomes(freeBytes: number): Promise<void>;
}

async function kept(snapshotBytes = 0): Promise<Kept> {
  const clock = new HandClock();
  const steps: string[] = [];
  const lines: string[] = [];
  let freeBytes = 10_000;
  const room = new Room({
    clock,
    log: (level: LogLevel, message: string) => lines.push(`${level} ${message}`),
    space: { free: async () => freeBytes, reserveBytes },
    options: { raft: { id: "n1" } },
    machine: { isFrugal: (command) => command.length === 0 },
  });
  room.expectSnapshot(() => snapshotBytes);
  room.start({
    step: ({ level }) => steps.push(level),
    snapshotIfDue: () => steps.push("snapshot"),
  });
  await clock.pass(0);
  return {
    room,
    steps,
    lines,
    becomes: async (bytes) => {
      freeBytes = bytes;
      await clock.pass(roomLookMs);
    },
  };
}

const large = new Uint8Array(1);
const frugal = new Uint8Array(0);

describe("room on the disk", () => {
  it("is short below the reserve, full below half of it, and believed again with a quarter more", async () => {
    const { room, becomes, steps, lines } = await kept();
    const levels: string[] = [];
    for (const bytes of [1000, 999, 1249, 1250, 1000, 500, 499, 749, 750, 1249, 1250]) {
      await becomes(bytes);
      levels.push(`${bytes} ${room.level}`);
    }
    assert.deepEqual(levels, [
      "1000 enough",
      "999 short",
      "1249 short",
      "1250 enough",
      "1000 enough",
      "500 short",
      "499 full",
      "749 full",
      "750 short",
      "1249 short",
      "1250 enough",
    ]);
    const shorts = ["short", "snapshot"];
    const full = ["full", "snapshot"];
    const enough = ["enough", "snapshot"];
    assert.deepEqual(steps, [...shorts, ...enough, ...shorts, ...full, ...shorts, ...enough]);
    assert.equal(lines.length, 6, "a line for each change");
  });

  it("wants the next snapshot to fit beside the reserve", async () => {
    const { room, becomes } = await kept(5000);
    await becomes(6000);
    assert.deepEqual(room.status, { level: "enough", freeBytes: 6000, wantedBytes: 6000 });
    await becomes(5999);
    assert.equal(room.level, "short");
    assert.ok(room.fits(5000), "the snapshot may still be written");
    await becomes(5249);
    assert.ok(!room.fits(5000), "and here no more");
  });

  it("lets in what makes the state no larger, until all are full", async () => {
    const { room, becomes } = await kept();
    room.admit(large, null);
    const voters = ["n1"];
    await becomes(900);
    assert.throws(() => room.admit(large, { level: "short", voters }), NotApplied);
    room.admit(frugal, { level: "short", voters });
    await becomes(400);
    assert.throws(
      () => room.admit(frugal, { level: "full", voters }),
      /the disk of n1 is almost full: n1 has 400 bytes left and wants 1000/,
    );
  });

  it("says whose disks are almost full where it isn't its own", async () => {
    const { room } = await kept();
    assert.throws(
      () => room.admit(large, { level: "short", voters: ["n2", "n3"] }),
      /the disks of n2, n3 are almost full;/,
    );
  });

  it("goes on as before where the system doesn't say, and tells so once", async () => {
    const clock = new HandClock();
    const lines: string[] = [];
    const room = new Room({
      clock,
      log: (_level: LogLevel, message: string) => lines.push(message),
      space: { free: () => Promise.reject(new Error("not here")), reserveBytes },
      options: { raft: { id: "n1" } },
      machine: {},
    });
    room.start({ step: () => {}, snapshotIfDue: () => {} });
    await clock.pass(10 * roomLookMs);
    assert.deepEqual(lines, ["how full the disk is can't be told"]);
    assert.equal(room.status, null);
  });
});

describe("a cluster whose disks fill", () => {
  /** What each disk has left. */
  const free = new Map<string, number>();
  const cluster = new TestCluster(3, {
    space: (id) => ({ free: async () => free.get(id) ?? 10_000, reserveBytes }),
  });
  after(() => cluster.stop());
  const room = (id: string): string => cluster.replica(id).status().room?.level ?? "";
  const remove = (name: string): Uint8Array =>
    encodeCommand({ type: "delete", key: key(name), conditions: [] });

  it("is led by a node that has room, and goes on without a full follower, which catches up", async () => {
    await cluster.start();
    const first = await cluster.leader();
    await first.propose(put("a", "1"), 5000);
    free.set(first.id, 100);
    await until("another leads", () => cluster.replica(first.id).status().role !== "leader");
    const next = await cluster.leader();
    assert.notEqual(next.id, first.id);
    await next.propose(put("a", "2"), 5000);
    const full = cluster.replica(first.id);
    assert.equal(room(first.id), "full");
    const stopped = full.status().lastIndex;
    await next.propose(put("a", "3"), 5000);
    await next.propose(put("a", "4"), 5000);
    assert.equal(full.status().lastIndex, stopped, "it takes no entries");
    await until("it answers its leader", () => full.status().leader === next.id);
    free.delete(first.id);
    await until("it has them all", () => cluster.value(first.id, "a") === "4");
  });

  it("refuses what needs room where no quorum has any, also by a leader that has", async () => {
    const leader = await cluster.leader();
    for (const { id } of cluster.followers(leader.id)) free.set(id, 900);
    await until("a write is refused", async () => {
      return await leader.propose(put("b", "1"), 5000).then(() => false, (error) => {
        assert.ok(error instanceof NotApplied && error.reason === "not_ready", String(error));
        return true;
      });
    });
    assert.equal(room(leader.id), "enough");
    await leader.propose(remove("a"), 5000);
    assert.equal(cluster.value(leader.id, "a"), undefined);
    await leader.read("linearizable", 5000);
    free.clear();
    await until("writes are taken again", async () => {
      return await leader.propose(put("b", "2"), 5000).then(() => true, () => false);
    });
  });
});
