/**
 * Mends a data directory whose log or snapshot has decayed, so that the node can get what was lost from its peers.
 *
 * ```
 * repair.json   {"format":1,"owes":{"index":…,"term":…}|null,"firstSegment":…|null,"snapshots":["…"],"crc":…}
 *               CRC-32 of all before it, written without spaces
 * mending/      the new log's segments, until they take the old ones' place
 * damaged/      the files that the latest repair took out
 * ```
 *
 * A repair is decided when `repair.json` has its name; before that nothing but `mending/` and `damaged/` is touched, and
 * whoever finds a decision carries it out, as often as it takes: segments before `firstSegment` go to `damaged/`, those
 * in `mending/` come to `wal/`, `snapshots` go to `damaged/`. Then `firstSegment` is null and no snapshot is named, and
 * the file stands for what the node owes (see `Core.owes` in raft), until it has that again.
 */
import { crc32 } from "node:zlib";
import * as v from "valibot";
import { CorruptData, DiskFailure, MalformedBytes } from "../errors.ts";
import type { FileSystem, Logger } from "../ports.ts";
import { isAsFar, type LogEnd } from "../raft/log.ts";
import type { Configuration, NodeId, SnapshotMeta } from "../raft/types.ts";
import { openFileWal } from "./file-wal.ts";
import { judgeSnapshots, SNAPSHOT_NAME } from "./snapshot-check.ts";
import { CORRUPTION_ADVICE, SEGMENT_NAME } from "./wal-recovery.ts";
import { type Survey, surveyWal } from "./wal-survey.ts";

export type { LogEnd } from "../raft/log.ts";

/** What stands in the place that is mended. */
export interface RepairSite {
  readonly fs: FileSystem;
  /** The data directory. */
  readonly directory: string;
  readonly id: NodeId;
  /** The cluster's first configuration. */
  readonly birth: Configuration;
  readonly segmentBytes: number | undefined;
  readonly log: Logger;
}

interface Decision {
  readonly owes: LogEnd | null;
  readonly firstSegment: number | null;
  readonly snapshots: readonly string[];
}

const DECISION_NAME = "repair.json";
const TEMPORARY_NAME = "repair.json.tmp";
const DECISION_BYTES_MAX = 64 * 1024;
/** Entries' bytes that are written to a new log at a time. */
const BATCH_BYTES = 4 * 1024 * 1024;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const decisionShape = v.object({
  format: v.literal(1),
  owes: v.nullable(v.object({ index: count, term: count })),
  firstSegment: v.nullable(count),
  snapshots: v.array(v.pipe(v.string(), v.regex(SNAPSHOT_NAME))),
  crc: v.number(),
});

/**
 * Carries out what an earlier life had decided; returns what the node still owes.
 * @throws {CorruptData} {DiskFailure}
 */
export async function resumeRepair(site: RepairSite): Promise<LogEnd | null> {
  return await onDisk(async () => {
    const decision = await readDecision(site);
    if (decision === null) return null;
    await carryOut(site, decision);
    return decision.owes;
  });
}

/**
 * Keeps what is sound, puts the rest aside, and returns what the node owes from then on; null where nothing was lost.
 * `owed` is what it owed before.
 * @throws {CorruptData} the same as `found` where only an operator may decide; nothing was changed then.
 * @throws {DiskFailure}
 */
