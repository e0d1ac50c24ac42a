/**
 * `identity.json`: whose a data directory is, and by which release it may be read. `data-directory.ts` has its grammar.
 *
 * Format 1 is what 0.1.0 knows. Format 2 has the same members, and says that the rest may hold what only the cluster's
 * version 2 knows (`wire-version.ts`): 0.1.0 refuses it, as it refuses all formats that it doesn't know.
 */
import { crc32 } from "node:zlib";
import * as v from "valibot";
import { CorruptData, DataDirectoryRefused } from "../errors.ts";
import type { FileSystem } from "../ports.ts";
import type { Configuration, NodeId } from "../raft/types.ts";

/** Who a node is before it belongs to a cluster. */
export interface Newborn {
  readonly id: NodeId;
  /** Which life of its disk this is: drawn at its first start, and kept for as long as the directory is. */
  readonly incarnation: string;
}

/** A cluster, as a member has to know it. */
export interface ClusterBirth {
  readonly clusterId: string;
  /** The cluster's first configuration. */
  readonly birth: Configuration;
}

/** Who a member is. */
export interface Identity extends Newborn, ClusterBirth {}

const IDENTITY_BYTES_MAX = 64 * 1024;
export const IDENTITY_NAME = "identity.json";
const TEMPORARY_NAME = "identity.json.tmp";
/** Of a directory that any release may read. */
export const FIRST_FORMAT = 1;
/** The last format that is read here. */
const FORMAT_MAX = 2;

const ids = v.array(v.string());
/** Not `v.record`, which drops a member whose id is `__proto__`. */
const texts = v.custom<Readonly<Record<NodeId, string>>>((value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.values(value).every((text) => typeof text === "string")
);
const format = v.pipe(v.number(), v.integer(), v.minValue(FIRST_FORMAT), v.maxValue(FORMAT_MAX));
const identityShape = v.object({
  format,
  clusterId: v.string(),
  id: v.string(),
  // Directories that were made before there were incarnations have none.
  incarnation: v.optional(v.string()),
  crc: v.number(),
  birth: v.object({
    voters: v.pipe(ids, v.minLength(1)),
    outgoing: ids,
    learners: ids,
    urls: texts,
    incarnations: v.optional(texts),
  }),
  removed: v.optional(v.literal(true)),
});
const newbornShape = v.object({
  format,
  id: v.string(),
  incarnation: v.string(),
  crc: v.number(),
  // Or what lost its first configuration would be taken for what never had one.
  clusterId: v.optional(v.undefined()),
  birth: v.optional(v.undefined()),
});

/** What `identity.json` says. */
export interface Known {
  readonly format: number;
  readonly id: NodeId;
  readonly incarnation: string | undefined;
  readonly cluster: ClusterBirth | null;
  readonly removed?: true | undefined;
}

/** Null where there is none. @throws {DataDirectoryRefused} where a later release wrote it. @throws {CorruptData} */
export async function readIdentity(fs: FileSystem, directory: string): Promise<Known | null> {
  const path = `${directory}/${IDENTITY_NAME}`;
  if (!(await fs.list(directory)).includes(IDENTITY_NAME)) return null;
  const bytes = await readFirst(fs, path, IDENTITY_BYTES_MAX + 1);
  const value = bytes.length > IDENTITY_BYTES_MAX ? null : parse(bytes);
  const known = knownIn(value);
  if (known !== null) return known;
  const later = laterFormatIn(value);
  if (later !== null) {
    throw new DataDirectoryRefused(
      `${path} is of format ${later}: a later release has written to this directory, and this one reads format ` +
        `${FORMAT_MAX} at most; start this node with the release that it ran last`,
    );
  }
  throw new CorruptData(
    path,
    0,
    "this is not an identity of a format up to 2, or no sound one: restore the file from a copy, or empty this node's data " +
      "directory and give the cluster a new member under another id",
  );
}

/** Null where it says nothing sound. */
function knownIn(value: unknown): Known | null {
  const member = v.safeParse(identityShape, value);
  const known = member.success ? memberIn(member.output) : newbornIn(value);
  return known !== null && known.crc === crcOf(documentOf(known)) ? known : null;
}

/** The format, where it is beyond ours, and sound as far as that can be told: formats are one bit apart. */
function laterFormatIn(value: unknown): number | null {
  if (typeof value !== "object" || value === null || !("format" in value) || !("crc" in value)) {
    return null;
  }
  const { crc, ...document } = value;
  const { format } = document;
  if (typeof format !== "number" || !(format > FORMAT_MAX)) return null;
  return crc === crcOf(document) ? format : null;
}

function memberIn(
  { format, clusterId, id, incarnation, birth, removed, crc }: v.InferOutput<typeof identityShape>,
): Known & { readonly crc: number } {
  const { incarnations, ...rest } = birth;
  const first = incarnations === undefined ? rest : { ...rest, incarnations };
  return { format, id, incarnation, cluster: { clusterId, birth: first }, removed, crc };
}

function newbornIn(value: unknown): Known & { readonly crc: number } | null {
  const newborn = v.safeParse(newbornShape, value);
  if (!newborn.success) return null;
  const { format, id, incarnation, crc } = newborn.output;
  return { format, id, incarnation, cluster: null, crc };
}

async function readFirst(fs: FileSystem, path: string, bytes: number): Promise<Uint8Array> {
  const file = await fs.open(path, "read");
  try {
    return await file.read(0, bytes);
  } finally {
    await file.close();
  }
}

/** Its order is part of the format: the CRC is of this text. What is undefined is not in it. */
function documentOf({ format, id, incarnation, cluster, removed }: Known): object {
  if (cluster === null) return { format, id, incarnation };
  const { voters, outgoing, learners, urls, incarnations } = cluster.birth;
  const birth = { voters, outgoing, learners, urls, incarnations };
  return { format, clusterId: cluster.clusterId, id, incarnation, birth, removed };
}

function crcOf(document: object): number {
  return crc32(JSON.stringify(document));
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

/** Durable when this resolves. */
export async function writeIdentity(
  fs: FileSystem,
  directory: string,
  known: Known,
): Promise<void> {
  const content = documentOf(known);
  const temporary = `${directory}/${TEMPORARY_NAME}`;
  if ((await fs.list(directory)).includes(TEMPORARY_NAME)) await fs.remove(temporary);
  const document = { ...content, crc: crcOf(content) };
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const file = await fs.open(temporary, "create");
  try {
    await file.writev([new TextEncoder().encode(text)], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, `${directory}/${IDENTITY_NAME}`);
  await fs.syncDirectory(directory);
}
