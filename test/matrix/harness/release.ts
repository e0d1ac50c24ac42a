/**
 * Earlier releases, as they were published, to be run beside these sources.
 *
 * `test/matrix/releases/holdfast-<version>.tgz` is what `npm pack` makes of a release's commit, of `dist` without
 * declarations and comments: `tsc -p tsconfig.build.json --removeComments --declaration false --isolatedDeclarations
 * false`. A new release adds its own; what is older than the last one may go.
 */
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { root, run, temporaryDirectory } from "./node-process.ts";

/** Unpacks a release into a temporary directory, which is gone when the scope is left. */
export async function unpack(version: string): Promise<{ readonly path: string } & Disposable> {
  const temporary = temporaryDirectory();
  const archive = join(root, "test/matrix/releases", `holdfast-${version}.tgz`);
  const { status, stderr } = await run(["tar", "-xzf", archive, "-C", temporary.path]);
  assert.equal(status, 0, stderr);
  // The packages that it needs are those of these sources.
  symlinkSync(join(root, "node_modules"), join(temporary.path, "node_modules"));
  return {
    path: join(temporary.path, "package"),
    [Symbol.dispose]: () => temporary[Symbol.dispose](),
  };
}
