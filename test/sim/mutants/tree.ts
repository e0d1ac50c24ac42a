/** A temporary copy of the sources, in which a defect is planted and the simulator runs. The tree itself is never changed. */
import { rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, planted } from "./mutant.ts";

export const root: string = fileURLToPath(new URL("../../..", import.meta.url));

/** What the simulator needs of the tree. */
const copied = [
  "src",
  "runtimes",
  "test/sim",
  "test/raft",
  "package.json",
  "tsconfig.json",
  "deno.json",
];

/** The files of a mutant, changed. @throws {RangeError} where its text is not found exactly once. */
export async function plant(from: string, { name, edits }: Mutant): Promise<Map<string, string>> {
  const changed = new Map<string, string>();
  for (const edit of edits) {
    const source = changed.get(edit.file) ?? await readFile(join(from, edit.file), "utf8");
    changed.set(edit.file, planted(name, source, edit));
  }
  return changed;
}

export class Copy {
  static readonly #all = new Set<Copy>();
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
    Copy.#all.add(this);
  }

  /** At once, because the process ends. */
  static removeAll(): void {
    for (const { path } of Copy.#all) rmSync(path, { recursive: true, force: true });
  }

  static async make(): Promise<Copy> {
    const copy = new Copy(await mkdtemp(join(tmpdir(), "holdfast-mutants-")));
    const { path } = copy;
    for (const each of copied) {
      await mkdir(dirname(join(path, each)), { recursive: true });
      await cp(join(root, each), join(path, each), { recursive: true });
    }
    await symlink(join(root, "node_modules"), join(path, "node_modules"));
    return copy;
  }

  /** A copy of this copy with a defect in it. */
  async with(mutant: Mutant): Promise<Copy> {
    const changed = await plant(this.path, mutant);
    const copy = new Copy(await mkdtemp(join(tmpdir(), `holdfast-mutant-${mutant.name}-`)));
    await cp(this.path, copy.path, { recursive: true, verbatimSymlinks: true });
    for (const [file, source] of changed) await writeFile(join(copy.path, file), source);
    return copy;
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    Copy.#all.delete(this);
  }
}
