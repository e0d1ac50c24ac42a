/** What decodes bytes from sockets and disks. */
import fc from "fast-check";
import "../adapters/byte-arbitraries.ts";
import assert from "node:assert/strict";
import { decodeRecords } from "../../src/adapters/log-record.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { decodeHello, decodeHelloReply } from "../../src/adapters/peer-hello.ts";
import * as wire from "../../src/adapters/peer-wire.ts";
import {
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  frameBytes,
  sealFrame,
  SEGMENT_HEADER_BYTES,
} from "../../src/adapters/wal-frame.ts";
import { recoverWal, segmentName } from "../../src/adapters/wal-recovery.ts";
import { type CborLimits, decodeCbor, encodeCbor } from "../../src/cbor.ts";
import { CorruptData } from "../../src/errors.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import * as arbitraries from "../adapters/peer-arbitraries.ts";
import { payloads } from "../kv/command-arbitraries.ts";
import { contents, inPieces, snapshotOf } from "../kv/machines.ts";
import { assertSound } from "../kv/soundness.ts";
import { outcomeOf, refusal, type Target, withoutDetails } from "./target.ts";

const samplesOf = (arbitrary: fc.Arbitrary<Uint8Array>, count = 60): readonly Uint8Array[] =>
  fc.sample(arbitrary, { numRuns: count, seed: 1 }).map((bytes) => bytes.slice());

const cborLimits: CborLimits = {
  totalBytesMax: 1 << 20,
  depthMax: 16,
  itemsMax: 10_000,
  textBytesMax: 1000,
  byteStringBytesMax: 1 << 20,
};

/** What is let through means the same when it was encoded again. */
export const cbor: Target = {
  name: "cbor",
  words: [],
  samples: () => samplesOf(fc.oneof(arbitraries.requests.map(wire.encodeRequest), payloads)),
  run: (bytes) =>
    outcomeOf("cbor", () => {
      const value = decodeCbor(bytes, cborLimits);
      const encoded = encodeCbor(value).slice();
      assert.deepEqual(encodeCbor(decodeCbor(encoded, cborLimits)).slice(), encoded);
      return Array.isArray(value) ? `array of ${Math.min(value.length, 9)}` : typeof value;
    }),
};

const { wireLimits: limits } = arbitraries;
const requestTypes = Object.keys(wire.peerPaths).filter((type): type is wire.RequestType =>
  type !== "forward" && type !== "manage" && type !== "snapshotChunk"
);
const helloExchange = { from: "n1", to: "n2", path: "/raft/v1/hello", nonce: "n" };
const peerDecoders: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  ...Object.fromEntries(
    requestTypes.flatMap((type) => [
      [type, (bytes: Uint8Array) => wire.decodeRequest(type, bytes, limits)],
      [`${type} reply`, (bytes: Uint8Array) => wire.decodeReply(type, bytes, limits)],
    ]),
  ),
  forward: (bytes) => wire.decodeForward(bytes, limits),
  "forward reply": (bytes) => wire.decodeForwardReply(bytes, limits),
  manage: (bytes) => wire.decodeManage(bytes, limits),
  "manage reply": (bytes) => wire.decodeManageReply(bytes, limits),
  chunk: (bytes) => wire.decodeChunk(bytes, limits),
  "chunk reply": (bytes) => wire.decodeChunkReply(bytes, limits),
  hello: (bytes) => decodeHello(bytes, helloExchange),
  "hello reply": decodeHelloReply,
};

/** Each input as every message. */
export const peer: Target = {
  name: "peer",
  words: ["from", "to", "term", "entries", "n1", "__proto__", "configuration"],
  samples: () =>
    samplesOf(fc.oneof(
      arbitraries.requests.map(wire.encodeRequest),
      arbitraries.replies.map(wire.encodeReply),
      arbitraries.commands.map((command) => wire.encodeForward({ command, timeoutMs: 5 })),
      arbitraries.forwardReplies.map(wire.encodeForwardReply),
      arbitraries.manageCalls.map(wire.encodeManage),
      arbitraries.manageReplies.map(wire.encodeManageReply),
      arbitraries.chunks.map(wire.encodeChunk),
    )),
  run: (bytes) => {
    const outcomes = Object.entries(peerDecoders).map(([name, decode]) =>
      outcomeOf(name, () => {
        decode(bytes);
        return "taken";
      })
    );
    const taken = outcomes.filter((outcome) => outcome.endsWith(": taken"));
    if (taken.length > 0) return taken.join();
    return [...new Set(outcomes.map((outcome) => outcome.replace(/^[^:]*/, "")))].join().slice(
      0,
      200,
    );
  },
};

