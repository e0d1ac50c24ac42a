/** Backups that are taken by themselves: by whoever leads, once an interval; the newest are kept, and nothing else goes. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { checkBackup } from "../../src/backup/check.ts";
import { readFile } from "../../src/backup/file.ts";
import { BackupSchedule } from "../../src/backup/schedule.ts";
import type { Clock } from "../../src/ports.ts";
import { apply, put, smallMachine } from "./samples.ts";

const hourMs = 3_600_000;
const directory = "/backups";

/** Moved by hand; its timer has to be set again before it goes on. */
class HandClock implements Clock {
  #now = 0;
  wallAt = Date.parse("2026-11-21T19:00:00Z");
  #timer: { readonly at: number; readonly callback: () => void } | null = null;

  now(): number {
    return this.#now;
  }
  wallNow(): number {
    return this.wallAt + this.#now;
  }
  timer(at: number, callback: () => void): () => void {
    this.#timer = { at, callback };
    return () => {
      this.#timer = null;
    };
  }
  yield(): Promise<void> {
    return Promise.resolve();
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    while (this.#timer !== null && this.#timer.at <= end) {
      const { at, callback } = this.#timer;
      this.#now = at;
      this.#timer = null;
      callback();
      while (this.#timer === null) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = end;
  }
}

function scene({ fs = new MemoryFileSystem(), clock = new HandClock(), keep = 3 } = {}) {
  const machine = smallMachine();
  const told = { leads: true, known: 0, taken: 0, failed: 0, logged: [] as string[] };
  const schedule = new BackupSchedule({
    plan: { directory, intervalMs: hourMs, keep },
    fs,
    clock,
    log: (level, message) => told.logged.push(`${level}: ${message}`),
    observer: {
      known: (takenAt) => {
        told.known = takenAt;
      },
      taken: () => told.taken++,
      failed: () => told.failed++,
    },
    subject: {
      clusterId: "c1",
      leads: () => told.leads,
      state: () => {
        const { revision } = machine.store;
        const takenAt = clock.wallNow();
        const header = { clusterId: "c1", node: "n1", revision, takenAt, software: "0.2.0" };
        return Promise.resolve({ header, chunks: machine.snapshot().chunks() });
      },
    },
  });
  return { fs, clock, machine, told, schedule, files: () => fs.list(directory) };
}

describe("scheduled backups", () => {
  it("are taken once an interval, sound, and the newest are kept", async () => {
    const { fs, clock, machine, told, files, schedule } = scene();
    await clock.pass(1000);
    assert.deepEqual(await files(), ["holdfast-c1-20261121T190001Z-7.backup"]);
    await clock.pass(hourMs - 2000);
    assert.equal(told.taken, 1);
    for (let hour = 1; hour < 5; hour++) {
      apply(machine, put("hour", `${hour}`));
      await clock.pass(hourMs);
    }
    assert.equal(told.taken, 5);
    assert.deepEqual(await files(), [
      "holdfast-c1-20261121T210001Z-9.backup",
      "holdfast-c1-20261121T220001Z-10.backup",
      "holdfast-c1-20261121T230001Z-11.backup",
    ]);
    for (const file of await files()) {
      const { revision } = await checkBackup(readFile(fs, `${directory}/${file}`));
      assert.ok(file.endsWith(`-${revision}.backup`));
    }
    assert.equal(told.known, Date.parse("2026-11-21T23:00:01Z"));
    await schedule.stop();
  });

  it("are taken by nobody who doesn't lead, and not again where another took one", async () => {
    const { fs, clock, told, files } = scene();
    told.leads = false;
    await clock.pass(2 * hourMs);
    assert.equal(told.taken, 0);
    told.leads = true;
    await clock.pass(1000);
    assert.equal(told.taken, 1);
    const other = scene({ fs, clock });
    await clock.pass(hourMs / 2);
    assert.equal(other.told.taken, 0);
    assert.ok(other.told.known > 0);
    await clock.pass(hourMs / 2);
    assert.equal(other.told.taken, 1);
    assert.equal((await files()).length, 2);
  });

  it("leave what is not theirs, and what is being written", async () => {
    const { fs, clock, files, schedule } = scene({ keep: 1 });
    await fs.makeDirectory(directory);
    const others = [
      "holdfast-c1-20261121T180000Z-5.backup.part",
      "holdfast-c2-20200101T000000Z-1.backup",
      "holdfast-c1-20200101T000000Z-1.backup.txt",
      "holdfast-c1-2020-1.backup",
      "notes",
    ];
    const gone = [
      "holdfast-c1-20200101T000000Z-1.backup",
      "holdfast-c1-20200101T000000Z-2.backup.part",
    ];
    for (const name of [...others, ...gone]) {
      await (await fs.open(`${directory}/${name}`, "create")).close();
    }
    await clock.pass(1000);
    const own = "holdfast-c1-20261121T190001Z-7.backup";
    assert.deepEqual(await files(), [...others, own].toSorted());
    await schedule.stop();
  });

  it("that fail leave nothing, are told, and tried again", async () => {
    const fs = new MemoryFileSystem({ capacity: 100 });
    const { clock, told, files, schedule } = scene({ fs });
    await clock.pass(1000);
    assert.equal(told.failed, 1);
    assert.deepEqual(await files(), []);
    assert.deepEqual(told.logged, ["error: a scheduled backup failed"]);
    fs.capacity = Infinity;
    await clock.pass(59_000);
    assert.equal(told.taken, 0);
    await clock.pass(2000);
    assert.equal(told.taken, 1);
    assert.equal((await files()).length, 1);
    await schedule.stop();
  });

  it("go on under a wall clock that was set back, and never remove what was just taken", async () => {
    const { clock, told, files, schedule } = scene({ keep: 1 });
    await clock.pass(1000);
    clock.wallAt -= 10 * hourMs;
    await clock.pass(hourMs);
    await clock.pass(hourMs);
    assert.equal(told.taken, 3);
    assert.ok((await files()).includes("holdfast-c1-20261121T110001Z-7.backup"));
    await schedule.stop();
  });

  it("end when the node does", async () => {
    const fs = new MemoryFileSystem();
    const { clock, schedule, told } = scene({ fs });
    const stopping: Promise<void>[] = [];
    fs.intercept = ({ operation }) => {
      if (operation === "open" && stopping.length === 0) stopping.push(schedule.stop());
      return "proceed";
    };
    const passing = clock.pass(1000);
    while (stopping.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(stopping);
    assert.deepEqual({ taken: told.taken, failed: told.failed }, { taken: 0, failed: 0 });
    assert.deepEqual(await fs.list(directory), []);
    clock.timer(Infinity, () => {});
    await passing;
  });
});
