/** The README's table of options is the table in the code. `UPDATE=1` writes it anew; `deno fmt README.md` aligns it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { flagOf, nodeOptions, type Option } from "../../src/config/options.ts";

const path = fileURLToPath(new URL("../../README.md", import.meta.url));
const head = "| flag | default | |\n| --- | --- | --- |\n";

function rows(): readonly string[] {
  return Object.entries(nodeOptions).map(([name, option]: [string, Option<unknown>]) => {
    const preset = option.default === null ? "" : `\`${option.default}\``;
    return `| \`${flagOf(name)}\` | ${preset} | ${option.help.replaceAll(/[|<]/g, "\\$&")} |`;
  });
}

/** Without what a formatter may change. */
function plain(row: string): string {
  return row.split("|").map((cell) => cell.trim().replaceAll("\\", "")).join("|");
}

describe("the README", () => {
  it("has every option of a node, with its default and its meaning", () => {
    const text = readFileSync(path, "utf8");
    const table = /(?<=\n)\| flag +\| default .*\n\| -.*\n(\| `--.*\n)+/.exec(text)?.[0] ?? "";
    const lines = table.trimEnd().split("\n").slice(2).map(plain);
    if (process.env["UPDATE"] === "1") {
      writeFileSync(path, text.replace(table, () => `${head}${rows().join("\n")}\n`));
      return;
    }
    assert.deepEqual(lines, rows().map(plain), "UPDATE=1 node --test test/house/readme.test.ts");
  });
});
