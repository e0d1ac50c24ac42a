/**
 * What a node keeps on its disk is bounded by its settings: snapshots are taken when they are due, entries behind them
 * go but for the trailing ones, segments without an entry that is kept go, and nothing temporary outlives its process.
 */
import { decodeSegmentHeader } from "../../src/adapters/wal-frame.ts";
import type { Machine } from "./node.ts";
import type { Oracles } from "./oracles.ts";
import type { World } from "./world.ts";

/** What goes on when a run ends has gone this long after it, in microseconds. */
const settlesUs = 15_000_000;
const stepUs = 100_000;
/** With a larger snapshot a node may wait for the log to outgrow it. */
const smallSnapshotBytes = 64 * 1024;

/** What a node's present process has done that bears on what may be there. */
export class DiskDuties {
  #uselessMax = Infinity;
  #snapshot = 0;
  #hasLed = false;
  #hasApplied = false;

  /** A process begins. A predecessor may have died before it removed what it no longer needed. */
  begun(): void {
    this.#uselessMax = Infinity;
    this.#snapshot = 0;
    this.#hasLed = false;
    this.#hasApplied = false;
  }

  /** The log was compacted, up to so many segments that frames went to or go to: the open one and those of writes on their way. */
  compacted(writesOnTheirWay: number): void {
    this.#uselessMax = 1 + writesOnTheirWay;
  }

  /** Its own snapshot of `index` is durable. */
  snapshotted(index: number): void {
    this.#snapshot = index;
    this.#hasApplied = false;
  }

  applied(): void {
    this.#hasApplied = true;
  }

  /** A leader keeps entries for its peers. */
  led(): void {
    this.#hasLed = true;
  }

  /** The first index that may still be in the log. */
  firstKept(trailingEntries: number): number {
    return this.#hasLed ? 0 : this.#snapshot - trailingEntries + 1;
  }

  /** Segments that may be there without an entry that is kept. */
  get uselessMax(): number {
    return this.#uselessMax;
  }

  /** Whether it has had an occasion to take a snapshot since the last one was done. */
  get hasApplied(): boolean {
    return this.#hasApplied;
  }
}

interface Parts {
  readonly machines: readonly Machine[];
  readonly world: World;
  readonly oracles: Oracles;
}

/** At the end of a run, with nothing more to do: whether each node that runs comes to hold no more than it has to. */
export async function checkDisks({ machines, world, oracles }: Parts): Promise<void> {
  const until = world.now + settlesUs;
  for (const machine of machines) {
    if (machine.lost) continue;
    while (excess(machine, oracles) !== null && world.now < until && oracles.failure === null) {
      await world.run(world.now + stepUs);
    }
    const found = excess(machine, oracles);
    if (found !== null) oracles.fail(`${machine.id} ${found}`);
  }
}

function excess(machine: Machine, oracles: Oracles): string | null {
  const { replica, settings, disk } = machine;
  if (replica === null) return null;
  const duties = oracles.duties(machine.id);
  // What a repair took out stays, until the next one.
  const files = new Map([...disk.files()].filter(([path]) => !path.startsWith("/data/damaged/")));
  const { applied, snapshotIndex, firstIndex } = replica.status();
  const { snapshotEntries, trailingEntries } = settings;
  const [snapshot] = [...files].filter(([path]) => path.endsWith(".snap"));
  const isSmall = (snapshot?.[1].length ?? 0) <= smallSnapshotBytes;
  if (isSmall && duties.hasApplied && applied - snapshotIndex >= snapshotEntries) {
    return `has its last snapshot at ${snapshotIndex} and applied ${applied}, one every ${snapshotEntries}`;
  }
  const firstKept = duties.firstKept(trailingEntries);
  if (firstIndex < firstKept) return `keeps entries from ${firstIndex} on, not from ${firstKept}`;
  const useless = machine.damaged ? [] : uselessSegments(files, firstIndex);
  if (useless.length > duties.uselessMax) {
    return `keeps ${useless.length} segments that end before ${firstIndex}: ${useless.join()}`;
  }
  return crowd([...files.keys()]);
}

/** Segments, all of whose entries are before the one that stands before `firstIndex`. */
function uselessSegments(files: ReadonlyMap<string, Uint8Array>, firstIndex: number): string[] {
  const segments = [...files].filter(([path]) => /\/wal-[0-9a-f]+\.log$/.test(path));
  return segments.slice(0, -1).map(([path]) => path).filter((_, i) => {
    const next = segments[i + 1]?.[1];
    return next !== undefined && decodeSegmentHeader(next).header.last.index < firstIndex - 1;
  });
}

/** More files than there is a use for: a spare segment, a snapshot, and one on its way here. */
function crowd(paths: readonly string[]): string | null {
  const kinds = [/\/wal-[0-9]+\.tmp$/, /\.snap$/, /\.part$/];
  const temporary = paths.filter((path) => path.endsWith(".tmp") && !kinds[0]?.test(path));
  const many = kinds.map((kind) => paths.filter((path) => kind.test(path)))
    .find((same) => same.length > 1) ?? temporary;
  return many.length === 0 ? null : `keeps ${many.join()}`;
}
