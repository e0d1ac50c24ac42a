import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { openMemorySnapshots } from "../../src/adapters/memory-snapshots.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { proposalLimits, raftLimits } from "../../src/config.ts";
import { DataDirectoryRefused, MalformedBytes } from "../../src/errors.ts";
import type { SnapshotStore, StateMachine } from "../../src/ports.ts";
import type { ReplicaParts } from "../../src/replica/parts.ts";
import { Applier } from "../../src/replica/applier.ts";
import { Room } from "../../src/replica/room.ts";
import { inSlices } from "../../src/replica/snapshot-transfer.ts";

const KIB = 1024;

/** A machine whose state is so many bytes, whatever is applied. */
function machineOf(bytes: number): StateMachine<null> {
  function* chunks(): Generator<Uint8Array> {
    for (let left = bytes; left > 0; left -= 64 * KIB) {
      yield new Uint8Array(Math.min(left, 64 * KIB));
    }
  }
  return {
    apply: () => null,
    snapshot: () => ({ chunks }),
    restore: async (given) => {
      for await (const chunk of given) void chunk;
    },
    encodeResult: () => new Uint8Array(0),
    decodeResult: () => null,
  };
}

interface Setting {
  readonly stateBytes: number;
  readonly snapshotEntries?: number;
  readonly snapshotBytes?: number;
  readonly random?: () => number;
}

function partsOf(setting: Setting, snapshots: SnapshotStore): ReplicaParts<null> {
  const { stateBytes, snapshotEntries = 10, snapshotBytes = 1 << 30, random = () => 0 } = setting;
  const unused = (): never => assert.fail("not to be called");
  return {
    options: {
      raft: {
        id: "a",
        electionTimeoutMs: 100,
        heartbeatIntervalMs: 20,
        noticeDelayMs: 5,
        maxClockDrift: 0,
        limits: { ...raftLimits, trailingEntries: 0 },
        random,
        seal: sealEntry,
      },
      clusterId: "test",
      birth: { voters: ["a"], outgoing: [], learners: [], urls: {} },
      snapshotEntries,
      snapshotBytes,
      proposals: proposalLimits,
      peerTimeoutMs: 100,
      diskStallMs: 1000,
    },
    wal: { append: unused, compactBefore: unused, close: unused },
    recovered: {
      hardState: { term: 1, vote: null, commit: 0 },
      logStart: { index: 0, term: 0, crc: 0 },
      entries: [],
    },
    snapshots,
    transport: {
      request: unused,
      forward: unused,
      manage: unused,
      sendChunk: unused,
      setUrls: () => {},
      close: () => {},
    },
    clock: createSystemClock(),
    machine: machineOf(stateBytes),
    log: () => {},
    observer: {
      roleChanged: () => {},
      persisted: () => {},
      proposalEnded: () => {},
      snapshotWritten: () => {},
      applied: () => {},
      readEnded: () => {},
      snapshotSent: () => {},
      snapshotInstalled: () => {},
    },
  };
}

/** Applies entries of 1 KiB one by one, and says behind which of them a snapshot was taken. */
async function snapshotsTaken(
  setting: Setting,
  entries: number,
  snapshots: SnapshotStore = openMemorySnapshots(),
): Promise<number[]> {
  const parts = partsOf(setting, snapshots);
  const birth = { index: 0, term: 0, crc: 0, configuration: parts.options.birth };
  const applier = await Applier.open(parts, snapshots.latest() ?? birth, new Room(parts));
  const payload = new Uint8Array(KIB - 25);
  const taken: number[] = [];
  const begin = applier.index;
  let last = begin;
  for (let index = begin + 1; index <= begin + entries; index++) {
    applier.apply([sealEntry({ index, term: 1, kind: "command", payload }, 0)], null);
    await applier.snapshotWhileDue(() => last, (meta) => {
      last = meta.index;
      taken.push(last - begin);
    });
  }
  return taken;
}

