/** Keys and values on the command line: how they are given, and how they are shown. */
import * as v from "valibot";
import { fromBase64, toBase64, toBytes, toText } from "../client/bytes.ts";
import type { Key, ListedItem, ReadOptions } from "../client/mod.ts";
import { countSchema, durationSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { readFlag } from "./command.ts";
import { shown } from "./output.ts";

/** What becomes of a request about keys. */
export const keysStatusHelp: string = `
Exit status: 0 done, 1 the key is absent or the condition did not hold, 2 wrong command line,
5 no node could serve it (nothing was changed), 6 the write's outcome is unknown, 7 refused.
`;

/** The key that the first operand is, which is called so. @throws {BadConfiguration} */
export function keyOf({ operands }: Arguments, called = "KEY"): string {
  const [key = ""] = operands;
  if (key === "") throw new BadConfiguration(`${called} takes at least one character`);
  if (key === "." || key === "..") {
    throw new BadConfiguration(`${called} takes a name that a URL can spell, which ${key} is not`);
  }
  return key;
}

/** Flags that name a range of keys. */
export const rangeFlags: Readonly<Record<"prefix" | "start" | "end", FlagSpec>> = {
  prefix: { takes: "a prefix" },
  start: { takes: "a key" },
  end: { takes: "a key" },
};

/** The range that the flags name; all keys where there are none. @throws {BadConfiguration} */
export function readRange(
  { flags }: Arguments,
): { readonly prefix?: string; readonly start?: string; readonly end?: string } {
  const { prefix, start, end } = flags;
  if (prefix !== undefined && (start !== undefined || end !== undefined)) {
    throw new BadConfiguration("--prefix and --start or --end exclude each other");
  }
  return {
    ...(prefix === undefined ? {} : { prefix }),
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
  };
}

/** Flags of a read. */
export const readFlags: Readonly<Record<"consistency" | "maxStale" | "revision", FlagSpec>> = {
  consistency: { takes: "linearizable, lease or stale" },
  maxStale: { takes: "a duration, such as 500ms" },
  revision: { takes: "a revision, such as 12" },
};

/** The lines of help about {@link readFlags}. */
export const readHelp: string = `
  --revision N       as it was right after revision N, as far back as history goes
  --consistency C    linearizable (default), lease or stale
  --max-stale T      with stale: fail rather than answer with what is older`;

/** How to read. @throws {BadConfiguration} */
export function readOptions(args: Arguments): ReadOptions & { readonly revision?: number } {
  const levels = v.picklist(["linearizable", "lease", "stale"]);
  const consistency = readFlag(args, "consistency", readFlags.consistency, levels);
  const maxStaleMs = readFlag(args, "maxStale", readFlags.maxStale, durationSchema(0, 86_400_000));
  if (maxStaleMs !== undefined && consistency !== "stale") {
    throw new BadConfiguration("--max-stale takes effect with --consistency stale only");
  }
  const schema = countSchema(0, Number.MAX_SAFE_INTEGER);
  const revision = readFlag(args, "revision", readFlags.revision, schema);
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(maxStaleMs === undefined ? {} : { maxStaleMs }),
    ...(revision === undefined ? {} : { revision }),
  };
}

/** The key as text, or `base64:…` where it is not UTF-8. */
export function shownKey(key: Key): string {
  return typeof key === "string" ? shown(key) : `base64:${toBase64(key)}`;
}

/** A line of a listing. */
export function itemLine(item: ListedItem): string {
  const { key, revision, value, contentType } = item;
  return `${shownKey(key)}\t${revision}\t${value.length}\t${shown(contentType)}`;
}

/** A key as documents have it. */
export function keyDocument(key: Key): Readonly<Record<string, unknown>> {
  return typeof key === "string" ? { key } : { key: toBase64(key), keyEncoding: "base64" };
}

/** An item as documents have it. */
export function itemDocument(item: ListedItem): Readonly<Record<string, unknown>> {
  const { key, value, revision, created, version, contentType, metadata, lease } = item;
  const text = toText(value);
  return {
    ...keyDocument(key),
    ...(text === null || typeof key !== "string"
      ? { value: toBase64(value), encoding: "base64" }
      : { value: text }),
    revision,
    created,
    version,
    contentType,
    ...(metadata === null ? {} : { metadata: toBase64(metadata) }),
    ...(lease === null ? {} : { lease }),
  };
}

/** Ten years: the longest time that a key or a lease may be given. */
export const TTL_MS_MAX: number = 3650 * 86_400_000;

/** A lease's id. */
export const leaseIdSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.regex(/^[1-9]\d{0,15}$/),
);

/** Metadata, as text or as `base64:…`. */
export const metadataSchema: v.GenericSchema<string, Uint8Array> = v.pipe(
  v.string(),
  v.check((text) =>
    !text.startsWith("base64:") || v.is(v.pipe(v.string(), v.base64()), text.slice(7))
  ),
  v.transform((text) => text.startsWith("base64:") ? fromBase64(text.slice(7)) : toBytes(text)),
  v.check((bytes) => bytes.length <= 1024),
);
