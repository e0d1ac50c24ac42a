/** The inputs that are kept: for each target a file with one input a line, in base64. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const path = (target: string): URL => new URL(`./corpus/${target}.txt`, import.meta.url);

export function readCorpus(target: string): readonly Uint8Array[] {
  if (!existsSync(path(target))) return [];
  const lines = readFileSync(path(target), "utf8").split("\n").filter((line) => line !== "");
  return lines.map(fromLine);
}

export function writeCorpus(target: string, inputs: readonly Uint8Array[]): void {
  writeFileSync(path(target), inputs.map((input) => `${toLine(input)}\n`).join(""));
}

export function toLine(input: Uint8Array): string {
  return Buffer.from(input).toString("base64") || "=";
}

export function fromLine(line: string): Uint8Array {
  return Uint8Array.from(Buffer.from(line === "=" ? "" : line, "base64"));
}
