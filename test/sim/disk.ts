/** A machine's disk: the file system that loses what was not synced, with latency, and with faults that begin and end. */
import { recoverWal, type Recovery } from "../../src/adapters/wal-recovery.ts";
import {
  type MemoryCall,
  MemoryFileSystem,
  type MemoryOperation,
  type Verdict,
} from "../../src/adapters/memory-fs.ts";
import { frameBytes, readFrameHeader } from "../../src/adapters/wal-frame.ts";
import { CorruptData } from "../../src/errors.ts";
import type { File, FileSystem, RecoveredLog } from "../../src/ports.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { Owner, World } from "./world.ts";

const sectorBytes = 512;
const operations: readonly MemoryOperation[] = [
  "open",
  "read",
  "write",
  "datasync",
  "truncate",
  "size",
  "rename",
  "remove",
  "list",
  "makeDirectory",
  "syncDirectory",
  "lock",
  "space",
];

/** What is wrong with a disk at the moment. Probabilities are of one call. */
export interface DiskFaults {
  /** Every call takes this many milliseconds more, on average. */
  slowMs: number;
  syncFails: number;
  readFails: number;
  /** Bits that a read of a snapshot gets wrong. */
  snapshotFlips: number;
  /** Writes to the log that land elsewhere in their file. */
  misdirects: number;
}

export const noDiskFaults: Readonly<DiskFaults> = {
  slowMs: 0,
  syncFails: 0,
  readFails: 0,
  snapshotFlips: 0,
  misdirects: 0,
};

/** What a recovery would say of a damaged log, found out on a copy. */
export type DamageOutcome =
  /** It refuses. */
  | "detected"
  /** Everything is still there. */
  | "harmless"
  /** The last frames, all of them hit, are gone as if they had been torn: no reader can tell. */
  | "tailLost";

function isLastFrameHit({ lastFrame, segments }: Recovery, { places }: Damage): boolean {
  if (lastFrame === null) return false;
  const { offset, bytes } = lastFrame;
  const path = segments.at(-1)?.path;
  return places.some((place) =>
    place.path === path && place.from < offset + bytes.length && place.to > offset
  );
}

/** The disk as it was, and where it is not so any more: half-open ranges of bytes. */
interface Damage {
  readonly sound: MemoryFileSystem;
  readonly places: { readonly path: string; readonly from: number; readonly to: number }[];
}

export interface DiskParts {
  readonly world: World;
  readonly trace: Trace;
  readonly random: Random;
  readonly owner: Owner;
  /** Mean time of a sync. */
  readonly syncMs: number;
  /** Syncs of the log do nothing. */
  readonly lies: boolean;
}

export class SimDisk implements FileSystem {
  faults: DiskFaults = { ...noDiskFaults };
  /** The power goes at the call after so many others. */
  crashAfterCalls: number = Infinity;
  /** The power went at a call. */
  onCrash: () => void = () => {};
  /** A fault happened. */
  onFault: (what: string) => void = () => {};
  /** Frames and headers written to the log since one was misdirected; null where none was. */
  writesSinceMisdirected: number | null = null;
  #memory: MemoryFileSystem;
  readonly #parts: DiskParts;
  #damaged: Damage | null = null;
  #hurt = false;

  constructor(parts: DiskParts) {
    this.#parts = parts;
    this.#memory = this.#empty();
  }

