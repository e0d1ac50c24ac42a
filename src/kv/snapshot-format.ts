/** What the writer and the reader of a snapshot both know; `snapshot.ts` has the whole of it. */
import { firstVersion, newestVersion } from "./cluster-version.ts";
import { historyBytesMax, timeMsMax } from "./command.ts";
import { readU64, writeU64 } from "./record.ts";

const format = "holdfast-kv";
/** The format of a snapshot of the cluster's version 1; each later version has the one after it. */
const firstFormat = 3;
const numbersAt = format.length + 1;

/** The most bytes in one chunk. */
export const chunkBytes: number = 64 * 1024;

/** What a snapshot begins with. */
export interface SnapshotHeader {
  /** The cluster's version, told by the format. */
  readonly version: number;
  readonly revision: number;
  /** Records. */
  readonly size: number;
  /** Changes up to this revision are gone. */
  readonly floor: number;
  readonly time: number;
  readonly nextLease: number;
  readonly revisionsMax: number;
  readonly bytesMax: number;
}
const names = [
  "revision",
  "size",
  "floor",
  "time",
  "nextLease",
  "revisionsMax",
  "bytesMax",
] as const satisfies readonly Exclude<keyof SnapshotHeader, "version">[];

export const headerBytes: number = numbersAt + 8 * names.length;

export function encodeHeader(header: SnapshotHeader): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  for (let i = 0; i < format.length; i++) bytes[i] = format.charCodeAt(i);
  bytes[format.length] = firstFormat - firstVersion + header.version;
  for (const [i, name] of names.entries()) writeU64(bytes, numbersAt + 8 * i, header[name]);
  return bytes;
}

/** The header that `bytes` begin with, or what is wrong with it. */
export function decodeHeader(bytes: Uint8Array): SnapshotHeader | string {
  for (let i = 0; i < format.length; i++) {
    if (bytes[i] !== format.charCodeAt(i)) return `not a snapshot of ${format}`;
  }
  const version = (bytes[format.length] ?? 0) - firstFormat + firstVersion;
  if (version > newestVersion) {
    return `format ${
      bytes[format.length]
    }, of the cluster's version ${version}: ${newestVersion} is the last one ` +
      "that is spoken here";
  }
  if (version < firstVersion) return `format ${bytes[format.length]} of old`;
  const [
    revision = 0,
    size = 0,
    floor = 0,
    time = 0,
    nextLease = 0,
    revisionsMax = 0,
    bytesMax = 0,
  ] = names.map((_, i) => readU64(bytes, numbersAt + 8 * i));
  const header = { version, revision, size, floor, time, nextLease, revisionsMax, bytesMax };
  const isPossible = Object.values(header).every(Number.isSafeInteger) && nextLease >= 1 &&
    time <= timeMsMax && revisionsMax >= 1 && bytesMax <= historyBytesMax;
  if (!isPossible) return "a header of impossible numbers";
  return floor <= revision ? header : "a past that begins in the future";
}
