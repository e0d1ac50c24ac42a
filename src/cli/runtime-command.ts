/** Where a runtime's binary is, and how it runs a node. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { BadConfiguration } from "../errors.ts";
import { type RuntimeName, thisRuntime } from "./node.ts";

const root = new URL("../../", import.meta.url);
/** Of the sources, or of what is published. */
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

const permissions = ["--allow-net", "--allow-read", "--allow-write", "--allow-env", "--allow-sys"];

const advice: Readonly<Record<RuntimeName, string>> = {
  bun: "npm ci installs it here; else see https://bun.com/docs/installation",
  deno:
    "npm ci installs it here; else see https://docs.deno.com/runtime/getting_started/installation",
  node: "npm ci installs it here; else see https://nodejs.org/en/download",
};

/** Binary and arguments that run a node, up to its flags. @throws {BadConfiguration} where it is not installed. */
export function commandOf(name: RuntimeName): readonly string[] {
  const script = fileURLToPath(new URL(`runtimes/${name}.${extension}`, root));
  const binary = name === thisRuntime ? process.execPath : find(name);
  return name === "deno" ? [binary, "run", ...permissions, script] : [binary, script];
}

/** This project's own first, then the one on the PATH. */
function find(name: RuntimeName): string {
  const own = fileURLToPath(new URL("node_modules/.bin", root));
  const found = [own, ...(process.env["PATH"] ?? "").split(delimiter)]
    .filter((directory) => directory !== "")
    .map((directory) => join(directory, name))
    .find(isExecutable);
  if (found !== undefined) return found;
  throw new BadConfiguration(
    `--runtime takes what is installed, and ${name} is not: ${advice[name]}`,
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
