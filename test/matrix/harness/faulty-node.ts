/**
 * A node whose disk, clock and event loop a test has in its hands: what the file `<data>.faults` says, in JSON, is so a
 * moment later. The rest is the runtime's own node.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { NodeFileSystem } from "../../../src/adapters/node-fs.ts";
import { createSystemClock } from "../../../src/adapters/system-clock.ts";
import { thisRuntime } from "../../../src/cli/node.ts";
import type { Clock, File, FileSystem } from "../../../src/ports.ts";
import { boot } from "../../../runtimes/boot.ts";
import type { Runtime } from "../../../runtimes/runtime.ts";

/** What is wrong at the moment. */
export interface Faults {
  /** Nothing is written or synced until this is over. */
  readonly stalled?: boolean;
  /** How far the wall clock is ahead. */
  readonly aheadMs?: number;
  /** The event loop stands still for so long, once for each new value. */
  readonly blockMs?: number;
}

const POLL_MS = 10;

let faults: Faults = {};
const onNews: (() => void)[] = [];

function look(path: string): void {
  const before = faults;
  try {
    faults = JSON.parse(readFileSync(path, "utf8")) as Faults;
  } catch {
    // None, or half written.
    return;
  }
  const { blockMs = 0 } = faults;
  if (blockMs > 0 && blockMs !== before.blockMs) {
    const until = performance.now() + blockMs;
    while (performance.now() < until);
  }
  for (const wake of onNews.splice(0)) wake();
}

async function working(): Promise<void> {
  while (faults.stalled === true) await new Promise<void>((resolve) => onNews.push(resolve));
}

class FaultyFile implements File {
  readonly #inner: File;

  constructor(inner: File) {
    this.#inner = inner;
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    return await this.#inner.read(offset, length, into);
  }
  async writev(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    await working();
    await this.#inner.writev(buffers, offset);
  }
  async datasync(): Promise<void> {
    await working();
    await this.#inner.datasync();
  }
  async truncate(length: number): Promise<void> {
    await this.#inner.truncate(length);
  }
  async size(): Promise<number> {
    return await this.#inner.size();
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }
}

class FaultyFileSystem extends NodeFileSystem implements FileSystem {
  override async open(path: string, mode: "read" | "write" | "create"): Promise<File> {
    return new FaultyFile(await super.open(path, mode));
  }
}

const system = createSystemClock();
const clock: Clock = { ...system, wallNow: () => system.wallNow() + (faults.aheadMs ?? 0) };

async function importRuntime(): Promise<Runtime> {
  switch (thisRuntime) {
    case "bun":
      return (await import("../../../runtimes/bun.ts")).runtime;
    case "deno":
      return (await import("../../../runtimes/deno.ts")).runtime;
    case "node":
      return (await import("../../../runtimes/node.ts")).runtime;
  }
}

const argv = process.argv.slice(2);
const path = `${argv[argv.indexOf("--data") + 1]}.faults`;
look(path);
setInterval(() => look(path), POLL_MS);
await boot({ ...await importRuntime(), clock, fileSystem: new FaultyFileSystem() }, argv);
