/** The configuration file that a node is told of: found, bounded and read. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { CONFIG_FILE_BYTES_MAX, type ConfigFile, parseConfigFile } from "../config/file.ts";
import { nodeOptions, type Option, type OptionName } from "../config/options.ts";
import { readerOf, refuse, type Texts } from "../config/sources.ts";

/** A file as it stands on a disk. */
export interface FoundFile extends ConfigFile {
  /** What its owner should know, a line each. */
  readonly warnings: readonly string[];
}

/** May be read by every user of the machine. */
const OTHERS_READ = 0o004;

/**
 * Reads the file that `--config` or `HOLDFAST_CONFIG` names; null where none does. What is wrong in it is told where its
 * options are read.
 * @throws {BadConfiguration} where it can't be read.
 */
export function readConfigFile(flags: Texts, environment: Texts): FoundFile | null {
  const path = readerOf({ flags, environment, file: null })("config");
  if (path === null) return null;
  const { bytes, mode } = load(path);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse("config", `${path} is not UTF-8`);
  }
  const file = parseConfigFile(path, text);
  const secrets = [...file.values.keys()].filter(isSecret);
  const isOpen = secrets.length > 0 && (mode & OTHERS_READ) !== 0;
  const warnings = isOpen
    ? [`${path} holds ${secrets.join(", ")} and every user of this machine may read it: chmod 600`]
    : [];
  return { ...file, warnings };
}

function isSecret(name: OptionName): boolean {
  const option: Option<unknown> = nodeOptions[name];
  return option.isSecret === true;
}

function load(path: string): { readonly bytes: Uint8Array; readonly mode: number } {
  try {
    const descriptor = openSync(path, "r");
    try {
      const stat = fstatSync(descriptor);
      if (!stat.isFile()) return refuse("config", `${path} is no file`);
      // One more than is allowed: a file may grow while it is read.
      const bytes = new Uint8Array(CONFIG_FILE_BYTES_MAX + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < bytes.length; length += read) {
        read = readSync(descriptor, bytes, length, bytes.length - length, null);
      }
      if (length > CONFIG_FILE_BYTES_MAX) {
        return refuse("config", `${path} has over ${CONFIG_FILE_BYTES_MAX} bytes`);
      }
      return { bytes: bytes.subarray(0, length), mode: stat.mode };
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (typeof code !== "string") throw error;
    return refuse("config", `${path} can't be read: ${code}`);
  }
}
