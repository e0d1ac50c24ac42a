/** What is published: packed, unpacked where nothing else of this project is, and imported under every runtime. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { readmeExamples } from "../embed/readme.ts";
import { cleanEnvironment, root, runtimes, temporaryDirectory } from "./harness/node-process.ts";

const run = promisify(execFile);
const options = { env: cleanEnvironment(), maxBuffer: 1 << 26 };

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly bin: { readonly holdfast: string };
  readonly dependencies: Readonly<Record<string, string>>;
}

const examples = readmeExamples();
const manifest: Manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Uses what a program would: a store in this process, a client of it, a machine, the core. */
const program = `
import * as holdfast from "holdfast";
import * as client from "holdfast/client";
import * as raft from "holdfast/raft";
const own = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";
const { runtime } = await import("holdfast/" + own);
const kv = await holdfast.open({ storage: "memory" });
await kv.ready;
await kv.put("greeting", "hello");
const read = async (url, init) => await kv.app.request(url, init);
const over = new client.Client({ endpoints: ["http://in.process"], fetch: read });
const item = await over.get("greeting");
await kv.close();
const text = new TextDecoder().decode(item.value);
console.log(JSON.stringify({ text, name: runtime.name, version: holdfast.version, raft: typeof raft.Raft }));
process.exit(0);
`;

const types = `
import { type EmbeddedKv, open, type OwnMachine, openReplica } from "holdfast";
import { Client, type Item } from "holdfast/client";
import { Raft } from "holdfast/raft";
import { runtime } from "holdfast/node";
import { Hono } from "hono";
const kv: EmbeddedKv = await open({ peers: { n1: "http://127.0.0.1:3000/kv" }, electionTimeout: 500 });
new Hono().route("/kv", kv.app);
const item: Item | null = await kv.get("a");
class Counter implements OwnMachine<number> {
  count = 0;
  apply(): number {
    return ++this.count;
  }
  snapshot() {
    return { chunks: () => [new Uint8Array([this.count])] };
  }
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const [count = 0] of chunks) this.count = count;
  }
}
const { result } = await (await openReplica({ machine: new Counter() })).propose(new Uint8Array());
export const all: readonly unknown[] = [item, result.toFixed(), Raft, Client, runtime.name];
`;

describe("the package", () => {
  const temporary = temporaryDirectory();
  const { path } = temporary;
  const installed = join(path, "node_modules", "holdfast");
  let files: readonly string[] = [];

  before(async () => {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", path], {
      ...options,
      cwd: root,
    });
    // The scripts that npm runs first may say something, too.
    const [packed] = JSON.parse(stdout.slice(stdout.indexOf("[\n")));
    files = packed.files.map((file: { path: string }) => file.path);
    mkdirSync(installed, { recursive: true });
    const archive = join(path, packed.filename);
    await run("tar", ["-xzf", archive, "-C", installed, "--strip-components=1"], options);
    const modules = join(root, "node_modules");
    for (const name of readdirSync(modules).filter((one) => !one.startsWith("."))) {
      symlinkSync(join(modules, name), join(path, "node_modules", name));
    }
    writeFileSync(join(path, "package.json"), '{"type":"module"}');
    writeFileSync(join(path, "program.mjs"), program);
    writeFileSync(join(path, "types.ts"), types);
    for (const [at, { source }] of examples.entries()) {
      writeFileSync(join(path, `readme-${at}.ts`), source);
    }
  });
  after(() => temporary[Symbol.dispose]());

  it("holds what was made of the sources, and nothing else", () => {
    const sources = ["src", "runtimes"].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => `dist/${folder}/${name.slice(0, -".ts".length)}`)
    );
    const made = sources.flatMap((source) => [`${source}.js`, `${source}.d.ts`]);
    assert.deepEqual(
      files.toSorted(),
      [...made, "LICENSE", "README.md", "package.json"].toSorted(),
    );
  });

  it("has a file behind each of its exports and its command", () => {
    const { exports, bin } = manifest;
    const named = Object.values(exports).flatMap((one) => [one.types, one.default]);
    for (const name of [...named.map((one) => one.slice("./".length)), bin.holdfast]) {
      assert.ok(files.includes(name), name);
    }
  });

  for (const runtime of runtimes) {
    it(`is imported, opened and asked under ${runtime}`, async () => {
      const allowed = runtime === "deno" ? ["run", "--allow-all"] : [];
      const { stdout } = await run(runtime, [...allowed, join(path, "program.mjs")], {
        ...options,
        cwd: path,
      });
      const { version } = manifest;
      const { name, ...rest } = JSON.parse(stdout);
      assert.deepEqual(rest, { text: "hello", version, raft: "function" });
      assert.equal(name.split(" ")[0], runtime);
    });

    it(`runs a node under ${runtime} by its command`, async () => {
      const command = join(installed, manifest.bin.holdfast);
      const allowed = runtime === "deno" ? ["run", "--allow-all"] : [];
      const { stdout } = await run(runtime, [...allowed, command, "node", "--help"], options);
      assert.match(stdout, /^One Holdfast node/);
    });
  }

  it("has types that programs are checked against, the README's among them", async () => {
    const flags =
      "--noEmit --strict --module nodenext --target es2024 --lib es2024,dom,esnext.disposable";
    const checks = [...flags.split(" "), "--types", "node", "--skipLibCheck", "types.ts"];
    checks.push(...examples.map((_, at) => `readme-${at}.ts`));
    await run("tsc", checks, { ...options, cwd: path }).catch((error) => {
      assert.fail(error.stdout);
    });
  });
});

describe("the names under which this is published", () => {
  it("agree on the version, and on what may be imported", () => {
    const other = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
    const source = readFileSync(join(root, "runtimes/version.ts"), "utf8");
    assert.equal(other.version, manifest.version);
    assert.equal(lock.version, manifest.version);
    assert.match(source, new RegExp(`"${manifest.version}"`));
    const fromSources = Object.entries(manifest.exports).map((
      [name, one],
    ) => [name, one.default.replace("./dist/", "./").replace(/\.js$/, ".ts")]);
    assert.deepEqual(Object.fromEntries(fromSources), other.exports);
  });
});
