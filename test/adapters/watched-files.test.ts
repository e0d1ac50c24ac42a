import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { watchFiles } from "../../src/adapters/watched-files.ts";

describe("files that are watched", () => {
  for (
    const [what, change] of [
      ["what is in them", (path: string) => writeFile(path, "other")],
      ["who may read them", (path: string) => chmod(path, 0o640)],
    ] as const
  ) {
    it(`are read again when ${what} has changed`, async () => {
      const directory = await mkdtemp(`${tmpdir()}/holdfast-watched-`);
      const path = `${directory}/cert.pem`;
      await writeFile(path, "one", { mode: 0o600 });
      const told = Promise.withResolvers<string>();
      const onChange = async (): Promise<void> => told.resolve("told");
      const end = await watchFiles({ paths: [path], onChange, intervalMs: 1 });
      try {
        await change(path);
        assert.equal(await told.promise, "told");
      } finally {
        end();
        await rm(directory, { recursive: true });
      }
    });
  }
});
