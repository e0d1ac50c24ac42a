/** The lock of `NodeFileSystem` between real processes of all three runtimes. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";
import { DataDirectoryRefused } from "../../src/errors.ts";

const bin = fileURLToPath(new URL("../../node_modules/.bin/", import.meta.url));
const holder = fileURLToPath(new URL("./lock-holder.ts", import.meta.url));
/** Deno gets no more than `deno task node` gives it. */
const commands = {
  node: ["node", holder],
  bun: ["bun", holder],
  deno: ["deno", "run", "--no-check", "--allow-read", "--allow-write", "--allow-env", holder],
};
type Runtime = keyof typeof commands;
const runtimes: readonly Runtime[] = ["node", "bun", "deno"];

interface Starter {
  readonly child: ChildProcess;
  /** What it said: "held", or why not. */
  readonly said: string;
}

describe("NodeFileSystem: lock between processes", () => {
  let directory = "";
  const children = new Set<ChildProcess>();
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-lock-"));
  });
  after(async () => {
    for (const child of children) child.kill("SIGKILL");
    await rm(directory, { recursive: true });
  });

  async function start(runtime: Runtime, path: string, waitMs: number): Promise<Starter> {
    const [name = "", ...options] = commands[runtime];
    const child = spawn(bin + name, [...options, path, String(waitMs)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    let said = "";
    for await (const chunk of child.stdout) {
      said += String(chunk);
      if (said.endsWith("\n")) break;
    }
    return { child, said: said.trim() };
  }

  for (const [i, runtime] of runtimes.entries()) {
    const other = runtimes[(i + 1) % runtimes.length] ?? "node";
    it(`${runtime} keeps ${other} and this process out, until kill -9`, async () => {
      const path = join(directory, `${runtime}.lock`);
      const { child, said } = await start(runtime, path, 0);
      assert.equal(said, "held");
      await assert.rejects(new NodeFileSystem({ lockWaitMs: 0 }).lock(path), (error) => {
        assert(error instanceof DataDirectoryRefused);
        assert(error.message.includes(directory) && error.message.includes(`process ${child.pid}`));
        return true;
      });
      assert.match(
        (await start(other, path, 0)).said,
        /DataDirectoryRefused.*is in use by process/,
      );
      child.kill("SIGKILL");
      await once(child, "exit");
      const left = (await readdir(directory)).filter((name) => name.startsWith(`${runtime}.lock`));
      assert.deepEqual(left.sort(), [`${runtime}.lock`, `${runtime}.lock.pid`]);
      const next = await start(other, path, 1000);
      assert.equal(next.said, "held");
      next.child.kill("SIGKILL");
      await once(next.child, "exit");
      await (await new NodeFileSystem().lock(path))();
    });
  }

  it("lets exactly one of twenty racing starters win", async () => {
    const path = join(directory, "race.lock");
    const starters = await Promise.all(
      Array.from({ length: 20 }, (_, i) => start(runtimes[i % 5] ?? "bun", path, 1000)),
    );
    const winners = starters.filter(({ said }) => said === "held");
    assert.equal(winners.length, 1, starters.map(({ said }) => said).join("\n"));
    assert.equal(starters.filter(({ said }) => said.includes("is in use by")).length, 19);
  });

  it("refuses what is not a lock file, and leaves it as it is", async () => {
    const path = join(directory, "notes.txt");
    await writeFile(
      path,
      "somebody's notes, long enough to be taken for something else ".repeat(20),
    );
    await assert.rejects(new NodeFileSystem().lock(path), (error) => {
      assert(error instanceof DataDirectoryRefused);
      assert.match(error.message, /must be an empty, writable file/);
      return true;
    });
  });
});
