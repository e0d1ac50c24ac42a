import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Identity, openDataDirectory } from "../../src/adapters/data-directory.ts";
import { faultAt, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { CorruptData, DataDirectoryRefused, DiskFailure } from "../../src/errors.ts";

const n1: Identity = {
  clusterId: "c1",
  id: "n1",
  birth: {
    voters: ["__proto__", "n1"],
    outgoing: [],
    learners: [],
    urls: Object.fromEntries([["n1", "http://127.0.0.1:1"], ["__proto__", "http://127.0.0.1:2"]]),
  },
};

const small = { segmentBytes: 64 * 1024 };

async function firstStart(fs: MemoryFileSystem): Promise<void> {
  const { wal, release } = await openDataDirectory(fs, "data/n1", n1, small);
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

function refused(fs: MemoryFileSystem, identity: Identity, message: RegExp): Promise<void> {
  return assert.rejects(
    openDataDirectory(fs, "data/n1", identity),
    (error) => error instanceof DataDirectoryRefused && message.test(error.message),
  );
}

describe("a data directory", () => {
  it("keeps the identity of its first start, whatever is said later", async () => {
    const fs = new MemoryFileSystem();
    await firstStart(fs);
    const later = { clusterId: "c2", id: "n1", birth: { ...n1.birth, voters: ["n1"], urls: {} } };
    const opened = await openDataDirectory(fs, "data/n1", later);
    assert.deepEqual(opened.identity.clusterId, "c1");
    assert.deepEqual(opened.identity.birth.voters, n1.birth.voters);
    assert.deepEqual(Object.entries(opened.identity.birth.urls), Object.entries(n1.birth.urls));
    assert.equal(opened.recovered.hardState.vote, "n1");
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
      const bytes = sound.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      fs.poke("data/n1/identity.json", bytes);
      try {
        const { identity, wal, release } = await openDataDirectory(fs, "data/n1", n1, small);
        assert.deepEqual(identity, n1);
        await wal.close();
        await release();
      } catch (error) {
        assert.ok(
          error instanceof CorruptData || error instanceof DataDirectoryRefused,
          String(error),
        );
        refusals++;
      }
    }
    assert.ok(refusals > 6 * sound.length, `${refusals} of ${8 * sound.length} flips were refused`);
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

  it("survives a power cut at any call of its first start", async () => {
    const counted = new MemoryFileSystem();
    await openDataDirectory(counted, "data/n1", n1, small);
    for (let call = 1; call <= counted.calls; call++) {
      const fs = new MemoryFileSystem();
      fs.intercept = faultAt(call, "crash");
      await assert.rejects(openDataDirectory(fs, "data/n1", n1, small));
      fs.intercept = () => "proceed";
      fs.restart();
      await firstStart(fs);
    }
  });

  it("keeps through a power cut what a process was killed at and the next one went on from", async () => {
    const counted = new MemoryFileSystem();
    await openDataDirectory(counted, "data/n1", n1, small);
    for (let call = 1; call <= counted.calls; call++) {
      // Nothing survives a power cut that was not synced.
      const fs = new MemoryFileSystem({ random: () => 0 });
      fs.intercept = faultAt(call, "forGood");
      await assert.rejects(openDataDirectory(fs, "data/n1", n1, small));
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
