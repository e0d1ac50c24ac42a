/** Backups as bytes: read back they are what was written, and whatever is not sound is refused. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { checkBackup, loadBackup } from "../../src/backup/check.ts";
import { backupPieces, openBackup } from "../../src/backup/format.ts";
import { MalformedBytes } from "../../src/errors.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { apply, backupOf, cut, joined, put, smallMachine, stateOf } from "./samples.ts";

describe("a backup", () => {
  it("holds the whole state, however its bytes arrive", async () => {
    const machine = smallMachine();
    const bytes = backupOf(machine);
    for (const size of [1, 7, 4096, bytes.length]) {
      const { machine: restored, summary } = await loadBackup(await openBackup(cut(bytes, size)));
      assert.deepEqual(stateOf(restored), stateOf(machine));
      const { sha256, bytes: stateBytes, chunks, ...rest } = summary;
      assert.match(sha256, /^[0-9a-f]{64}$/);
      assert.ok(stateBytes > 0 && chunks > 0);
      assert.deepEqual(rest, {
        clusterId: "c1",
        node: "n1",
        revision: machine.store.revision,
        takenAt: 1_700_000_000_000,
        software: "0.2.0",
        fileBytes: bytes.length,
        keys: machine.store.size,
        leases: 1,
        oldest: 0,
      });
    }
  });

  it("of an empty store is sound", async () => {
    const { revision, keys } = await checkBackup(cut(backupOf(new KvMachine()), 64));
    assert.deepEqual({ revision, keys }, { revision: 0, keys: 0 });
  });

  it("is of the state at its beginning, whatever is written while it is taken", async () => {
    const machine = new KvMachine();
    for (let i = 0; i < 5000; i++) apply(machine, put(`key-${i}`, `value ${i} `.repeat(20)));
    const before = stateOf(machine);
    const pieces: Uint8Array[] = [];
    let n = 0;
    for (const chunk of machine.snapshot().chunks()) {
      pieces.push(chunk.slice());
      apply(machine, put(`key-${n * 37 % 5000}`, "later"));
      apply(machine, { type: "delete", key: `key-${n * 41 % 5000}`, conditions: [] });
      n++;
    }
    assert.ok(n > 10);
    assert.deepEqual(joined(pieces), before);
  });

  it("with any one byte changed is refused", async () => {
    const bytes = backupOf(smallMachine());
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [1, 0x80]) {
        const damaged = bytes.slice();
        damaged[at]! ^= flip;
        await assert.rejects(checkBackup(cut(damaged, 512)), MalformedBytes, `byte ${at}`);
      }
    }
  });

  it("cut off anywhere, or with more behind it, is refused", async () => {
    const bytes = backupOf(smallMachine());
    for (let length = 0; length < bytes.length; length++) {
      await assert.rejects(checkBackup(cut(bytes.slice(0, length), 512)), MalformedBytes);
    }
    await assert.rejects(checkBackup(cut(joined([bytes, new Uint8Array(1)]), 512)), MalformedBytes);
  });

  it("whose header speaks of another revision is refused", async () => {
    const header = { clusterId: "c1", node: "n1", revision: 3, takenAt: 0, software: "x" };
    const pieces: Uint8Array[] = [];
    for (const piece of backupPieces(header, new KvMachine().snapshot().chunks())) {
      pieces.push(piece.slice());
    }
    await assert.rejects(checkBackup(cut(joined(pieces), 99)), /a store at 0 under a header of 3/);
  });
});
