/**
 * Small file systems of their own for nodes' data: tmpfs in a mount namespace that a process holds, and that is gone with
 * it. Needs Linux and root, or user namespaces; elsewhere there are none.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import process from "node:process";

const MIB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;
/** Before a command that is to have a mount namespace of its own. */
const unshare = ["unshare", "--mount", ...(isRoot ? [] : ["--user", "--map-root-user"])];

/** Whether this machine lets us mount. */
export function canMount(): boolean {
  const [command = "", ...args] = unshare;
  return spawnSync(command, [...args, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;
}

export class SmallDisks implements Disposable {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  /** Mounts a file system of `mib` MiB at each of these directories, which it makes. */
  static async mount(directories: readonly string[], mib: number): Promise<SmallDisks> {
    for (const directory of directories) mkdirSync(directory, { recursive: true });
    const mounts = directories.map((at) => `mount -t tmpfs -o size=${mib}m tmpfs '${at}'`);
    const [command = "", ...args] = unshare;
    // It ends when its standard input does, and so with the test.
    const script = `set -e; ${mounts.join("; ")}; echo mounted; exec cat`;
    const holder = spawn(command, [...args, "sh", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once("data", () => resolve());
      holder.once("exit", () => reject(new Error("a small disk could not be mounted")));
    });
    return new SmallDisks(holder);
  }

  /** What a command has to begin with to see them. */
  get prefix(): readonly string[] {
    const user = isRoot ? [] : ["--user", "--preserve-credentials"];
    return ["nsenter", "--target", String(this.#holder.pid), "--mount", ...user, "--"];
  }

  /** Fills the one at `directory` until no more than `leftMib` are free. */
  fill(directory: string, leftMib: number): void {
    const seen = this.#seen(directory);
    this.empty(directory);
    const { bavail, bsize } = statfsSync(seen);
    const file = openSync(`${seen}/.ballast`, "w");
    try {
      for (let left = bavail * bsize - leftMib * MIB; left > 0; left -= MIB) {
        writeSync(file, new Uint8Array(Math.min(MIB, left)));
      }
    } finally {
      closeSync(file);
    }
  }

  /** Takes what it was filled with away. */
  empty(directory: string): void {
    rmSync(`${this.#seen(directory)}/.ballast`, { force: true });
  }

  [Symbol.dispose](): void {
    this.#holder.kill("SIGKILL");
  }

  /** As this process sees it. */
  #seen(directory: string): string {
    return `/proc/${this.#holder.pid}/root${directory}`;
  }
}