export async function repair(
  site: RepairSite,
  found: CorruptData,
  owed: LogEnd | null,
): Promise<LogEnd | null> {
  return await onDisk(async () => {
    const { fs, directory } = site;
    const snapshots = await judgeSnapshots(fs, `${directory}/snapshots`);
    if (snapshots === null) throw found;
    const base = snapshots.sound ?? { index: 0, term: 0, crc: 0 };
    const survey = await surveyed(site, base, found);
    const known = [survey.configuration, ...snapshots.configurations].filter((each) =>
      each !== null
    );
    const members = known.length > 0 ? known : [site.birth];
    if (!members.every((each) => hasOthers(each, site.id))) throw found;
    // The disk has read something wrong, and reads it right now: nobody knows what it will say next.
    if (survey.isWhole && snapshots.damaged.length === 0) throw found;
    const owes = later(survey.owes, owed);
    await clear(fs, `${directory}/mending`);
    // What an earlier repair took out may be the only copy of what is still owed.
    if (owed === null) await clear(fs, `${directory}/damaged`);
    if (!survey.isWhole) await stage(site, survey);
    const firstSegment = survey.isWhole ? null : survey.nextSegment;
    const decision = { owes, firstSegment, snapshots: snapshots.damaged };
    await writeDecision(site, decision);
    await carryOut(site, decision);
    tell(site, { found, survey, sound: snapshots.sound, owes });
    return owes;
  });
}

/** The node has again all that it owed. @throws {DiskFailure} */
export async function endRepair({ fs, directory }: RepairSite): Promise<void> {
  await onDisk(async () => {
    await fs.remove(`${directory}/${DECISION_NAME}`);
    await fs.syncDirectory(directory);
  });
}

function tell(
  { log, directory }: RepairSite,
  { found, survey, sound, owes }: {
    readonly found: CorruptData;
    readonly survey: Survey;
    readonly sound: SnapshotMeta | null;
    readonly owes: LogEnd | null;
  },
): void {
  const { last, start } = survey.log;
  const snapshot = sound?.index ?? 0;
  const kept = Math.max(last.index, snapshot);
  const what = owes === null
    ? "a damaged file was put aside; nothing is lost with it"
    : "a damaged file was put aside; this node doesn't lead until it has from its peers what is lost with it";
  log("warn", what, {
    file: found.file,
    offset: found.offset,
    found: found.message.replace(`; ${CORRUPTION_ADVICE}`, ""),
    movedTo: `${directory}/damaged`,
    snapshot,
    keptFrom: Math.min(start.index, snapshot) + 1,
    keptTo: kept,
    ...(owes === null ? {} : { askedFrom: kept + 1, askedTo: owes.index, askedToTerm: owes.term }),
  });
}

async function surveyed(
  { fs, directory }: RepairSite,
  base: Pick<SnapshotMeta, "index" | "term" | "crc">,
  found: CorruptData,
): Promise<Survey> {
  try {
    return await surveyWal(fs, `${directory}/wal`, base);
  } catch (error) {
    throw error instanceof CorruptData ? found : error;
  }
}

/** Whether what `id` lost can be had from others: wherever votes are counted there is one. */
function hasOthers({ voters, outgoing }: Configuration, id: NodeId): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || half.some((each) => each !== id));
}

function later(a: LogEnd | null, b: LogEnd | null): LogEnd | null {
  if (a === null || b === null) return a ?? b;
  return isAsFar(a, b) ? a : b;
}

/** Writes what is kept as a log of its own. */
async function stage(
  { fs, directory, segmentBytes }: RepairSite,
  { log, nextSegment }: Survey,
): Promise<void> {
  const { hardState, logStart: start, entries } = log.recovered();
  const mending = `${directory}/mending`;
  const sizes = segmentBytes === undefined ? {} : { segmentBytes };
  const before = { hardState, segment: nextSegment };
  const { wal } = await openFileWal({ ...sizes, fs, directory: mending, start, before });
  try {
    for (let from = 0; from < entries.length;) {
      let to = from;
      for (let bytes = 0; to < entries.length && bytes < BATCH_BYTES; to++) {
        bytes += entries[to]?.record.length ?? 0;
      }
      const batch = entries.slice(from, to);
      await wal.append({ hardState: null, reset: null, truncateFrom: null, entries: batch });
      from = to;
    }
    // Another frame behind them, or the entries would be the last one, whose decay looks like a torn tail.
    await wal.append({ hardState, reset: null, truncateFrom: null, entries: [] });
  } finally {
    await wal.close();
  }
}

