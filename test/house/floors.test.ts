/**
 * Checks of the code itself that the linter can't state: who may import whom, purity, sizes, the file listing.
 * The linter (`.oxlintrc.json`) bans packages and globals by folder; the rest of the floors is here.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

function sources(...folders: string[]): string[] {
  return folders.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
      .filter((path) => path.endsWith(".ts"))
  ).sort();
}

const text = (path: string): string => readFileSync(join(root, path), "utf8");

/** The source without its comments. Strings stay; a `//` inside one (a URL) does not start a comment. */
function code(path: string): string {
  return text(path).replace(
    /\/\*[\s\S]*?\*\/|(["'`])(?:\\[\s\S]|(?!\1)[^\\])*?\1|\/\/[^\n]*/g,
    (match) => (match.startsWith("/") ? "" : match),
  );
}

/** Modules that a file names, as they are written: static, re-exported and dynamic. */
function imports(path: string): string[] {
  const named = /\bfrom\s+"([^"\n]+)"\s*(?:;|$)|^import\s+"([^"\n]+)"|\bimport\(\s*"([^"\n]+)"/gm;
  return [...code(path).matchAll(named)].flatMap((m) => m[1] ?? m[2] ?? m[3] ?? []);
}

const resolve = (path: string, specifier: string): string => join(dirname(path), specifier);

/** The room of a source: its folder below `src`, or the file that opens the folder (`replica.ts`). */
function room(path: string): string {
  const [top = "", second = ""] = path.split("/");
  if (top !== "src") return top;
  return second.replace(/\.ts$/, "");
}

const ground = ["assert", "errors", "cbor"];
const all = [...ground, "raft", "kv", "ports", "config", "adapters", "replica", "backup", "http"];

/** What each room may stand on, beside itself. A room that is not here has no place in the house yet. */
const floors: Readonly<Record<string, readonly string[]>> = {
  assert: [],
  errors: [],
  cbor: ["assert", "errors"],
  raft: ground,
  kv: ground,
  ports: [...ground, "raft"],
  config: [...ground, "raft", "ports"],
  adapters: [...ground, "raft", "ports", "config"],
  replica: [...ground, "raft", "ports", "config"],
  backup: [...ground, "raft", "kv", "ports", "config", "adapters"],
  http: [...ground, "raft", "kv", "ports", "config", "replica", "adapters", "backup"],
  client: [...ground, "http"],
  mod: [...all, "client", "runtimes"],
  runtimes: [...all, "client", "cli"],
  cli: [...all, "client", "runtimes"],
};

/** Where a floor opens one door only: from room to room, these files. */
const doors: Readonly<Record<string, readonly string[]>> = {
  "http→adapters": [
    "src/adapters/peer-wire.ts",
    "src/adapters/peer-hello.ts",
    "src/adapters/wire-version.ts",
  ],
  "client→http": ["src/http/wire.ts"],
};

describe("the floors", () => {
  const files = sources("src", "runtimes");

  it("lets no room import upward or sideways", () => {
    const wrong: string[] = [];
    for (const path of files) {
      const from = room(path);
      const allowed = floors[from];
      if (allowed === undefined) {
        wrong.push(`${path}: the room "${from}" has no floor`);
        continue;
      }
      for (const specifier of imports(path).filter((name) => name.startsWith("."))) {
        const target = resolve(path, specifier);
        const to = room(target);
        if (to === from) continue;
        const door = doors[`${from}→${to}`];
        if (!allowed.includes(to) || (door !== undefined && !door.includes(target))) {
          wrong.push(`${path} imports ${target}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
  });

  it("has no circles, type imports counted", () => {
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      const at = trail.indexOf(path);
      if (at >= 0) circles.push([...trail.slice(at), path].join(" → "));
      if (at >= 0 || done.has(path)) return;
      for (const specifier of imports(path).filter((name) => name.startsWith("."))) {
        visit(resolve(path, specifier), [...trail, path]);
      }
      done.add(path);
    };
    for (const path of files) visit(path, []);
    assert.deepEqual(circles, []);
  });

  it("resolves every relative import to a file that is there", () => {
    const missing = sources("src", "runtimes", "test", "bench").flatMap((path) =>
      imports(path).filter((name) => name.startsWith("."))
        .map((name) => resolve(path, name))
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${path} imports ${target}`)
    );
    assert.deepEqual(missing, []);
  });

  it("keeps raft and kv synchronous, but for kv reading a snapshot's stream", () => {
    const wrong = files.filter((path) => ["raft", "kv"].includes(room(path))).flatMap((path) =>
      [...code(path).matchAll(/\basync\b[^{]*/g)].map(([signature]) => signature)
        .filter((signature) =>
          room(path) === "raft" || !/AsyncIterable|Promise<void>/.test(signature)
        )
        .map((signature) => `${path}: ${signature}`)
    );
    assert.deepEqual(wrong, []);
  });

  it("imports only packages that package.json declares as runtime dependencies", () => {
    const { dependencies } = JSON.parse(text("package.json")) as {
      dependencies: Record<string, string>;
    };
    const undeclared = files.flatMap((path) =>
      imports(path).filter((name) => !name.startsWith(".") && !name.startsWith("node:"))
        .filter((name) => {
          const parts = name.split("/");
          const owner = name.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0] ?? "";
          return !(owner in dependencies) && !(room(path) === "runtimes" && owner === "bun");
        }).map((name) => `${path} imports ${name}`)
    );
    assert.deepEqual(undeclared, []);
  });
});

describe("the house", () => {
  it("keeps a runtime's own file under 80 lines", () => {
    const long = ["runtimes/bun.ts", "runtimes/deno.ts", "runtimes/node.ts"]
      .filter((path) => text(path).trimEnd().split("\n").length >= 80);
    assert.deepEqual(long, []);
  });

  it("opens every source with what it is for", () => {
    const bare = sources("src", "runtimes", "bench").filter((path) =>
      !/^(#![^\n]*\n)?\/\*\*|^(#![^\n]*\n)?\/\//.test(text(path)) &&
      !/^(?:import[\s\S]*?;\n)+\n?\/\*\*/.test(text(path))
    );
    assert.deepEqual(bare, []);
  });

  it("names files in kebab-case", () => {
    const odd = sources("src", "runtimes", "test", "bench")
      .filter((path) => !/^[a-z0-9/-]+(\.test)?\.ts$/.test(path));
    assert.deepEqual(odd, []);
  });

  it("carries no marks of unfinished work and no silenced checks", () => {
    const self = relative(root, fileURLToPath(import.meta.url)).replaceAll("\\", "/");
    const marks =
      /\b(TODO|FIXME|XXX|HACK)\b|@ts-(ignore|nocheck|expect-error)|\.only\(|(oxlint|eslint)-disable/;
    const found = sources("src", "runtimes", "test", "bench").filter((path) => path !== self)
      .filter((path) => marks.test(text(path)));
    assert.deepEqual(found, []);
  });

  it("locks packages to their names and digests, not to one registry's address", () => {
    const { packages } = JSON.parse(text("package-lock.json")) as {
      packages: Record<string, { resolved?: string; integrity?: string; os?: readonly string[] }>;
    };
    const addressed = Object.entries(packages).filter(([, one]) => one.resolved !== undefined);
    assert.deepEqual(addressed.map(([name]) => name), []);
    // Binaries for other systems may stand without one: a registry's copy need not have them all.
    const loose = Object.entries(packages).filter(([name, { integrity, os }]) =>
      name !== "" && integrity === undefined && os === undefined
    );
    assert.deepEqual(loose.map(([name]) => name), []);
  });

  it("locks every optional package that a locked one names, or npm ci would refuse", () => {
    const { packages } = JSON.parse(text("package-lock.json")) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => packages[`node_modules/${name}`] === undefined);
    assert.deepEqual(missing, []);
  });
});
