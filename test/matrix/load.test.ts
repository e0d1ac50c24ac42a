/**
 * Real input, real failure: over a thousand files of this project's own dependencies go in through the command line
 * while the leader dies; each is stored exactly once, and every node gives it back byte for byte. Then all nodes die.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import { type NodeProcess, root, run } from "./harness/node-process.ts";

const packages = ["hono", "undici", "typescript"] as const;
const FILES_MIN = 1000;
/** Changes that the leader has taken when it is killed. */
const STORED_BEFORE_DEATH = 100;
const DEAD_MS = 300;
const READERS = 32;

interface Stored {
  readonly key: string;
  readonly bytes: Buffer;
}

/** Every file of the packages under the key that `load` gives it. */
const files: readonly Stored[] = packages.flatMap((name) => {
  const directory = join(root, "node_modules", name);
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({
      key: `${name}/${path.slice(directory.length + 1)}`,
      bytes: readFileSync(path),
    }));
});

for (const { name, runtimes } of longSetups) {
  describe(`loading real files (${name})`, () => {
    it("survives the leader's death while it runs, and then everybody's", async (t) => {
      assert.ok(files.length > FILES_MIN, `${files.length} files`);
      await using cluster = await Cluster.start(runtimes);
      const loading = packages.map((one) => load(cluster, one));

      const leader = await cluster.leader();
      await eventually("the load is under way", async () => {
        const { revision } = await cluster.status(leader);
        return revision >= STORED_BEFORE_DEATH ? true : undefined;
      }, 60_000);
      const { revision } = await cluster.status(leader);
      await leader.end("SIGKILL");
      assert.ok(revision < files.length, "it was killed in the middle");
      await sleep(DEAD_MS);
      await leader.start();

      for (const ended of await Promise.all(loading)) {
        assert.equal(ended.status, 0, `${ended.stdout}${ended.stderr}\n${cluster.stderr()}`);
        t.diagnostic(`${name}: ${ended.stdout.trim()}`);
      }
      await cluster.ready();
      for (const node of cluster.nodes) await readBack(cluster, [node]);

      await Promise.all(cluster.nodes.map((node) => node.end("SIGKILL")));
      await cluster.startAll();
      await cluster.ready();
      await readBack(cluster, cluster.nodes);
      t.diagnostic(`${name}: ${files.length} files, the leader killed at revision ${revision}`);
    });
  });
}

function load(cluster: Cluster, name: string): ReturnType<typeof run> {
  const node = join(root, "node_modules/.bin/node");
  const operands = ["load", `node_modules/${name}`, "--prefix", `${name}/`, "--concurrency", "4"];
  return run(
    [node, "src/cli/main.ts", ...operands, "--endpoints", cluster.urls.join(",")],
    { timeoutMs: 120_000 },
  );
}

/** Each file is there as a linearizable read finds it, asked of the nodes in turn; and nothing was put twice. */
async function readBack(cluster: Cluster, nodes: readonly NodeProcess[]): Promise<void> {
  const queue = files.entries();
  await Promise.all(Array.from({ length: READERS }, async () => {
    for (const [at, { key, bytes }] of queue) {
      const node = nodes[at % nodes.length];
      const { status, body } = await cluster.http.request(`${node?.url}/v1/kv/${key}`);
      assert.equal(status, 200, `${key} from ${node?.id}: ${status}`);
      assert.ok(body.equals(bytes), `${key} from ${node?.id}: other bytes`);
    }
  }));
  for (const node of nodes) {
    assert.equal((await cluster.status(node)).revision, files.length, "each was put once");
  }
}
