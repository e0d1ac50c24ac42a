/** What applying a command came to. The same on every replica, and plain data, so that a follower can be told. */
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";

/** `revision` is always the store's, right after the command. */
export type KvResult =
  /** `version` 1 says that the put created the key, as does `created` = `revision`. */
  | {
    readonly type: "put";
    readonly revision: number;
    readonly version: number;
    readonly created: number;
  }
  | { readonly type: "deleted"; readonly revision: number; readonly deleted: number }
  /** Nothing changed. `current` is the revision that the key is at, 0 where it is absent. */
  | { readonly type: "conditionFailed"; readonly revision: number; readonly current: number }
  /** Nothing changed: the command could not be understood. */
  | { readonly type: "malformed"; readonly revision: number; readonly detail: string };

const limits: CborLimits = {
  totalBytesMax: 4096,
  depthMax: 1,
  itemsMax: 32,
  textBytesMax: 1024,
  byteStringBytesMax: 0,
};

/** A result on its way to the follower that forwarded the command. */
export function encodeResult(result: KvResult): Uint8Array {
  return encodeCbor(result);
}

/** @throws {MalformedBytes} where `bytes` hold no result. Members that aren't known are left out. */
export function decodeResult(bytes: Uint8Array): KvResult {
  const decoded = decodeCbor(bytes, limits);
  if (typeof decoded !== "object" || decoded === null) {
    throw new MalformedBytes("not a result", 0);
  }
  const members = new Map<string, unknown>(Object.entries(decoded));
  const type = members.get("type");
  const revision = count(members, "revision");
  switch (type) {
    case "put":
      return {
        type,
        revision,
        version: count(members, "version"),
        created: count(members, "created"),
      };
    case "deleted":
      return { type, revision, deleted: count(members, "deleted") };
    case "conditionFailed":
      return { type, revision, current: count(members, "current") };
    case "malformed": {
      const detail = members.get("detail");
      if (typeof detail === "string") return { type, revision, detail };
    }
  }
  throw new MalformedBytes("a result of no known type", 0);
}

function count(members: ReadonlyMap<string, unknown>, name: string): number {
  const value = members.get(name);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new MalformedBytes(`${name} is not a count`, 0);
}
