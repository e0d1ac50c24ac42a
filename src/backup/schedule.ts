/**
 * Backups that a node takes by itself, into a directory: the leader, once in each interval. They are told apart by their
 * names, `holdfast-<cluster>-<time>-<revision>.backup`, and of those of its cluster the newest are kept; whatever else
 * is in the directory stays. Several nodes may share one: a backup that another has taken counts.
 *
 * Whatever goes wrong is told, and tried again: it never stops the node.
 */
import type { BackupPlan } from "../config.ts";
import type { Clock, FileSystem, Logger } from "../ports.ts";
import { partSuffix, writeFile } from "./file.ts";
import { type BackupHeader, backupPieces, backupSuffix } from "./format.ts";

/** What a backup is taken of. */
export interface BackupSubject {
  readonly clusterId: string;
  /** Whether this node is to take them now. */
  readonly leads: () => boolean;
  /** Resolves with the state once a read was confirmed. Whoever takes it does so in the same turn. */
  readonly state: () => Promise<{
    readonly header: BackupHeader;
    readonly chunks: Iterable<Uint8Array>;
  }>;
}

/** Told of every attempt. */
export interface BackupObserver {
  /** There is one of this time, by the wall clock, in milliseconds since 1970. */
  known(takenAt: number): void;
  taken(): void;
  failed(): void;
}

export interface BackupScheduleParts {
  readonly plan: BackupPlan;
  readonly subject: BackupSubject;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: BackupObserver;
}

/** How often it is looked whether one is due, and after a failure, at most. */
const lookMs = 1000;
const againMs = 60_000;
/** How far wall clocks of nodes that share a directory are apart. */
const skewMs = 60_000;
/** What was begun so long ago is not being written any more. */
const abandonedMs = 86_400_000;

export class BackupSchedule {
  readonly #parts: BackupScheduleParts;
  /** On the clock's scale; null until the directory was looked at. */
  #dueAt: number | null = null;
  #cancel: () => void = () => {};
  #working: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(parts: BackupScheduleParts) {
    this.#parts = parts;
    this.#arm();
  }

  /** Resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#working;
  }

  #arm(): void {
    if (this.#stopped) return;
    const { clock, plan } = this.#parts;
    this.#cancel = clock.timer(clock.now() + Math.min(lookMs, plan.intervalMs), () => {
      this.#working = this.#look().finally(() => this.#arm());
    });
  }

  async #look(): Promise<void> {
    const { plan, subject, clock, log, observer } = this.#parts;
    const { directory, intervalMs } = plan;
    if (!subject.leads() || clock.now() < (this.#dueAt ?? 0)) return;
    try {
      // Another may have taken one since.
      const left = await this.#leftMs();
      if (left > 0) this.#dueAt = clock.now() + left;
      else await this.#take();
    } catch (error) {
      if (this.#stopped) return;
      this.#dueAt = clock.now() + Math.min(againMs, intervalMs);
      observer.failed();
      const reason = error instanceof Error ? error.message : String(error);
      log("error", "a scheduled backup failed", { directory, reason });
    }
  }

  async #take(): Promise<void> {
    const { plan, subject, fs, clock, log, observer } = this.#parts;
    const { directory, intervalMs } = plan;
    const begun = clock.now();
    const { header, chunks } = await subject.state();
    const name = nameOf(header);
    await writeFile(fs, `${directory}/${name}`, this.#untilStopped(backupPieces(header, chunks)));
    this.#dueAt = begun + intervalMs;
    const seconds = (clock.now() - begun) / 1000;
    observer.taken();
    observer.known(header.takenAt);
    log("info", "backed up", { file: `${directory}/${name}`, revision: header.revision, seconds });
    await this.#tidy(name);
  }

  /** A node that stops waits for no disk. */
  *#untilStopped(pieces: Iterable<Uint8Array>): Generator<Uint8Array, void> {
    for (const piece of pieces) {
      if (this.#stopped) throw new Error("the node stops");
      yield piece;
    }
  }

  /** Of the interval, since the newest backup that is there. */
  async #leftMs(): Promise<number> {
    const { plan, fs, clock, observer } = this.#parts;
    await fs.makeDirectory(plan.directory);
    const now = clock.wallNow();
    // Wall clocks differ; what is of a time to come was taken by one that has been set back since, nobody knows when.
    const latest = now + Math.min(skewMs, plan.intervalMs);
    const newest = (await this.#own()).findLast(({ takenAt }) => takenAt <= latest);
    if (newest === undefined) return 0;
    observer.known(newest.takenAt);
    return plan.intervalMs - Math.max(0, now - newest.takenAt);
  }

  /** Removes what is beyond those that are kept, and what was begun long ago and has not become one. */
  async #tidy(taken: string): Promise<void> {
    const { plan, fs, clock, subject } = this.#parts;
    const { directory, keep } = plan;
    const own = await this.#own();
    const older = own.slice(0, Math.max(0, own.length - keep)).map(({ name }) => name);
    const abandoned = (await fs.list(directory)).filter((name) => {
      const of = name.endsWith(partSuffix) ? name.slice(0, -partSuffix.length) : "";
      const takenAt = takenAtIn(of, subject.clusterId);
      return takenAt !== null && clock.wallNow() - takenAt > abandonedMs;
    });
    for (const name of [...older, ...abandoned]) {
      if (name !== taken) await fs.remove(`${directory}/${name}`);
    }
  }

  /** The cluster's own that are there, oldest first. */
  async #own(): Promise<readonly { readonly name: string; readonly takenAt: number }[]> {
    const { plan, fs, subject } = this.#parts;
    return (await fs.list(plan.directory)).flatMap((name) => {
      const takenAt = takenAtIn(name, subject.clusterId);
      return takenAt === null ? [] : [{ name, takenAt }];
    }).sort((a, b) => a.takenAt - b.takenAt || revisionIn(a.name) - revisionIn(b.name));
  }
}

/** `holdfast-1f2e3d4c5b6a7980-20261121T190000Z-4711.backup`. */
function nameOf({ clusterId, takenAt, revision }: BackupHeader): string {
  const time = new Date(takenAt).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  return `holdfast-${clusterId}-${time}-${revision}${backupSuffix}`;
}

/** When the backup of this name was taken, by the second; null where it is none of this cluster's. */
function takenAtIn(name: string, clusterId: string): number | null {
  const prefix = `holdfast-${clusterId}-`;
  if (!name.startsWith(prefix) || !name.endsWith(backupSuffix)) return null;
  const rest = name.slice(prefix.length, -backupSuffix.length);
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-\d{1,16}$/.exec(rest) ?? [];
  if (second === undefined) return null;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? null : time;
}

function revisionIn(name: string): number {
  return Number(/-(\d+)\.backup$/.exec(name)?.[1] ?? 0);
}
