/** The golden scripts in `scripts/`. `UPDATE=1` writes what happens into them; read every changed line then. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { runScript } from "./script.ts";

const directory = fileURLToPath(new URL("./scripts/", import.meta.url));
const update = process.env["UPDATE"] === "1";

/** The first place where the two part, with a little of what comes before and after. */
function difference(written: string, happened: string): string {
  const expected = written.split("\n");
  const actual = happened.split("\n");
  let line = 0;
  while (expected[line] === actual[line]) line++;
  const marked = (lines: readonly string[], mark: string): string[] =>
    lines.slice(line, line + 8).map((text) => `${mark} ${text}`);
  return [
    `line ${line + 1} (UPDATE=1 writes what happened):`,
    ...expected.slice(Math.max(0, line - 5), line).map((text) => `  ${text}`),
    ...marked(expected, "-"),
    ...marked(actual, "+"),
  ].join("\n");
}

describe("golden scripts", () => {
  for (const name of readdirSync(directory).filter((file) => file.endsWith(".txt")).sort()) {
    it(name.replace(/\.txt$/, "").replaceAll("-", " "), () => {
      const path = `${directory}${name}`;
      const written = readFileSync(path, "utf8");
      assert.match(written, /^# .+\n# .+\n/, `${name} opens with prose that says what it shows`);
      const happened = runScript(written);
      if (update) writeFileSync(path, happened);
      else if (happened !== written) assert.fail(difference(written, happened));
    });
  }
});
