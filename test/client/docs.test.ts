/**
 * The examples that the documentation of the library and the README give, run as they stand there: before a node, which
 * `deno test --doc` has not.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { World } from "./world.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const library = pathToFileURL(join(root, "src/client/mod.ts")).href;
const opening = `import { connect } from "holdfast/client";
const client = connect({ endpoints: ["http://127.0.0.1:4001"] });
`;

interface Example {
  readonly from: string;
  readonly source: string;
}

async function examples(): Promise<Example[]> {
  const folder = join(root, "src/client");
  const found: Example[] = [];
  for (const name of (await readdir(folder)).toSorted()) {
    const text = await readFile(join(folder, name), "utf8");
    for (const [, block = ""] of text.matchAll(/^ *\* ```ts ignore\n([^]*?)^ *\* ```$/gm)) {
      found.push({ from: name, source: block.replace(/^ *\* ?/gm, "") });
    }
  }
  const readme = await readFile(join(root, "README.md"), "utf8");
  const [, section = ""] = readme.split("\n## From a program\n");
  const [, source = ""] = /```ts\n([^]*?)```/.exec(section) ?? [];
  return [...found, { from: "README.md", source }];
}

describe("the library's examples", () => {
  const { fetch, console } = globalThis;
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-examples-"));
  });
  after(async () => {
    Object.assign(globalThis, { fetch });
    globalThis.console = console;
    await rm(folder, { recursive: true });
  });

  it("run as they stand", async () => {
    const all = await examples();
    assert.ok(all.length > 9, `${all.length} examples`);
    for (const [at, { from, source }] of all.entries()) {
      const world = new World();
      Object.assign(globalThis, { fetch: world.fetch });
      globalThis.console = { ...console, log: () => {} };
      const whole = source.includes("import ") ? source : opening + source;
      const path = join(folder, `example-${at}.ts`);
      await writeFile(path, whole.replace('"holdfast/client"', JSON.stringify(library)));
      await assert.doesNotReject(import(pathToFileURL(path).href), `${from}:\n${source}`);
      assert.ok(world.fixture.replica.log.length > 0, `${from} changes nothing:\n${source}`);
    }
  });
});
