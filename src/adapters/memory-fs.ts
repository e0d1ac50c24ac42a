/**
 * A file system in memory that loses what a real one may lose.
 *
 * - **Power cut** (`crash`): of the writes since a file's last sync, a random subset survives, torn by 512-byte sector;
 *   of the creations, renames and removals since the directory's last sync, a random subset too.
 * - **Killed process** (`kill`): handles and locks are gone, what was written stays readable, synced or not.
 * - **Failed sync**: what it should have made durable is readable until the power goes, and no later sync writes it.
 * - Any call can be made to fail or to be the one at which the power goes (`intercept`); the disk can be full; bytes
 *   can be read and changed behind everybody's back (`peek`, `poke`).
 *
 * After `crash` and `kill` every call rejects until `restart`: what still runs of the old process changes nothing.
 * Directories themselves are durable once made, as the port says.
 */
import { DataDirectoryRefused } from "../errors.ts";
import type { File, FileSystem } from "../ports.ts";
import { fail, MemoryFile, type MemoryOperation } from "./memory-file.ts";
import { Inode, survival } from "./memory-inode.ts";

export type { MemoryOperation };

/** One call of the port, counted from 1. */
export interface MemoryCall {
  readonly number: number;
  readonly operation: MemoryOperation;
  readonly path: string;
}

/** `fail` makes the call reject; `crash` cuts the power in the middle of it. */
export type Verdict = "proceed" | "fail" | "crash";

/** Decides about a call before it happens; a promise delays it. */
export type Intercept = (call: MemoryCall) => Verdict | Promise<Verdict>;

export interface MemoryFileSystemOptions {
  /** Uniform in [0, 1): what survives a crash. */
  readonly random?: () => number;
  /** Bytes that all files together may have. */
  readonly capacity?: number;
}

/** Lets the call numbered `number` fail once or for good (it and all after it), or crash. */
export function faultAt(number: number, fault: "once" | "forGood" | "crash"): Intercept {
  return (call) => {
    if (call.number < number || (call.number > number && fault !== "forGood")) return "proceed";
    return fault === "crash" ? "crash" : "fail";
  };
}

/** {@link FileSystem} in memory. */
export class MemoryFileSystem implements FileSystem {
  intercept: Intercept = () => "proceed";
  capacity: number;
  readonly #random: () => number;
  #calls = 0;
  /** What handles and locks belong to: one life of the process. */
  #life = 0;
  #down = false;
  readonly #locks = new Set<string>();
  readonly #directories = new Set<string>(["/", "."]);
  readonly #live = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  #unsynced: DirectoryChange[] = [];

  constructor(options: MemoryFileSystemOptions = {}) {
    this.#random = options.random ?? (() => 0.5);
    this.capacity = options.capacity ?? Infinity;
  }

