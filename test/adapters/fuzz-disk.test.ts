/**
 * Files that anything may stand in, also where every checksum matches: behind a sound header, frame or chunk header,
 * whatever its fields say. The answer is `MalformedBytes` or `CorruptData`, or what is there, the same every time.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { openFileWal } from "../../src/adapters/file-wal.ts";
import { writeU32, writeU64 } from "../../src/adapters/log-record.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import {
  checkTrailer,
  readChunks,
  readHeader,
  SnapshotEncoder,
  type SnapshotSource,
  soundBytes,
  verifySnapshot,
} from "../../src/adapters/snapshot-format.ts";
import {
  encodeSegmentHeader,
  encodeWrite,
  FRAME_HEADER_BYTES,
  frameBytes,
  sealFrame,
  SEGMENT_HEADER_BYTES,
  writeBytes,
} from "../../src/adapters/wal-frame.ts";
import { recoverWal, segmentName } from "../../src/adapters/wal-recovery.ts";
import { surveyWal } from "../../src/adapters/wal-survey.ts";
import { CorruptData, MalformedBytes } from "../../src/errors.ts";
import { overwritten, spoiled } from "./byte-arbitraries.ts";
import { nodeIds, sealedEntries } from "./peer-arbitraries.ts";
import { metaAt, openSnapshots } from "./snapshot-samples.ts";
import { digest } from "./wal-writes.ts";

const counts = fc.oneof(
  { weight: 3, arbitrary: fc.nat(6) },
  fc.maxSafeNat(),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
);
const u32s = fc.oneof(fc.nat(100), fc.nat(0xffff_ffff), fc.constantFrom(0xffff_ffff, 2 ** 31));

function rarely<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, arbitrary);
}

const points = fc.record({ index: counts, term: counts, crc: u32s });
const hardStates = fc.record({ term: counts, vote: fc.option(nodeIds), commit: counts });
const payloads = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 3 });

/** A write that need not follow anything, as bytes. */
const writes = fc.record({
  hardState: fc.option(hardStates),
  reset: rarely(points),
  keep: rarely(points),
  payloads,
  after: points,
}).map(({ payloads, after, ...write }) => {
  const room = { ...after, index: Math.min(after.index, 2 ** 53 - 10) };
  const behind = write.keep ?? write.reset ?? room;
  const entries = sealedEntries(
    payloads,
    behind.index > 2 ** 53 - 10 ? room : behind,
  );
  const bytes = new Uint8Array(writeBytes({ ...write, truncateFrom: write.keep && 1, entries }));
  assert.equal(encodeWrite(bytes, 0, { ...write, entries }), bytes.length);
  return bytes;
});
const bodies = fc.oneof(
  { weight: 4, arbitrary: writes },
  { weight: 2, arbitrary: overwritten(writes) },
  spoiled(writes),
  fc.uint8Array({ maxLength: 80 }),
);
interface FrameDraft {
  readonly body: Uint8Array;
  readonly sequenceOff: number;
}
const frames: fc.Arbitrary<FrameDraft> = fc.record({
  body: bodies,
  sequenceOff: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 5),
});
const segments = fc.record({
  last: points,
  hardState: hardStates,
  frames: fc.array(frames, { maxLength: 4 }),
  /** Instead of its length, of the last frame: one behind it would lie in the body. */
  claimed: rarely(u32s),
  rest: fc.uint8Array({ maxLength: 40 }),
});

const SEGMENT_BYTES = 4096;
const WAL = {
  directory: "/wal",
  segmentBytes: SEGMENT_BYTES,
  start: { index: 0, term: 0, crc: 0 },
};

/** A segment whose checksums all match, with as many of the frames as fit. */
function segmentOf(
  { last, hardState, frames, claimed, rest }: typeof segments extends fc.Arbitrary<infer T> ? T
    : never,
): Uint8Array {
  const header = { segmentBytes: SEGMENT_BYTES, id: 1, sequence: 1, last, hardState };
  const { bytes, salt } = encodeSegmentHeader(header);
  const file = new Uint8Array(SEGMENT_BYTES);
  file.set(bytes);
  let at = SEGMENT_HEADER_BYTES;
  for (const [i, { body, sequenceOff }] of frames.entries()) {
    const size = frameBytes(body.length);
    if (at + size > file.length) break;
    const frame = file.subarray(at, at + size);
    frame.set(body, FRAME_HEADER_BYTES);
    sealFrame(frame, { sequence: 1 + i + sequenceOff, bodyBytes: body.length, salt });
    if (claimed !== null && i === frames.length - 1) {
      writeU32(frame, 16, claimed);
      writeU32(frame, 4, crc32(frame.subarray(8, FRAME_HEADER_BYTES), salt));
    }
    at += size;
  }
  file.set(rest.subarray(0, file.length - at), at);
  return file;
}