const start = { index: 0, term: 0, crc: 0 };

/** Records, with the checksums that they come with. */
export const records: Target = {
  name: "records",
  words: [],
  samples: () =>
    samplesOf(
      fc.array(payloads, { maxLength: 5 }).map((run) =>
        Uint8Array.from(
          arbitraries.sealedEntries(run, { ...start, term: 1 }).flatMap((
            { record },
          ) => [...record]),
        )
      ),
    ),
  run: (bytes) =>
    outcomeOf("records", () => {
      const position = { previousIndex: 0, previousTerm: 0, previousCrc: 0 };
      const entries = decodeRecords(bytes, position, limits.records);
      return entries.map(({ kind }) => kind).join().slice(0, 60);
    }),
};

const segmentBytes = 32 * 1024;

/** A log whose one frame holds the input, under checksums that match. */
export const log: Target = {
  name: "log",
  words: [],
  samples: () => records.samples(),
  run: async (body) => {
    const { bytes, salt } = encodeSegmentHeader({
      segmentBytes,
      id: 1,
      sequence: 1,
      last: start,
      hardState: { term: 0, vote: null, commit: 0 },
    });
    const file = new Uint8Array(segmentBytes);
    file.set(bytes);
    const frame = file.subarray(
      SEGMENT_HEADER_BYTES,
      SEGMENT_HEADER_BYTES + frameBytes(body.length),
    );
    frame.set(body, FRAME_HEADER_BYTES);
    sealFrame(frame, { sequence: 1, bodyBytes: body.length, salt });
    const fs = new MemoryFileSystem();
    fs.poke(`/wal/${segmentName(1)}`, file);
    try {
      const recovered = await recoverWal(fs, "/wal");
      return `recovered ${Math.min(recovered?.log.recovered().entries.length ?? -1, 9)}`;
    } catch (error) {
      assert.ok(error instanceof CorruptData, error instanceof Error ? error.stack : String(error));
      return withoutDetails(error.message);
    }
  },
};

/** Commands, as a replica applies them: whatever they are, the state stays sound. */
export const commands: Target = {
  name: "commands",
  words: [
    "put",
    "delete",
    "transaction",
    "batch",
    "keyed",
    "grant",
    "as",
    "upgrade",
    "putRole",
    "restore",
  ],
  samples: () => samplesOf(payloads, 200),
  run: (payload) => {
    const machine = new KvMachine();
    machine.apply({ payload: Uint8Array.of(0x82, 0x01, 0x66, ...Buffer.from("expire")) });
    let result: KvResult;
    try {
      result = machine.apply({ payload });
    } catch (error) {
      // What a later release proposes can't be followed: the node stops.
      assert.match(String(error), /^InvariantViolation: the cluster's version became/);
      return "a later version";
    }
    machine.decodeResult(machine.encodeResult(result).slice());
    assertSound(machine);
    const detail = result.type === "malformed" ? withoutDetails(result.detail) : "";
    return `${result.type} ${detail} ${machine.store.revision}`;
  },
};

/** Snapshots of the store: taken, and then sound, or refused, and then nothing has changed. */
export const snapshots: Target = {
  name: "snapshots",
  words: ["holdfast-kv"],
  samples: () =>
    fc.sample(fc.array(payloads, { maxLength: 12 }), { numRuns: 40, seed: 1 }).map((run) => {
      const machine = new KvMachine();
      for (const payload of run) machine.apply({ payload });
      return snapshotOf(machine);
    }),
  run: async (bytes) => {
    const machine = new KvMachine();
    const before = contents(machine);
    try {
      await machine.restore(inPieces(bytes, 4096));
    } catch (error) {
      assert.deepEqual(contents(machine), before);
      return refusal(error);
    }
    assertSound(machine);
    return `taken ${Math.min(machine.store.size, 9)}`;
  },
};
