import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { open } from "../../src/mod.ts";
import { freePort, root, temporaryDirectory } from "../matrix/harness/node-process.ts";
import { readmeExamples } from "./readme.ts";
import { serve } from "./server.ts";

const modules: Readonly<Record<string, string>> = {
  "holdfast": "src/mod.ts",
  "holdfast/client": "src/client/mod.ts",
};

/** Imports resolved from here, data in a place of the test's, endpoints of a node that runs. */
function placed(source: string, directory: string, url: string): string {
  return source
    .replaceAll(/\bfrom "([^"]+)"/g, (_, name: string) => {
      const own = modules[name];
      const target = own === undefined
        ? import.meta.resolve(name)
        : pathToFileURL(join(root, own)).href;
      return `from ${JSON.stringify(target)}`;
    })
    .replaceAll("./data/", `${directory}/`)
    .replaceAll(/http:\/\/127\.0\.0\.1:400\d/g, url);
}

/** Runs a program, and gives what it prints. */
async function outputOf(path: string): Promise<readonly string[]> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...values) => void lines.push(values.join(" "));
  try {
    await import(pathToFileURL(path).href);
  } finally {
    console.log = log;
  }
  return lines;
}

describe("the README's programs", () => {
  for (const [at, { title, source, printed }] of readmeExamples().entries()) {
    it(`run, and print what their comments say: ${title}`, async () => {
      using temporary = temporaryDirectory();
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      const kv = await open({ storage: "memory", peers: { n1: url } });
      const stop = await serve(port, (request, env) => kv.app.fetch(request, env));
      try {
        const path = join(temporary.path, `example-${at}.ts`);
        writeFileSync(path, placed(source, temporary.path, url));
        const lines = await outputOf(path);
        for (const line of printed) {
          assert.ok(lines.includes(line), `${line}, not ${lines.join("; ")}`);
        }
      } finally {
        await stop();
        await kv.close();
      }
    });
  }
});
