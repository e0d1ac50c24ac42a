/** What a command reads: a file, or its standard input. */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { concat } from "../client/bytes.ts";
import { BadConfiguration } from "../errors.ts";
import { isDirectory } from "./command.ts";

/** A file's bytes. `named` is what names the file on the command line. @throws {BadConfiguration} */
export async function readFileOf(named: string, path: string): Promise<Uint8Array> {
  if (isDirectory(path)) {
    throw new BadConfiguration(`${named} takes a file, not a directory: ${path}`);
  }
  return await readFile(path).catch((error: Error) => {
    throw new BadConfiguration(`${named} takes a file that can be read: ${error.message}`);
  });
}

/** All of standard input. */
export async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) {
    chunks.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  }
  return concat(chunks);
}