  #empty(): MemoryFileSystem {
    const memory = new MemoryFileSystem({ random: this.#parts.random.next });
    memory.intercept = (call) => this.#intercept(call);
    return memory;
  }

  /** Another disk in its place, no process being up. */
  wipe(): void {
    this.#memory = this.#empty();
    this.#damaged = null;
  }

  get calls(): number {
    return this.#memory.calls;
  }

  /** Whether a call failed, was slow or was short of room since the last restart: what may end a process. */
  get hurt(): boolean {
    return this.#hurt;
  }

  /** Leaves no more than this many bytes of room; infinite: enough. */
  limitRoom(bytes: number): void {
    this.#memory.capacity = this.#memory.used + bytes;
  }

  /** All files as they are, in order of their paths, as long as nobody writes; what is not durable of them included. */
  files(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#memory.paths().map((path) => [path, this.#memory.view(path)]));
  }

  powerCut(): void {
    this.#memory.crash();
  }

  kill(): void {
    this.#memory.kill();
  }

  restart(): void {
    this.#hurt = false;
    this.#memory.restart();
  }

  /** Flips a bit or zeroes a sector of a file at rest, the process being down. Says where. */
  damage(random: Random): string {
    const paths = this.#memory.paths().filter((path) => this.#memory.view(path).length > 0);
    if (!paths.some((path) => path.endsWith("identity.json"))) return "nothing, being blank";
    const path = random.pick(paths);
    const sound = this.#memory.clone();
    this.#damaged ??= { sound, places: [] };
    const bytes = this.#memory.peek(path);
    const at = random.below(bytes.length);
    const sector = at - at % sectorBytes;
    const isBit = random.chance(0.5);
    if (isBit) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    else bytes.fill(0, sector, sector + sectorBytes);
    const [from, to] = isBit ? [at, at + 1] : [sector, sector + sectorBytes];
    this.#damaged.places.push({ path, from, to });
    this.#memory.poke(path, bytes);
    return `${path} ${from}…${to}`;
  }

  /** What a process would read back of the log; null where it would refuse, or where there is none yet. */
  async peekLog(): Promise<RecoveredLog | null> {
    if (!this.#memory.paths().some((path) => path.startsWith("/data/wal/"))) return null;
    return (await recoverCopy(this.#memory))?.log.recovered() ?? null;
  }

  /** Whether the damage that was judged hit the last frame: beside whatever else it hit, no reader can tell of that. */
  lastFrameHit = false;

  /**
   * What became of the log by `damage`.
   * @throws {Error} where something would be lost that a reader could have told.
   */
  async judgeDamage(): Promise<DamageOutcome> {
    const damage = this.#damaged;
    this.#damaged = null;
    this.lastFrameHit = false;
    if (damage === null) return "harmless";
    const before = await recoverCopy(damage.sound);
    this.lastFrameHit = before !== null && isLastFrameHit(before, damage);
    const after = await recoverCopy(this.#memory);
    if (before === null || after === null) return "detected";
    if (after.sequence === before.sequence) return "harmless";
    const path = before.segments.at(-1)?.path ?? "";
    const segment = damage.sound.peek(path);
    for (let at = after.offset; at < before.offset;) {
      const end = at + frameBytes(readFrameHeader(segment, at, before.salt)?.bodyBytes ?? 0);
      const isHit = damage.places.some((place) =>
        place.path === path && place.from < end && place.to > at
      );
      if (!isHit) throw new Error(`damage hides the frame at ${at} of ${path}, which is sound`);
      at = end;
    }
    return "tailLost";
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<File> {
    const file = await this.#memory.open(path, mode);
    if (path.includes("/wal-")) {
      const aimed = new MisdirectedFile(file, (buffers, at) => this.#aim(buffers, at));
      if (this.#parts.lies) aimed.datasync = async () => void (await file.size());
      return aimed;
    }
    if (path.includes("/snapshot")) return new FlippedFile(file, (bytes) => this.#flip(bytes));
    return file;
  }

  rename(from: string, to: string): Promise<void> {
    return this.#memory.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#memory.remove(path);
  }

  list(directory: string): Promise<string[]> {
    return this.#memory.list(directory);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#memory.makeDirectory(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#memory.syncDirectory(path);
  }

  space(path: string): Promise<number> {
    return this.#memory.space(path);
  }

  lock(path: string): Promise<() => Promise<void>> {
    return this.#memory.lock(path);
  }

  #intercept(call: MemoryCall): Verdict | Promise<Verdict> {
    const { trace, random } = this.#parts;
    trace.mix(operations.indexOf(call.operation));
    if (this.crashAfterCalls-- <= 0) {
      this.crashAfterCalls = Infinity;
      this.onCrash();
      return "crash";
    }
    const { syncFails, readFails, slowMs } = this.faults;
    const isSync = call.operation === "datasync" || call.operation === "syncDirectory";
    const fails = isSync ? syncFails : call.operation === "read" ? readFails : 0;
    const verdict = fails > 0 && random.chance(fails) ? "fail" : "proceed";
    this.#hurt ||= verdict === "fail" || slowMs > 0 || this.#memory.capacity < Infinity;
    if (verdict === "fail") this.onFault(`${call.operation} of ${call.path} fails`);
    // Each call ends in an event of its own, also where it takes no time: what goes on from it must not race, tick by
    // tick of an `await`, with what else the same event set off.
    const ms = (isSync ? random.exponential(this.#parts.syncMs) : 0) +
      (slowMs === 0 ? 0 : random.exponential(slowMs));
    return this.#later(ms, verdict);
  }

  #later(ms: number, verdict: Verdict): Promise<Verdict> {
    const { world, owner } = this.#parts;
    return new Promise((resolve) => {
      world.atProcess(world.now + Math.round(ms * 1000), owner, owner.life, () => resolve(verdict));
    });
  }

  #flip(bytes: Uint8Array): Uint8Array {
    const { random } = this.#parts;
    const { snapshotFlips } = this.faults;
    if (snapshotFlips === 0 || bytes.length === 0 || !random.chance(snapshotFlips)) return bytes;
    const flipped = bytes.slice();
    const at = random.below(bytes.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
    this.onFault("a bit of a snapshot is read wrong");
    return flipped;
  }

  /** Where a write lands that was meant for `offset`. */
  #aim(buffers: readonly Uint8Array[], offset: number): number {
    const { random } = this.#parts;
    const { misdirects } = this.faults;
    const length = buffers.reduce((sum, each) => sum + each.length, 0);
    const isLaidOut = buffers[0]?.[0] === 0;
    if (this.writesSinceMisdirected !== null && !isLaidOut) this.writesSinceMisdirected++;
    if (misdirects === 0 || !random.chance(misdirects)) return offset;
    const sector = random.below(Math.ceil((offset + length) / sectorBytes) + 8);
    if (sector * sectorBytes === offset) return offset;
    this.writesSinceMisdirected = 0;
    this.onFault(`a write lands at ${sector * sectorBytes} and was meant for ${offset}`);
    return sector * sectorBytes;
  }
}

async function recoverCopy(fs: MemoryFileSystem): Promise<Recovery | null> {
  try {
    return await recoverWal(fs.clone(), "/data/wal");
  } catch (error) {
    if (error instanceof CorruptData) return null;
    throw error;
  }
}

/** A file whose writes may land elsewhere. */
class MisdirectedFile implements File {
  readonly #inner: File;
  readonly #aim: (buffers: readonly Uint8Array[], offset: number) => number;

  constructor(inner: File, aim: (buffers: readonly Uint8Array[], offset: number) => number) {
    this.#inner = inner;
    this.#aim = aim;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#inner.read(offset, length);
  }
  writev(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    return this.#inner.writev(buffers, this.#aim(buffers, offset));
  }
  datasync(): Promise<void> {
    return this.#inner.datasync();
  }
  truncate(length: number): Promise<void> {
    return this.#inner.truncate(length);
  }
  size(): Promise<number> {
    return this.#inner.size();
  }
  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** A file whose bytes may be read wrong. */
class FlippedFile extends MisdirectedFile {
  readonly #flip: (bytes: Uint8Array) => Uint8Array;

  constructor(inner: File, flip: (bytes: Uint8Array) => Uint8Array) {
    super(inner, (_buffers, offset) => offset);
    this.#flip = flip;
  }

  override async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#flip(await super.read(offset, length));
  }
}