async function carryOut(site: RepairSite, decision: Decision): Promise<void> {
  const { fs, directory } = site;
  const { firstSegment, snapshots, owes } = decision;
  if (firstSegment !== null) {
    await moveAll(site, { from: "wal", to: "damaged" }, (name) => segmentId(name) < firstSegment);
    await moveAll(site, { from: "mending", to: "wal" }, (name) => segmentId(name) >= firstSegment);
    await clear(fs, `${directory}/mending`);
  }
  if (snapshots.length > 0) {
    await moveAll(
      site,
      { from: "snapshots", to: "damaged" },
      (name) => snapshots.includes(name),
    );
  }
  if (owes === null) {
    await fs.remove(`${directory}/${DECISION_NAME}`);
    await fs.syncDirectory(directory);
  } else if (firstSegment !== null || snapshots.length > 0) {
    await writeDecision(site, { owes, firstSegment: null, snapshots: [] });
  }
}

/** NaN for what is no segment. */
function segmentId(name: string): number {
  return parseInt(SEGMENT_NAME.exec(name)?.[1] ?? "", 16);
}

async function moveAll(
  { fs, directory }: RepairSite,
  way: { readonly from: string; readonly to: string },
  chosen: (name: string) => boolean,
): Promise<void> {
  const from = `${directory}/${way.from}`;
  const to = `${directory}/${way.to}`;
  await fs.makeDirectory(from);
  await fs.makeDirectory(to);
  for (const name of await fs.list(from)) {
    if (chosen(name)) await fs.rename(`${from}/${name}`, `${to}/${name}`);
  }
  await fs.syncDirectory(to);
  await fs.syncDirectory(from);
}

/** Makes a directory that is empty. */
async function clear(fs: FileSystem, directory: string): Promise<void> {
  await fs.makeDirectory(directory);
  for (const name of await fs.list(directory)) await fs.remove(`${directory}/${name}`);
  await fs.syncDirectory(directory);
}

async function readDecision({ fs, directory }: RepairSite): Promise<Decision | null> {
  const names = await fs.list(directory);
  if (names.includes(TEMPORARY_NAME)) await fs.remove(`${directory}/${TEMPORARY_NAME}`);
  if (!names.includes(DECISION_NAME)) return null;
  // A killed process may have left the name in the system's cache only, and what follows rests on it.
  await fs.syncDirectory(directory);
  const path = `${directory}/${DECISION_NAME}`;
  const file = await fs.open(path, "read");
  try {
    const bytes = await file.read(0, DECISION_BYTES_MAX);
    const result = v.safeParse(decisionShape, parse(bytes));
    if (result.success && result.output.crc === crcOf(result.output)) return result.output;
  } finally {
    await file.close();
  }
  throw new CorruptData(
    path,
    0,
    "this is no sound record of a repair, so it can't be told what this node must have again before it votes; bring " +
      "another member in its place: member replace <this id> --with <new id>=<its URL>",
  );
}

async function writeDecision({ fs, directory }: RepairSite, decision: Decision): Promise<void> {
  const temporary = `${directory}/${TEMPORARY_NAME}`;
  if ((await fs.list(directory)).includes(TEMPORARY_NAME)) await fs.remove(temporary);
  const text = JSON.stringify({ ...documentOf(decision), crc: crcOf(decision) });
  const file = await fs.open(temporary, "create");
  try {
    await file.writev([new TextEncoder().encode(`${text}\n`)], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, `${directory}/${DECISION_NAME}`);
  await fs.syncDirectory(directory);
}

function documentOf({ owes, firstSegment, snapshots }: Decision): object {
  return {
    format: 1,
    owes: owes === null ? null : { index: owes.index, term: owes.term },
    firstSegment,
    snapshots,
  };
}

function crcOf(decision: Decision): number {
  return crc32(JSON.stringify(documentOf(decision)));
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CorruptData || error instanceof DiskFailure) throw error;
    if (error instanceof MalformedBytes || !(error instanceof Error) || !("code" in error)) {
      throw error;
    }
    throw new DiskFailure(`a repair failed: ${error.message}`, { cause: error });
  }
}
