/** Reads a snapshot (`snapshot.ts`): takes its bytes as they come, checks them, and builds the state. */
import { type CborLimits, decodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";
import { grantsMax } from "./access/grant.ts";
import { isSessionOf } from "./access/needs.ts";
import { Attachments } from "./attachments.ts";
import { checkBytes, checkWhole, malformed } from "./command-parts.ts";
import { type LeaseId, ttlMsMax } from "./command.ts";
import { changeHeaderBytes, changeLengthAt, putOffIn } from "./history-format.ts";
import { History } from "./history.ts";
import { type Answer, Idempotency, nameOf, type Session } from "./idempotency.ts";
import { LaterParts } from "./later-parts.ts";
import { type Lease, Leases } from "./leases.ts";
import { OrderedMap } from "./ordered-map.ts";
import { pageBytes } from "./page.ts";
import {
  attachedAt,
  flawAt,
  isBehind,
  keyAt,
  lengthAt,
  putOffAt,
  readU32,
  recordBytesMax,
  recordHeaderBytes,
  revisionAt,
} from "./record.ts";
import { Records } from "./records.ts";
import { decodeResult } from "./result-codec.ts";
import { chunkBytes, decodeHeader, headerBytes, type SnapshotHeader } from "./snapshot-format.ts";
import type { State } from "./state.ts";
import { Store } from "./store.ts";
import { timeText } from "./time.ts";

/** A length, of a record, a change or a part. */
const lengthBytes = 4;
/** The longest part: an answer, kept as `result.ts` allows. */
const partBytesMax = 16 * 1024 * 1024;
const partLimits: CborLimits = {
  totalBytesMax: partBytesMax,
  depthMax: 3,
  // A grant is four.
  itemsMax: 16 + 4 * grantsMax,
  textBytesMax: 256,
  byteStringBytesMax: partBytesMax,
};

const timeless = "something that is due beyond all time";

/** What is read next. */
type Stage = "header" | "records" | "changes" | "parts" | "nothing";

export interface SnapshotReaderOptions {
  /**
   * The state's time is to be this, or later: what is due then is put off by as much, so that it has left what it had.
   */
  readonly timeMin?: number;
}

export class SnapshotReader {
  readonly #timeMin: number;
  /** By so much, in milliseconds. */
  #putOffMs = 0;
  readonly #runs: Uint8Array<ArrayBuffer>[] = [];
  readonly #attachments = new Attachments();
  readonly #leases = new OrderedMap<Lease>();
  readonly #sessions = new OrderedMap<Session>();
  readonly #answers = new OrderedMap<Answer>();
  readonly #later = new LaterParts();
  #stage: Stage = "header";
  #header: SnapshotHeader | null = null;
  #history: History | null = null;
  /** Records read. */
  #size = 0;
  /** Records of a revision behind the floor. */
  #recent = 0;
  /** Begins with `#held` bytes that were not taken. Filled again and again: what is kept is copied. */
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(2 * chunkBytes);
  #held = 0;
  /** With so many held, reading goes on. */
  #needed = headerBytes;
  /** What is held begins with so many bytes of sound records: none only where there was none yet. */
  #sound = 0;
  /** Where the last of these begins. */
  #lastAt = 0;
  #offset = 0;
  #lastPart = "";

  constructor({ timeMin = 0 }: SnapshotReaderOptions = {}) {
    this.#timeMin = timeMin;
  }

  push(bytes: Uint8Array): void {
    const before = this.#held;
    this.#held += bytes.length;
    if (this.#held > this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#held);
      larger.set(this.#buffer.subarray(0, before));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, before);
    if (this.#held < this.#needed) return;
    const held = this.#buffer.subarray(0, this.#held);
    let taken = 0;
    try {
      if (this.#stage === "header") taken = this.#onHeader(held);
      if (this.#stage === "records") taken = this.#onRecords(held, taken);
      if (this.#stage === "changes") taken = this.#onChanges(held, taken);
      if (this.#stage === "parts") taken = this.#onParts(held, taken);
      if (this.#stage === "nothing" && taken < held.length) throw malformed("bytes behind the end");
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      throw new MalformedBytes(error.message, this.#offset);
    }
    this.#buffer.copyWithin(0, taken, this.#held);
    this.#held -= taken;
    this.#offset += taken;
  }

  finish(): State {
    const header = this.#header;
    const history = this.#history;
    if (this.#stage !== "nothing" || header === null || history === null) {
      throw new MalformedBytes("the snapshot ends too soon", this.#offset);
    }
    const records = Records.of(this.#runs);
    const hasLease = (id: LeaseId) => this.#leases.get(timeText(id)) !== undefined;
    const access = this.#later.access();
    const flaw = history.flaw((key) => records.past(key)?.revision, this.#recent) ??
      this.#attachments.flaw(hasLease) ?? access.flaw();
    if (flaw !== null) throw new MalformedBytes(flaw, this.#offset);
    return {
      store: new Store(records, history, this.#attachments),
      leases: new Leases(this.#leases, header.nextLease),
      idempotency: new Idempotency(this.#sessions, this.#answers),
      access,
      time: header.time + this.#putOffMs,
      version: header.version,
      staging: this.#later.staging,
      restored: this.#later.restored,
      successor: null,
      applied: {},
    };
  }

  #onHeader(bytes: Uint8Array): number {
    const header = decodeHeader(bytes);
    if (typeof header === "string") throw malformed(header);
    const { revisionsMax, bytesMax, floor, time } = header;
    this.#header = header;
    this.#putOffMs = Math.max(0, this.#timeMin - time);
    this.#history = new History({ revisionsMax, bytesMax }, floor);
    this.#stage = "records";
    return headerBytes;
  }

  /** Cuts what is there into runs of records that are pages as they are. Returns where what is left begins. */
  #onRecords(bytes: Uint8Array<ArrayBuffer>, start: number): number {
    const size = this.#header?.size ?? 0;
    let runAt = start;
    let at = start + this.#sound;
    while (this.#size < size) {
      const left = bytes.length - at;
      const length = left < lengthBytes ? lengthBytes : this.#recordLength(lengthAt(bytes, at));
      if (left < length || left < lengthBytes) {
        this.#needed = at - runAt + length;
        this.#sound = at - runAt;
        this.#lastAt -= runAt;
        return runAt;
      }
      this.#onRecord(bytes, at, at > runAt ? this.#lastAt : null);
      if (at > runAt && at + length - runAt > pageBytes) {
        this.#runs.push(bytes.slice(runAt, at));
        runAt = at;
      }
      this.#lastAt = at;
      at += length;
    }
    if (at > runAt) this.#runs.push(bytes.slice(runAt, at));
    this.#stage = "changes";
    return at;
  }

  #recordLength(length: number): number {
    if (length > recordHeaderBytes && length <= recordBytesMax) return length;
    throw malformed(`a record of ${length} bytes`);
  }

  #onRecord(bytes: Uint8Array, at: number, previousAt: number | null): void {
    const { revision = 0, floor = 0 } = this.#header ?? {};
    const flaw = flawAt(bytes, at, revision);
    if (flaw !== null) throw malformed(flaw);
    if (previousAt !== null && !isBehind(bytes, at, previousAt)) {
      throw malformed("keys out of order");
    }
    this.#size++;
    if (this.#putOffMs > 0 && !putOffAt(bytes, at, this.#putOffMs)) throw malformed(timeless);
    if (revisionAt(bytes, at) > floor) this.#recent++;
    const attached = attachedAt(bytes, at);
    if (attached !== null) this.#attachments.add(keyAt(bytes, at), attached);
  }

  #onChanges(bytes: Uint8Array, start: number): number {
    const history = this.#history;
    let at = start;
    while (history !== null && history.end < (this.#header?.revision ?? 0)) {
      const change = this.#sized(bytes, at, (length) => {
        const isPossible = length >= changeHeaderBytes && length <= history.limits.bytesMax;
        return isPossible ? length : null;
      }, changeLengthAt);
      if (change === null) return at;
      if (this.#putOffMs > 0 && !putOffIn(change, this.#putOffMs)) throw malformed(timeless);
      const flaw = history.restore(change);
      if (flaw !== null) throw malformed(flaw);
      at += change.length;
    }
    this.#stage = "parts";
    return at;
  }

  #onParts(bytes: Uint8Array, start: number): number {
    for (let at = start;;) {
      const part = this.#sized(
        bytes,
        at,
        (length) => length <= partBytesMax ? lengthBytes + length : null,
        readU32,
      );
      if (part === null) return at;
      at += part.length;
      if (part.length === lengthBytes) {
        this.#stage = "nothing";
        this.#needed = 1;
        return at;
      }
      this.#onPart(decodeCbor(part.slice(lengthBytes), partLimits));
    }
  }

  /** What begins at `at` and says how long it is; null where it isn't there in full. */
  #sized(
    bytes: Uint8Array,
    at: number,
    wholeLength: (said: number) => number | null,
    read: (bytes: Uint8Array, at: number) => number,
  ): Uint8Array | null {
    const left = bytes.length - at;
    this.#needed = lengthBytes;
    if (left < lengthBytes) return null;
    const length = wholeLength(read(bytes, at));
    if (length === null) throw malformed(`${read(bytes, at)} bytes where so many can't be`);
    this.#needed = length;
    return left < length ? null : bytes.subarray(at, at + length);
  }

  /** Checks that what parts are kept under ascends. */
  #follows(kind: number, name: string): void {
    const text = String.fromCharCode(kind) + name;
    if (text <= this.#lastPart) throw malformed("parts out of order");
    this.#lastPart = text;
  }

  #onPart(part: unknown): void {
    const { time = 0, nextLease = 0, version = 0 } = this.#header ?? {};
    const [type, first, ...rest] = Array.isArray(part) ? part : [];
    const later = this.#later.take(type, [first, ...rest], version);
    if (later !== null) return this.#follows(later.kind, later.name);
    const numbers = rest.slice(0, 3).map((each) => checkWhole(each, 0));
    const [one = 0, two = 0, three = 0] = numbers;
    switch (`${String(type)} ${rest.length}`) {
      case "lease 2": {
        const id = checkWhole(first, 1, nextLease - 1);
        const ttlMs = checkWhole(one, 1, ttlMsMax);
        this.#follows(0, timeText(id));
        this.#leases.set(timeText(id), {
          id,
          ttlMs,
          due: checkWhole(two, ttlMs, time + ttlMs) + this.#putOffMs,
        });
        return;
      }
      case "session 2":
        this.#follows(1, sessionOf(first));
        this.#sessions.set(sessionOf(first), {
          usedAt: checkWhole(one, 0, time) + this.#putOffMs,
          done: two,
        });
        return;
      case "answer 4": {
        const session = this.#sessions.get(sessionOf(first));
        if (session === undefined || one < session.done) throw malformed("an answer to nobody");
        const name = nameOf(sessionOf(first), one);
        const result = checkBytes(rest[3], "result", partBytesMax);
        decodeResult(result);
        this.#follows(2, name);
        this.#answers.set(name, { fingerprint: [two, three], result });
        return;
      }
      default:
        throw malformed("a part of an unknown kind");
    }
  }
}

function sessionOf(value: unknown): string {
  if (typeof value === "string" && isSessionOf(value)) return value;
  throw malformed("a session that is not one");
}
