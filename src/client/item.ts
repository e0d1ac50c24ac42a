/** Items, as documents have them and as they were put. */
import type { ItemAnswer, PutFields } from "../http/wire.ts";
import { fromBase64, toBase64, toBytes, toText } from "./bytes.ts";
import type { Key } from "./key.ts";

/** A key and what it holds. */
export interface ListedItem {
  /** Text where it is UTF-8. */
  readonly key: Key;
  /** Empty where values weren't asked for. */
  readonly value: Uint8Array;
  readonly contentType: string;
  /** The revision that last changed it. */
  readonly revision: number;
  /** The revision that created the key. */
  readonly created: number;
  readonly version: number;
  readonly metadata: Uint8Array | null;
  /** The id of the lease that it is tied to. */
  readonly lease: string | null;
}

/** Throws where base64 is not. */
export function itemOf(answer: ItemAnswer): ListedItem {
  const { value = "", metadata, lease, contentType, revision, created, version } = answer;
  return {
    key: keyOf(answer),
    value: answer.encoding === "base64" && typeof value === "string"
      ? fromBase64(value)
      : toBytes(value),
    contentType,
    revision,
    created,
    version,
    metadata: typeof metadata === "string" ? fromBase64(metadata) : metadata ?? null,
    lease: lease ?? null,
  };
}

/** The key in an answer, as it was put. Throws where base64 is not. */
export function keyOf({ key, keyEncoding }: Pick<ItemAnswer, "key" | "keyEncoding">): Key {
  return keyEncoding === "base64" && typeof key === "string" ? fromBase64(key) : key;
}

/** A value, as a document has it. */
export function valueFields(value: Uint8Array | string): Pick<PutFields, "value" | "encoding"> {
  const text = toText(value);
  return text === null ? { value: toBase64(toBytes(value)), encoding: "base64" } : { value: text };
}

/** A duration, as requests spell it; a part of a millisecond counts as a whole one. */
export function durationOf(ms: number): string {
  const whole = Math.ceil(ms);
  if (!Number.isFinite(ms) || whole < 1) throw new TypeError(`${ms} ms is no time to live`);
  // Nine digits at most.
  return whole < 1e9 ? `${whole}ms` : `${Math.ceil(whole / 1000)}s`;
}