  /** Calls of the port so far. */
  get calls(): number {
    return this.#calls;
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<File> {
    return await this.perform("open", path, () => {
      const existing = this.#live.get(path);
      if (mode !== "create") {
        return new MemoryFile(this, path, existing ?? fail("ENOENT", `open ${path}`));
      }
      if (existing !== undefined || this.#directories.has(path)) fail("EEXIST", `open ${path}`);
      if (!this.#directories.has(parent(path))) fail("ENOENT", `open ${path}`);
      const inode = new Inode();
      this.#change(parent(path), (names) => names.set(path, inode));
      return new MemoryFile(this, path, inode);
    });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.perform("rename", from, () => {
      const inode = this.#live.get(from) ?? fail("ENOENT", `rename ${from}`);
      if (!this.#directories.has(parent(to))) fail("ENOENT", `rename ${from} ${to}`);
      this.#change(parent(to), (names) => {
        names.delete(from);
        names.set(to, inode);
      });
    });
  }

  async remove(path: string): Promise<void> {
    await this.perform("remove", path, () => {
      if (!this.#live.has(path)) fail("ENOENT", `remove ${path}`);
      this.#change(parent(path), (names) => names.delete(path));
    });
  }

  async list(directory: string): Promise<string[]> {
    return await this.perform("list", directory, () => {
      if (!this.#directories.has(directory)) fail("ENOENT", `list ${directory}`);
      return [...this.#live.keys(), ...this.#directories]
        .filter((path) => path !== directory && parent(path) === directory)
        .map((path) => path.slice(path.lastIndexOf("/") + 1)).sort();
    });
  }

  async makeDirectory(path: string): Promise<void> {
    await this.perform("makeDirectory", path, () => {
      for (let each = path; !this.#directories.has(each); each = parent(each)) {
        if (this.#live.has(each)) fail("EEXIST", `makeDirectory ${path}`);
        this.#directories.add(each);
      }
    });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.perform("syncDirectory", path, () => {
      if (!this.#directories.has(path)) fail("ENOENT", `syncDirectory ${path}`);
      for (const change of this.#unsynced) {
        if (change.directory === path) change.apply(this.#durable);
      }
      this.#unsynced = this.#unsynced.filter((change) => change.directory !== path);
    });
  }

  async space(path: string): Promise<number> {
    return await this.perform("space", path, () => Math.max(0, this.capacity - this.used));
  }

  async lock(path: string): Promise<() => Promise<void>> {
    return await this.perform("lock", path, () => {
      if (this.#locks.has(path)) {
        throw new DataDirectoryRefused(`${parent(path)} is already in use by this very process`);
      }
      this.#locks.add(path);
      const life = this.#life;
      return async () => {
        if (life === this.#life) this.#locks.delete(path);
      };
    });
  }

  /** Ends the process's life: its handles reject for good and its locks are free. */
  kill(): void {
    this.#life++;
    this.#down = true;
    this.#locks.clear();
  }

  /** Begins the next life. */
  restart(): void {
    this.#down = false;
  }

  /** Cuts the power: see the head of this file. */
  crash(): void {
    this.kill();
    const directories = survival(this.#random);
    for (const change of this.#unsynced) if (directories()) change.apply(this.#durable);
    this.#unsynced = [];
    for (const inode of new Set([...this.#live.values(), ...this.#durable.values()])) {
      inode.crash(survival(this.#random));
    }
    this.#live.clear();
    for (const [path, inode] of this.#durable) this.#live.set(path, inode);
  }

  /** All files' paths, sorted. */
  paths(): string[] {
    return [...this.#live.keys()].sort();
  }

  /** Bytes of all files. */
  get used(): number {
    let bytes = 0;
    for (const inode of this.#live.values()) bytes += inode.live.length;
    return bytes;
  }

  /** A file's bytes, as they are: a copy. */
  peek(path: string): Uint8Array {
    return this.view(path).slice();
  }

  /** A file's bytes as long as nobody writes to it. */
  view(path: string): Uint8Array {
    return (this.#live.get(path) ?? fail("ENOENT", `no ${path}`)).live.bytes();
  }

  /** Puts a file there, durable at once: how a test corrupts, swaps and resurrects. */
  poke(path: string, bytes: Uint8Array): void {
    for (let each = parent(path); !this.#directories.has(each); each = parent(each)) {
      this.#directories.add(each);
    }
    const inode = new Inode();
    inode.write(bytes, 0);
    inode.sync();
    this.#live.set(path, inode);
    this.#durable.set(path, inode);
  }

  /** Changes bytes of a file that may be open. */
  scribble(path: string, offset: number, bytes: Uint8Array): void {
    const inode = this.#live.get(path) ?? fail("ENOENT", `scribble ${path}`);
    inode.write(bytes, offset);
    inode.sync();
  }

  /** Another file system that holds what this one has on the disk and in its cache, all of it durable. */
  clone(): MemoryFileSystem {
    const copy = new MemoryFileSystem({ random: this.#random, capacity: this.capacity });
    for (const directory of this.#directories) copy.#directories.add(directory);
    for (const path of this.paths()) copy.poke(path, this.view(path));
    return copy;
  }

  /** @internal Which life a handle was opened in. */
  get life(): number {
    return this.#life;
  }

  /**
   * @internal Asks `intercept`, then does what it says. A call that fails or crashes still has its `partial` effect:
   * a write may have reached the disk in part, whatever its caller was told.
   */
  async perform<T>(
    operation: MemoryOperation,
    path: string,
    effect: () => T,
    partial: () => void = () => {},
  ): Promise<T> {
    if (this.#down) fail("ECRASHED", `${operation} ${path}`);
    const life = this.#life;
    const verdict = await this.intercept({ number: ++this.#calls, operation, path });
    if (life !== this.#life) fail("ECRASHED", `${operation} ${path}`);
    if (verdict === "proceed") return effect();
    try {
      partial();
    } finally {
      if (verdict === "crash") this.crash();
    }
    return fail(verdict === "crash" ? "ECRASHED" : "EIO", `${operation} ${path}`);
  }

  /** @internal */
  checkCapacity(growth: number): void {
    if (this.capacity === Infinity || growth <= 0) return;
    if (this.used + growth > this.capacity) fail("ENOSPC", "write");
  }

  /** @internal What a failed sync leaves behind. */
  get survival(): () => boolean {
    return survival(this.#random);
  }

  #change(directory: string, apply: DirectoryChange["apply"]): void {
    apply(this.#live);
    this.#unsynced.push({ directory, apply });
  }
}

interface DirectoryChange {
  readonly directory: string;
  readonly apply: (names: Map<string, Inode>) => void;
}

function parent(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
