/** One suite for every implementation of the port Wal. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openFileWal } from "../../src/adapters/file-wal.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { type MemoryWal, openMemoryWal } from "../../src/adapters/memory-wal.ts";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";
import { InvariantViolation } from "../../src/assert.ts";
import { DiskFailure } from "../../src/errors.ts";
import type { FileSystem, RecoveredLog, Wal } from "../../src/ports.ts";
import { digest, START, WriteScript } from "./wal-writes.ts";

interface Opened {
  readonly wal: Wal;
  readonly recovered: RecoveredLog;
  readonly created: boolean;
}
/** Opens the same WAL each time it is called. */
type Reopen = () => Promise<Opened>;

const SEGMENT_BYTES = 4096;
const onFiles = (fs: FileSystem, directory: string): Reopen => () =>
  openFileWal({ fs, directory, segmentBytes: SEGMENT_BYTES, start: START });

const implementations: {
  name: string;
  run: (test: (reopen: Reopen) => Promise<void>) => Promise<void>;
}[] = [
  {
    name: "FileWal on MemoryFileSystem",
    run: async (test) => await test(onFiles(new MemoryFileSystem(), "/data/wal")),
  },
  {
    name: "FileWal on NodeFileSystem",
    run: async (test) => {
      const directory = await mkdtemp(join(tmpdir(), "holdfast-wal-"));
      try {
        await test(onFiles(new NodeFileSystem(), join(directory, "wal")));
      } finally {
        await rm(directory, { recursive: true });
      }
    },
  },
  {
    name: "MemoryWal",
    run: async (test) => {
      let earlier: MemoryWal | undefined;
      await test(async () => {
        const opened = openMemoryWal(START, earlier);
        earlier = opened.wal;
        return opened;
      });
    },
  },
];

for (const { name, run } of implementations) {
  describe(`Wal: ${name}`, () => {
    /** Appends the script's writes, closes, and expects a reopened WAL to say what the script says. */
    async function roundTrip(reopen: Reopen, script: WriteScript): Promise<void> {
      const { wal } = await reopen();
      await Promise.all(script.writes.map((write) => wal.append(write)));
      await wal.close();
      await expectRecovered(reopen, script.states.at(-1));
    }

    async function expectRecovered(reopen: Reopen, state: RecoveredLog | undefined): Promise<void> {
      for (let time = 0; time < 2; time++) {
        const { wal, recovered, created } = await reopen();
        assert(state !== undefined);
        assert.equal(digest(recovered), digest(state));
        assert.equal(created, false);
        await wal.close();
      }
    }

    it("starts empty where it was told, and says that it was created", () =>
      run(async (reopen) => {
        const { wal, recovered, created } = await reopen();
        assert.equal(digest(recovered), digest(new WriteScript().states[0] ?? recovered));
        assert.equal(created, true);
        await wal.close();
      }));

    it("gives back hard state and entries of all kinds, byte for byte", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        script.vote({ term: 3, vote: "n-1.A_z" });
        script.append(1, 0);
        script.append(5, 100, { commit: 1 });
        script.vote({ term: 2 ** 53 - 1, vote: null, commit: 2 ** 53 - 1 });
        script.vote({ vote: "v".repeat(64) });
        await roundTrip(reopen, script);
      }));

    it("replaces a suffix", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        script.append(5, 10, { term: 1 });
        script.replace(3, 1, 10, { term: 2 });
        script.append(2, 10);
        script.replace(6, 1, 10, { term: 3 });
        script.replace(1, 2, 10, { term: 4 });
        await roundTrip(reopen, script);
      }));

    it("starts again behind a snapshot", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        script.append(5, 10, { term: 1 });
        script.reset(50, 3, { term: 3, commit: 50 });
        script.append(2, 10);
        script.reset(40, 3);
        script.append(1, 10);
        await roundTrip(reopen, script);
      }));

    it("goes on over many openings and segments", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        script.vote({ term: 1 });
        for (let round = 0; round < 6; round++) {
          const { wal, recovered } = await reopen();
          if (round > 0) assert.equal(digest(recovered), digest(script.states.at(-1) ?? recovered));
          const from = round === 0 ? 0 : script.writes.length;
          for (let i = 0; i < 5; i++) script.append(3, 200);
          for (const write of script.writes.slice(from)) await wal.append(write);
          await wal.close();
        }
        await expectRecovered(reopen, script.states.at(-1));
      }));

    it("takes a write that is larger than a segment", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        script.append(1, 100, { term: 1 });
        script.append(2, 3 * SEGMENT_BYTES);
        script.append(1, 100);
        await roundTrip(reopen, script);
      }));

    it("completes writes in order", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        for (let i = 0; i < 50; i++) script.append(2, 100, { term: 1 + i });
        const { wal } = await reopen();
        const done: number[] = [];
        await Promise.all(
          script.writes.map((write, i) => wal.append(write).then(() => done.push(i))),
        );
        assert.deepEqual(done, script.writes.map((_, i) => i));
        await wal.close();
      }));

    it("keeps every entry from the compaction's index on", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        script.vote({ term: 1 });
        for (let i = 0; i < 20; i++) script.append(2, 200);
        let { wal } = await reopen();
        for (const write of script.writes) await wal.append(write);
        for (let index = 1; index <= 41; index++) {
          await wal.compactBefore(index);
          await wal.close();
          const opened = await reopen();
          wal = opened.wal;
          const { logStart, entries } = opened.recovered;
          assert(logStart.index < index, `${logStart.index} is gone, ${index} was to stay`);
          assert.deepEqual(entries, script.entries.slice(logStart.index));
          // A segment of 4 KiB holds fewer than 16 of these entries.
          assert(logStart.index > index - 33, `compacted before ${index}: still ${logStart.index}`);
        }
        await wal.close();
      }));

    it("has no entry to cut where the log was compacted", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        const { wal } = await reopen();
        await wal.append(script.append(10, 10, { term: 1 }));
        await wal.compactBefore(8);
        await wal.append(script.replace(8, 1, 10, { term: 2 }));
        await assert.rejects(wal.append(script.replace(6, 1, 10, { term: 3 })), InvariantViolation);
        await wal.close();
      }));

    it("waits for what was appended before it closes, and takes nothing after", () =>
      run(async (reopen) => {
        const script = new WriteScript();
        const write = script.append(3, 100, { term: 1 });
        const { wal } = await reopen();
        const appended = wal.append(write);
        await wal.close();
        await appended;
        await assert.rejects(wal.append(script.append(1, 1)), DiskFailure);
        await expectRecovered(reopen, script.states[1]);
      }));

    for (
      const [what, spoil] of [
        ["a gap", (script: WriteScript) => (script.append(1, 1), script.append(1, 1))],
        ["a term that goes back", (script: WriteScript) => script.vote({ term: 4 })],
        ["a second vote in a term", (script: WriteScript) => script.vote({ vote: "n2" })],
        [
          "a cut beyond the end",
          (script: WriteScript) => ({ ...script.vote({}), truncateFrom: 9 }),
        ],
      ] as const
    ) {
      it(`refuses ${what} as a defect, and everything after it`, () =>
        run(async (reopen) => {
          const script = new WriteScript();
          const { wal } = await reopen();
          await wal.append(script.append(1, 1, { term: 5, vote: "n1" }));
          await assert.rejects(wal.append(spoil(script)), InvariantViolation);
          await assert.rejects(wal.append(new WriteScript().vote({ term: 9 })), InvariantViolation);
          await wal.close();
          await expectRecovered(reopen, script.states[1]);
        }));
    }
  });
}