describe("a snapshot is taken", () => {
  it("whenever so many entries came, where it is small", async () => {
    assert.deepEqual(await snapshotsTaken({ stateBytes: 64 * KIB }, 45), [10, 20, 30, 40]);
  });

  it("whenever so many bytes came, where it is small", async () => {
    const setting = { stateBytes: KIB, snapshotEntries: 1e9, snapshotBytes: 20 * KIB };
    assert.deepEqual(await snapshotsTaken(setting, 45), [20, 40]);
  });

  it("when the log is four times the last one, so that it costs a quarter of the log", async () => {
    assert.deepEqual(await snapshotsTaken({ stateBytes: 100 * KIB }, 1000), [10, 410, 810]);
  });

  it("when the log is as large as the last one, where that is over the bytes that trigger it", async () => {
    const setting = { stateBytes: 300 * KIB, snapshotBytes: 200 * KIB };
    assert.deepEqual(await snapshotsTaken(setting, 1000), [10, 310, 610, 910]);
    const between = { stateBytes: 100 * KIB, snapshotBytes: 200 * KIB };
    assert.deepEqual(await snapshotsTaken(between, 500), [10, 210, 410]);
  });

  it("not by all replicas at once: each waits for up to a quarter more, drawn for each anew", async () => {
    const draws = [0, 0.5, 1, 0];
    const setting = { stateBytes: 100 * KIB, random: () => draws.shift() ?? 0 };
    assert.deepEqual(await snapshotsTaken(setting, 1400), [10, 460, 960, 1360]);
  });

  it("with regard to the last one's size also after a restart", async () => {
    const snapshots = openMemorySnapshots();
    const setting = { stateBytes: 100 * KIB };
    assert.deepEqual(await snapshotsTaken(setting, 10, snapshots), [10]);
    assert.deepEqual(await snapshotsTaken(setting, 500, snapshots), [400]);
  });
});

it("a snapshot follows another where enough came meanwhile, even if nothing more comes", async () => {
  const snapshots = openMemorySnapshots();
  const parts = partsOf({ stateBytes: KIB }, snapshots);
  const birth = { index: 0, term: 0, crc: 0, configuration: parts.options.birth };
  const applier = await Applier.open(parts, birth, new Room(parts));
  const payload = new Uint8Array(0);
  const apply = (from: number, to: number): void => {
    for (let index = from; index <= to; index++) {
      applier.apply([sealEntry({ index, term: 1, kind: "command", payload }, 0)], null);
    }
  };
  const taken: number[] = [];
  apply(1, 10);
  const ended = applier.snapshotWhileDue(() => taken.at(-1) ?? 0, ({ index }) => taken.push(index));
  apply(11, 25);
  await ended;
  assert.deepEqual(taken, [10, 25]);
});

it("no snapshot follows one that nobody took note of", async () => {
  const snapshots = openMemorySnapshots();
  const parts = partsOf({ stateBytes: KIB, snapshotEntries: 1 }, snapshots);
  const birth = { index: 0, term: 0, crc: 0, configuration: parts.options.birth };
  const applier = await Applier.open(parts, birth, new Room(parts));
  const payload = new Uint8Array(0);
  applier.apply([sealEntry({ index: 1, term: 1, kind: "command", payload }, 0)], null);
  let taken = 0;
  await applier.snapshotWhileDue(() => 0, () => {
    taken++;
    assert.equal(taken, 1);
  });
  assert.equal(taken, 1);
});

it("a snapshot under way is given up at a stop", async () => {
  const snapshots = openMemorySnapshots();
  const parts = partsOf({ stateBytes: 1000 * KIB, snapshotEntries: 1 }, snapshots);
  const birth = { index: 0, term: 0, crc: 0, configuration: parts.options.birth };
  const applier = await Applier.open(parts, birth, new Room(parts));
  const payload = new Uint8Array(0);
  applier.apply([sealEntry({ index: 1, term: 1, kind: "command", payload }, 0)], null);
  const ended = assert.rejects(applier.snapshotWhileDue(() => 0, () => {}));
  await applier.abandonSnapshot();
  await ended;
  assert.equal(snapshots.latest(), null);
});

it("a snapshot rests between each MiB and the next for as long as the first took, but never long", async () => {
  let now = 0;
  const rests: number[] = [];
  const clock = {
    ...createSystemClock(),
    now: () => now,
    timer: (at: number, callback: () => void) => {
      rests.push(at - now);
      now = at;
      queueMicrotask(callback);
      return () => {};
    },
  };
  const tookMs = [3, 4, 900, 1, 5];
  for await (const chunk of inSlices(tookMs.map(() => new Uint8Array(512 * KIB)), clock)) {
    assert.equal(chunk.length, 512 * KIB);
    now += tookMs.shift() ?? 0;
  }
  assert.deepEqual(rests, [7, 500]);
});

describe("a sound snapshot that the state machine can't read", () => {
  it("is a later release's: the node doesn't start, and says so", async () => {
    const snapshots = openMemorySnapshots();
    await snapshotsTaken({ stateBytes: KIB }, 10, snapshots);
    const parts = partsOf({ stateBytes: KIB }, snapshots);
    const restore = () => Promise.reject(new MalformedBytes("format 5", 11));
    const machine = { ...parts.machine, restore };
    const meta = snapshots.latest();
    assert.ok(meta !== null);
    const opened = Applier.open({ ...parts, machine }, meta, new Room(parts));
    await assert.rejects(opened, (error) => {
      assert.ok(error instanceof DataDirectoryRefused);
      assert.match(
        error.message,
        /the snapshot at index 10 is not one that this release reads: format 5/,
      );
      return true;
    });
  });
});