/** Opens, and says what was recovered; null where it is refused, and then nothing was changed. */
async function recovered(file: Uint8Array): Promise<string | null> {
  const fs = new MemoryFileSystem();
  const path = `/wal/${segmentName(1)}`;
  fs.poke(path, file);
  try {
    const { wal, recovered } = await openFileWal({ fs, ...WAL });
    const said = digest(recovered);
    // It goes on, and says the same again.
    const { hardState } = recovered;
    await wal.append({ hardState, reset: null, truncateFrom: null, entries: [] });
    await wal.close();
    const again = await recoverWal(fs, WAL.directory);
    assert.equal(again === null ? null : digest(again.log.recovered()), said);
    return said;
  } catch (error) {
    assert.ok(error instanceof CorruptData, String(error));
    assert.equal(error.file, path);
    assert.deepEqual(fs.paths(), [path]);
    assert.deepEqual(fs.peek(path), file);
    // Whoever looks for what can be kept of it says no other error, either.
    await surveyWal(fs, WAL.directory, WAL.start).catch((again: unknown) =>
      assert.ok(again instanceof CorruptData, String(again))
    );
    return null;
  }
}

describe("a WAL that says anything under checksums that match", () => {
  it("is recovered, the same twice, or corrupt and left as it was", async () => {
    const seen = { recovered: 0, corrupt: 0 };
    await fc.assert(
      fc.asyncProperty(segments, async (segment) => {
        const file = segmentOf(segment);
        const said = await recovered(file);
        assert.equal(await recovered(file), said);
        seen[said === null ? "corrupt" : "recovered"]++;
      }),
      { numRuns: 1500 },
    );
    console.log("WAL segments sealed around anything:", JSON.stringify(seen));
    assert.ok(Math.min(seen.recovered, seen.corrupt) > 100);
  });

  it("ends before bytes that are no frame, whatever they are", async () => {
    const { bytes } = encodeSegmentHeader({
      segmentBytes: SEGMENT_BYTES,
      id: 1,
      sequence: 1,
      last: { index: 7, term: 2, crc: 3 },
      hardState: { term: 2, vote: null, commit: 7 },
    });
    const magic = new TextEncoder().encode("HFrm");
    const tails = fc.array(fc.oneof(fc.constant(magic), fc.uint8Array({ maxLength: 40 })));
    await fc.assert(
      fc.asyncProperty(tails, async (pieces) => {
        const file = new Uint8Array(SEGMENT_BYTES);
        file.set(bytes);
        file.set(Uint8Array.from(pieces.flatMap((piece) => [...piece])), SEGMENT_HEADER_BYTES);
        assert.equal(await recovered(file), "term 2 vote null commit 7 start 7@2#3");
      }),
      { numRuns: 300 },
    );
  });
});

interface ChunkDraft {
  readonly bytes: Uint8Array;
  readonly claimed: number | null;
}
const snapshots = fc.record({
  index: fc.integer({ min: 1, max: 9 }),
  chunks: fc.array(
    fc.record<ChunkDraft>({
      bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
      claimed: rarely(u32s),
    }),
    { maxLength: 4 },
  ),
  configuration: rarely(
    fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.json().map((text) => Buffer.from(text))),
  ),
  header: rarely(fc.tuple(fc.constantFrom(12, 20, 28), u32s)),
  trailer: rarely(fc.tuple(fc.constantFrom(0, 4, 8, 12, 16, 20), u32s)),
  behind: rarely(fc.uint8Array({ maxLength: 20 })),
});

