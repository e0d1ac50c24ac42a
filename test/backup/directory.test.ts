/** Data directories made out of a backup: what they tell of the state that is in them. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { openDataDirectory } from "../../src/adapters/data-directory.ts";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";
import { makeDirectories } from "../../src/backup/directory.ts";
import { birthOf, drawIncarnation } from "../../runtimes/birth.ts";
import { apply, smallMachine } from "./samples.ts";

describe("a directory made of a backup", () => {
  for (const version of [1, 2]) {
    it(`of version ${version} is for whoever knows that, and nobody older`, async () => {
      const parent = await mkdtemp(`${tmpdir()}/holdfast-directory-`);
      try {
        const machine = smallMachine();
        if (version > 1) apply(machine, { type: "upgrade", version });
        const fs = new NodeFileSystem();
        const self = { id: "n1", incarnation: drawIncarnation() };
        const cluster = birthOf({ n1: "http://127.0.0.1:4001" }, { n1: self.incarnation });
        const directory = `${parent}/n1`;
        await makeDirectories(fs, [{ ...self, directory }], { machine, cluster });
        const made = await openDataDirectory(fs, directory, self);
        await made.wal.close();
        await made.release();
        assert.equal(made.format, version);
        assert.equal(made.cluster?.clusterId, cluster.clusterId);
      } finally {
        await rm(parent, { recursive: true, force: true });
      }
    });
  }
});
