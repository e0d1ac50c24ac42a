/** What commands that look into a data directory have in common. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { BadConfiguration } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import { isDirectory } from "./command.ts";
import { shown, tellProgress } from "./output.ts";

/** The part of a data directory that DIR names: itself, or the directory `part` in it. @throws {BadConfiguration} */
export function partOf(directory: string, part: string): string {
  if (!isDirectory(directory)) {
    throw new BadConfiguration(`DIR takes a directory that is there; got ${shown(directory)}`);
  }
  const inner = join(directory, part);
  return isDirectory(inner) ? inner : directory;
}

/** Whether a path is a file. */
export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Says so where a node is running over what is looked at: it goes on writing meanwhile. Returns its process's id. */
export function tellOfRunning(args: Arguments, directory: string): number | null {
  for (const place of [directory, join(directory, "..")]) {
    const pid = runningIn(place);
    if (pid === null) continue;
    const what = "what it is writing may look damaged, and what was is no more";
    tellProgress(args, `process ${pid} is running over this directory: ${what}`);
    return pid;
  }
  return null;
}

function runningIn(directory: string): number | null {
  let text: string;
  try {
    text = readFileSync(join(directory, "lock.pid"), "utf8");
  } catch {
    return null;
  }
  const pid = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (pid === 0) return null;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // Whoever may not be told lives.
    return error instanceof Error && "code" in error && error.code === "EPERM" ? pid : null;
  }
}
