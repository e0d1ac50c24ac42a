/** A hundred and sixty thousand puts from many clients at once: the log is compacted meanwhile, and memory stays where it was. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { quantile, requestBytes, runLoad } from "../../bench/load.ts";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { NodeProcess } from "./harness/node-process.ts";

const PUTS = 160_000;
const KEYS = 2_000;
const CONNECTIONS = 96;
const VALUE_BYTES = 1_000;
const MIB = 1024 * 1024;
/** Entries. A snapshot waits until the log has outgrown the last one four to five times: some 15,000 of these. */
const SNAPSHOT_FAR = 20_000;
/** Less than half of what was put: all but three segments that the log lies across, and one laid out in advance. */
const DISK_BYTES_MAX = PUTS * VALUE_BYTES / 2;
const RESIDENT_BYTES_MAX = 512 * MIB;

const value = (n: number): Uint8Array =>
  new TextEncoder().encode(`value ${n} `.padEnd(VALUE_BYTES, "abcdefghijklmnopqrstuvwxyz"));

for (const { name, runtimes } of longSetups) {
  describe(`a hundred and sixty thousand puts (${name})`, () => {
    it("leave a compacted log, bounded memory and what was put last", async (t) => {
      // History makes snapshots larger, and the larger they are the more log they wait for.
      await using cluster = await Cluster.start(runtimes, ["--history-bytes", "1MiB"]);
      const { nodes, http } = cluster;
      const leader = await cluster.leader();
      const segmentsBefore = segments(leader);
      const result = await runLoad({
        urls: [leader.url],
        connections: CONNECTIONS,
        requestsMax: PUTS,
        request: (n) => requestBytes("PUT", leader.url, `/v1/kv/key-${n % KEYS}`, value(n)),
      });
      const failed = PUTS - result.succeeded;
      const rate = Math.round(result.succeeded / result.seconds);
      const p99 = quantile(result.latencies, 0.99).toFixed(0);
      t.diagnostic(`${name}: ${rate} puts/s, p99 ${p99} ms, ${JSON.stringify(result.statuses)}`);
      assert.ok(failed <= PUTS / 1000, `${failed} failed: ${JSON.stringify(result.statuses)}`);

      const { revision } = await cluster.status(leader);
      assert.ok(revision >= result.succeeded && revision <= PUTS, `revision ${revision}`);
      for (const node of nodes) {
        const what = `${node.id} (${node.runtime})`;
        const status = await eventually(`${what} has it all, and a snapshot not far`, async () => {
          const now = await cluster.status(node);
          const { lastLog, snapshot } = now;
          return now.revision === revision && lastLog - snapshot < SNAPSHOT_FAR ? now : undefined;
        });
        await eventually(`the first segments of ${what} are gone`, () => {
          const kept = segmentsBefore.filter((one) => segments(node).includes(one));
          return Promise.resolve(kept.length === 0 ? true : undefined);
        });
        const disk = diskBytes(node.data);
        const resident = residentBytes(node.pid);
        t.diagnostic(
          `${name}: ${what} rests in ${mib(resident.now)} (at most ${mib(resident.peak)}), ` +
            `${mib(disk)} on the disk, snapshot at ${status.snapshot}`,
        );
        assert.ok(disk <= DISK_BYTES_MAX, `${what} keeps ${mib(disk)} on the disk`);
        assert.ok(resident.peak <= RESIDENT_BYTES_MAX, `${what} grew to ${mib(resident.peak)}`);
      }
      for (let at = 0; at < KEYS; at += 97) {
        const answers = await Promise.all(
          nodes.map(({ url }) => http.request(`${url}/v1/kv/key-${at}`)),
        );
        for (const { status, text } of answers) {
          assert.equal(status, 200);
          assert.match(text(), /^value \d+ a/);
          assert.equal(text(), answers[0]?.text());
          assert.equal(Number(text().split(" ")[1]) % KEYS, at);
        }
      }
    });
  });
}

function segments(node: NodeProcess): readonly string[] {
  return readdirSync(join(node.data, "wal")).filter((file) => !file.endsWith(".tmp"));
}

function diskBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((file) => statSync(join(directory, file), { throwIfNoEntry: false }))
    .reduce((sum, file) => sum + (file?.isFile() === true ? file.size : 0), 0);
}

/** What the process holds in memory, as Linux counts it; zero where it doesn't say. */
function residentBytes(pid: number): { readonly now: number; readonly peak: number } {
  if (process.platform !== "linux") return { now: 0, peak: 0 };
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (field: string): number =>
    Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
  return { now: read("VmRSS"), peak: read("VmHWM") };
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
