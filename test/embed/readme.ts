/** The programs in the README. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../matrix/harness/node-process.ts";

export interface Example {
  /** The heading that it stands below. */
  readonly title: string;
  readonly source: string;
  /** What it prints, as its comments have it: `console.log(…); // this`. */
  readonly printed: readonly string[];
}

/** All of them, in order. */
export function readmeExamples(): readonly Example[] {
  const text = readFileSync(join(root, "README.md"), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(({ index, 1: source = "" }) => ({
    title: /.*^#+ ([^\n]+)$/ms.exec(text.slice(0, index))?.[1] ?? "",
    source,
    printed: [...source.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)].map(([, told = ""]) => told),
  }));
}
