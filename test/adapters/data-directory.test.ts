import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import {
  type DataDirectory,
  type Identity,
  type Newborn,
  openDataDirectory,
} from "../../src/adapters/data-directory.ts";
import { faultAt, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { CorruptData, DataDirectoryRefused, DiskFailure } from "../../src/errors.ts";
import { flipped, SECTOR_BYTES, sectorZeroed } from "./disk-samples.ts";

const n1: Identity = {
  clusterId: "c1",
  id: "n1",
  incarnation: "life-1",
  birth: {
    voters: ["__proto__", "n1"],
    outgoing: [],
    learners: [],
    urls: Object.fromEntries([["n1", "http://127.0.0.1:1"], ["__proto__", "http://127.0.0.1:2"]]),
    incarnations: Object.fromEntries([["n1", "life-1"], ["__proto__", "life-2"]]),
  },
};
const newborn: Newborn = { id: n1.id, incarnation: n1.incarnation };

const small = { segmentBytes: 64 * 1024 };

/** Opens a directory and makes it a member's, unless it is. */
async function openMember(fs: MemoryFileSystem, who: Identity = n1): Promise<DataDirectory> {
  const opened = await openDataDirectory(fs, "data/n1", who, small);
  try {
    if (opened.cluster === null) await opened.enter(who);
  } catch (error) {
    await opened.wal.close();
    await opened.release();
    throw error;
  }
  return opened;
}

async function settle(fs: MemoryFileSystem): Promise<void> {
  const { wal, release } = await openMember(fs);
  await wal.close();
  await release();
}

/** Who a directory is, now that it was opened again. */
function identityOf({ newborn, cluster }: DataDirectory): unknown {
  return { ...newborn, ...cluster };
}

async function firstStart(fs: MemoryFileSystem): Promise<void> {
  const { wal, release } = await openMember(fs);
  await wal.append({
    hardState: { term: 1, vote: "n1", commit: 0 },
    reset: null,
    truncateFrom: null,
    entries: [],
  });
  await wal.close();
  await release();
}

async function overwrite(fs: MemoryFileSystem, path: string, text: string): Promise<void> {
  const file = await fs.open(path, "write");
  await file.truncate(0);
  await file.writev([new TextEncoder().encode(text)], 0);
  await file.close();
}

/** A directory whose identity takes more than three sectors. */
async function severalSectors() {
  const voters = Array.from({ length: 31 }, (_, i) => `n${i + 1}`);
  const urls = Object.fromEntries(voters.map((id) => [id, `http://${id}.example.org:4001/`]));
  const large: Identity = { ...n1, birth: { voters, outgoing: [], learners: ["x"], urls } };
  const fs = new MemoryFileSystem();
  const { wal, release } = await openMember(fs, large);
  await wal.close();
  await release();
  const path = "data/n1/identity.json";
  return { fs, path, sound: fs.peek(path), large };
}

function refused(fs: MemoryFileSystem, identity: Newborn, message: RegExp): Promise<void> {
  return assert.rejects(
    openDataDirectory(fs, "data/n1", identity),
    (error) => error instanceof DataDirectoryRefused && message.test(error.message),
  );
}

describe("a data directory", () => {
  it("keeps the identity of its first start, whatever is said later", async () => {
    const fs = new MemoryFileSystem();
    await firstStart(fs);
    const opened = await openDataDirectory(fs, "data/n1", { id: "n1", incarnation: "life-9" });
    assert.deepEqual(opened.newborn, newborn);
    assert.equal(opened.cluster?.clusterId, "c1");
    assert.deepEqual(opened.cluster.birth.voters, n1.birth.voters);
    for (const field of ["urls", "incarnations"] as const) {
      // As entries: `__proto__` is one of them.
      const told: object = opened.cluster.birth[field] ?? {};
      assert.deepEqual(Object.entries(told), Object.entries(n1.birth[field] ?? {}));
    }
    assert.equal(opened.recovered.hardState.vote, "n1");
  });

  it("keeps the incarnation of its first start before it is a member's, power cut or not", async () => {
    const fs = new MemoryFileSystem({ random: () => 0 });
    const first = await openDataDirectory(fs, "data/n1", newborn, small);
    assert.equal(first.cluster, null);
    fs.crash();
    fs.restart();
    const other = { id: "n1", incarnation: "life-9" };
    const second = await openDataDirectory(fs, "data/n1", other, small);
    assert.deepEqual([second.newborn, second.cluster], [newborn, null]);
    await second.enter(n1);
    fs.crash();
    fs.restart();
    assert.deepEqual(identityOf(await openDataDirectory(fs, "data/n1", other, small)), n1);
  });

  it("knows for ever that its node was removed", async () => {
    const fs = new MemoryFileSystem({ random: () => 0 });
    const first = await openMember(fs);
    assert.equal(first.wasRemoved, false);
    await first.leave(n1);
    fs.crash();
    fs.restart();
    const second = await openDataDirectory(fs, "data/n1", n1, small);
    assert.deepEqual(identityOf(second), n1);
    assert.equal(second.wasRemoved, true);
  });

  it("gives an incarnation to a member's directory from before there were any", async () => {
    const fs = new MemoryFileSystem();
    await firstStart(fs);
    const { incarnations: _, ...birth } = n1.birth;
    const old = { format: 1, clusterId: "c1", id: "n1", birth };
    const text = JSON.stringify({ ...old, crc: crc32(JSON.stringify(old)) });
    await overwrite(fs, "data/n1/identity.json", text);
    for (const drawn of ["life-5", "life-6"]) {
      const who = { id: "n1", incarnation: drawn };
      const opened = await openDataDirectory(fs, "data/n1", who, small);
      assert.deepEqual(identityOf(opened), {
        clusterId: "c1",
        id: "n1",
        incarnation: "life-5",
        birth,
      });
      await opened.wal.close();
      await opened.release();
    }
  });

  it("refuses another node, and says whose it is and what to do", async () => {
    const fs = new MemoryFileSystem();
    await firstStart(fs);
    await refused(fs, { ...n1, id: "n2" }, /identity\.json says .*node n1 of cluster c1.*--id n1/);
    // The refusal gave the lock back.
    await firstStart(fs);
  });

  it("is locked while it is open", async () => {
    const fs = new MemoryFileSystem();
    const { wal, release } = await openDataDirectory(fs, "data/n1", n1);
    await refused(fs, n1, /data\/n1/);
    await wal.close();
    await release();
    await firstStart(fs);
  });

  it("refuses a directory with somebody else's files, and leaves it as it was", async () => {
    const fs = new MemoryFileSystem();
    await fs.makeDirectory("data/n1");
    await (await fs.open("data/n1/thesis.txt", "create")).close();
    await refused(fs, n1, /"thesis\.txt", which is not Holdfast's/);
    assert.deepEqual(await fs.list("data/n1"), ["thesis.txt"]);
  });

  it("refuses an identity that is damaged, and names the file", async () => {
    for (
      const text of ["", "{", "null", '{"format":2}', '{"format":1,"clusterId":"c","id":"n1"}']
    ) {
      const fs = new MemoryFileSystem();
      await firstStart(fs);
      await overwrite(fs, "data/n1/identity.json", text);
      await assert.rejects(
        openDataDirectory(fs, "data/n1", n1),
        (error) => error instanceof CorruptData && error.file === "data/n1/identity.json",
      );
    }
  });

  it("takes no identity but its own from one with a bit flipped", async () => {
    const fs = new MemoryFileSystem();
    await firstStart(fs);
    const sound = fs.peek("data/n1/identity.json");
    let refusals = 0;
    for (let bit = 0; bit < 8 * sound.length; bit++) {
      fs.poke("data/n1/identity.json", flipped(sound, bit));
      try {
        const opened = await openDataDirectory(fs, "data/n1", n1, small);
        assert.deepEqual(identityOf(opened), n1);
        await opened.wal.close();
        await opened.release();
      } catch (error) {
        assert.ok(
          error instanceof CorruptData || error instanceof DataDirectoryRefused,
          String(error),
        );
        refusals++;
      }
    }
    assert.ok(refusals > 6 * sound.length, `${refusals} of ${8 * sound.length} flips were refused`);
    console.log(`identity bits flipped: ${8 * sound.length}`);
  });

  it("takes no identity that is cut off, longer, or has a sector zeroed", async () => {
    const { fs, path, sound, large } = await severalSectors();
    let count = 0;
    const judge = async (bytes: Uint8Array, what: string, expected: "corrupt" | "whole") => {
      fs.poke(path, bytes);
      count++;
      const opening = openDataDirectory(fs, "data/n1", large, small);
      if (expected === "corrupt") {
        await assert.rejects(opening, (error) => {
          return error instanceof CorruptData && error.file === path;
        }, what);
        assert.deepEqual(fs.peek(path), bytes, what);
        return;
      }
      const opened = await opening;
      assert.deepEqual(identityOf(opened), large, what);
      await opened.wal.close();
      await opened.release();
    };
    // The last byte is a line feed, which says nothing.
    for (let length = 0; length <= sound.length; length++) {
      const expected = length < sound.length - 1 ? "corrupt" : "whole";
      await judge(sound.slice(0, length), `${length} bytes`, expected);
    }
    for (let more = 1; more <= 2 * SECTOR_BYTES; more += 73) {
      const longer = new Uint8Array(sound.length + more);
      longer.set(sound);
      await judge(longer, `${more} zeros behind`, "corrupt");
    }
    const sectors = Math.ceil(sound.length / SECTOR_BYTES);
    assert.ok(sectors > 3);
    for (let sector = 0; sector < sectors; sector++) {
      await judge(sectorZeroed(sound, sector), `sector ${sector}`, "corrupt");
    }
    await judge(sound, "as it was", "whole");
    console.log(`identity lengths and sectors zeroed: ${count}`);
  });

  it("refuses a log without identity, and an identity without log", async () => {
    const fs = new MemoryFileSystem();
    await firstStart(fs);
    await fs.remove("data/n1/identity.json");
    await refused(fs, n1, /identity\.json is missing/);

    const other = new MemoryFileSystem();
    await firstStart(other);
    for (const name of await other.list("data/n1/wal")) await other.remove(`data/n1/wal/${name}`);
    await refused(other, n1, /data\/n1\/wal is empty/);
  });

  for (const fault of ["once", "forGood"] as const) {
    it(`is opened, or fails as a disk does, when any call of its opening fails ${fault}`, async () => {
      let count = 0;
      for (const start of ["first", "second"] as const) {
        for (let call = 1, struck = true; struck; call++) {
          const fs = new MemoryFileSystem();
          if (start === "second") await firstStart(fs);
          const from = fs.calls;
          fs.intercept = faultAt(from + call, fault);
          const failed = await openMember(fs).then(
            async ({ wal, release }) => {
              await wal.close();
              await release();
              return false;
            },
            (error) => {
              assert.ok(error instanceof DiskFailure, `${start}, call ${call}: ${error.stack}`);
              return true;
            },
          );
          struck = fs.calls - from >= call;
          assert.equal(failed, struck, `${start}, call ${call}`);
          if (struck) count++;
          fs.intercept = () => "proceed";
          // In the same process: the lock was given back.
          await settle(fs);
          const opened = await openDataDirectory(fs, "data/n1", n1, small);
          const { recovered, wal, release } = opened;
          assert.deepEqual(identityOf(opened), n1);
          assert.equal(recovered.hardState.vote, start === "first" ? null : "n1");
          await wal.close();
          await release();
        }
      }
      console.log(`data directory calls that failed ${fault}: ${count}`);
    });
  }

  it("survives a power cut at any call of its first start", async () => {
    const counted = new MemoryFileSystem();
    await openMember(counted);
    for (let call = 1; call <= counted.calls; call++) {
      const fs = new MemoryFileSystem();
      fs.intercept = faultAt(call, "crash");
      await assert.rejects(openMember(fs));
      fs.intercept = () => "proceed";
      fs.restart();
      await firstStart(fs);
    }
    console.log(`data directory crashes: ${counted.calls}`);
  });

  it("keeps through a power cut what a process was killed at and the next one went on from", async () => {
    const counted = new MemoryFileSystem();
    await openMember(counted);
    for (let call = 1; call <= counted.calls; call++) {
      // Nothing survives a power cut that was not synced.
      const fs = new MemoryFileSystem({ random: () => 0 });
      fs.intercept = faultAt(call, "forGood");
      await assert.rejects(openMember(fs));
      fs.kill();
      fs.intercept = () => "proceed";
      fs.restart();
      await firstStart(fs);
      fs.crash();
      fs.restart();
      const { recovered } = await openDataDirectory(fs, "data/n1", n1, small);
      assert.equal(recovered.hardState.vote, "n1", `killed at call ${call}`);
    }
  });

  it("tells a directory that it may not use from a disk that fails", async () => {
    const fs = new MemoryFileSystem();
    const failing = (code: string): void => {
      fs.makeDirectory = () => Promise.reject(Object.assign(new Error(`${code}: mkdir`), { code }));
    };
    failing("EACCES");
    await refused(fs, n1, /data\/n1 cannot be used: EACCES/);
    failing("ENOSPC");
    await assert.rejects(openDataDirectory(fs, "data/n1", n1), DiskFailure);
  });
});
