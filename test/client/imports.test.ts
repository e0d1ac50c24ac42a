/** What the client library brings along: it has to run wherever there is `fetch`. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The source as it runs: without comments, and without what is there for its types only. */
function code(path: string): string {
  return readFileSync(join(root, path), "utf8")
    .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/[^\n]*/gm, "")
    .replace(/^(?:import|export) type [\s\S]*?;$/gm, "");
}

const imported = (path: string): string[] =>
  [...code(path).matchAll(/\bfrom\s+"([^"]+)"|\bimport\(?\s*"([^"]+)"/g)]
    .map(([, from, bare]) => from ?? bare ?? "");

/** Every source that the library loads, and every package. */
function reached(): { readonly files: readonly string[]; readonly packages: readonly string[] } {
  const files = new Set(["src/client/mod.ts"]);
  const packages = new Set<string>();
  for (const path of files) {
    for (const name of imported(path)) {
      if (name.startsWith(".")) files.add(join(dirname(path), name).replaceAll("\\", "/"));
      else packages.add(name);
    }
  }
  return { files: [...files], packages: [...packages] };
}

describe("the client library", () => {
  const { files, packages } = reached();

  it("brings along no other package than valibot", () => {
    assert.deepEqual(packages, ["valibot"]);
  });

  it("brings along nothing of the server but shapes and bounds", () => {
    const rooms = files.filter((path) =>
      !path.startsWith("src/client/") && !path.startsWith("src/http/wire")
    );
    assert.deepEqual(rooms.toSorted(), [
      "src/config/member-url.ts",
      "src/errors.ts",
      "src/kv/access/grant.ts",
      "src/kv/command.ts",
      "src/kv/key.ts",
      "src/raft/membership.ts",
    ]);
  });

  it("names nothing that only one runtime has", () => {
    const own =
      /\b(?:Bun|Deno|process|Buffer|require|setImmediate|global|__dirname|window|document\.)\b/;
    const found = files.filter((path) => path.startsWith("src/client/"))
      .filter((path) => own.test(code(path)));
    assert.deepEqual(found, []);
  });
});