/** A snapshot file whose checksums all match, with some fields that don't. */
function snapshotOf(draft: typeof snapshots extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  const encoder = new SnapshotEncoder(metaAt(draft.index, 2));
  let header = Uint8Array.from(encoder.header);
  if (draft.configuration !== null) {
    header = Uint8Array.from([...header.subarray(0, 36), ...draft.configuration]);
    writeU32(header, 12, draft.configuration.length);
  }
  if (draft.header !== null) writeU32(header, ...draft.header);
  let crc = crc32(header.subarray(12));
  const headerCrc = crc;
  writeU32(header, 8, crc);
  const pieces = [header];
  let bytes = 0;
  for (const chunk of draft.chunks) {
    const length = chunk.claimed ?? chunk.bytes.length;
    crc = crc32(chunk.bytes, (crc ^ length) >>> 0);
    const head = new Uint8Array(8);
    writeU32(head, 0, length);
    writeU32(head, 4, crc);
    pieces.push(head, Uint8Array.from(chunk.bytes));
    bytes += chunk.bytes.length;
  }
  const trailer = Uint8Array.from(encoder.trailer());
  writeU32(trailer, 4, crc);
  writeU64(trailer, 8, draft.chunks.length);
  writeU64(trailer, 16, bytes);
  if (draft.trailer !== null) writeU32(trailer, ...draft.trailer);
  writeU32(trailer, 24, crc32(trailer.subarray(0, 24), headerCrc));
  return Uint8Array.from([...pieces, trailer, draft.behind ?? []].flatMap((each) => [...each]));
}

/** Counts what is asked for: lengths in a file must not make it more than a chunk may be. */
function sourceOf(bytes: Uint8Array): SnapshotSource {
  const read = (offset: number, length: number) => {
    assert.ok(offset >= 0 && length <= 16 << 20, `${length} bytes were asked for`);
    return Promise.resolve(bytes.slice(offset, offset + length));
  };
  return { size: bytes.length, read };
}

async function malformedOr<T>(bytes: Uint8Array, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    assert.ok(error.offset >= 0 && error.offset <= bytes.length + 36, error.message);
    return null;
  }
}

describe("a snapshot file that says anything under checksums that match", () => {
  const files = fc.oneof(
    { weight: 4, arbitrary: snapshots.map(snapshotOf) },
    overwritten(snapshots.map(snapshotOf)),
    spoiled(snapshots.map(snapshotOf)),
    fc.uint8Array({ maxLength: 120 }),
  );

  it("is read whole, or malformed, and no length in it is taken for granted", async () => {
    const seen = { whole: 0, malformed: 0 };
    await fc.assert(
      fc.asyncProperty(files, async (bytes) => {
        const source = sourceOf(bytes);
        const meta = await malformedOr(bytes, () => verifySnapshot(source));
        const chunks = await malformedOr(bytes, async () => {
          const header = await readHeader(source);
          let read = header.bytes;
          for await (const chunk of readChunks(source, header)) read += 8 + chunk.length;
          await checkTrailer(source, header);
          return read;
        });
        const sound = await soundBytes(source);
        assert.ok(sound <= bytes.length);
        assert.equal(meta === null, chunks === null);
        if (meta !== null) assert.equal(sound, bytes.length);
        if (chunks !== null) assert.equal(chunks + 36, bytes.length);
        seen[meta === null ? "malformed" : "whole"]++;
      }),
      { numRuns: 1500 },
    );
    console.log("snapshot files sealed around anything:", JSON.stringify(seen));
    assert.ok(Math.min(seen.whole, seen.malformed) > 100);
  });

  it("is corrupt under a snapshot's name, and resumed from where it is sound as a part", async () => {
    const part = "snapshot-0000000000000009-0000000000000002-00000000000000c8.part";
    const names = fc.constantFrom(
      part,
      "snapshot-0000000000000003-0000000000000002.snap",
      "snapshot-ffffffffffffffff-ffffffffffffffff.snap",
      "snapshot-ffffffffffffffff-0000000000000002-0000000000000000.part",
      "snapshot.tmp",
      "snapshot-3-2.snap",
    );
    const seen = { opened: 0, corrupt: 0 };
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, files), async (held) => {
        const fs = new MemoryFileSystem();
        const entries = Object.entries(held);
        for (const [name, bytes] of entries) fs.poke(`/snapshots/${name}`, bytes);
        try {
          const store = await openSnapshots(fs);
          for await (const chunk of store.read()) assert.ok(chunk.length > 0);
          const staged = await store.stage({ index: 9, term: 2, size: 200 });
          assert.ok(staged.offset <= Math.min(200, held[part]?.length ?? 0));
          await malformedOr(new Uint8Array(200), async () => {
            await staged.write(new Uint8Array(200 - staged.offset));
            await staged.finish();
          });
          seen.opened++;
        } catch (error) {
          assert.ok(error instanceof CorruptData, String(error));
          for (const [name, bytes] of entries) {
            if (error.file.endsWith(name)) assert.deepEqual(fs.peek(error.file), bytes);
          }
          seen.corrupt++;
        }
      }),
      { numRuns: 500 },
    );
    console.log("snapshot directories of anything:", JSON.stringify(seen));
    assert.ok(Math.min(seen.opened, seen.corrupt) > 50);
  });
});
