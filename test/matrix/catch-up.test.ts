/** A node that was away while the log was compacted catches up by a snapshot, and is a full member again. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { requestBytes, runLoad } from "../../bench/load.ts";
import { Cluster, eventually, setups } from "./harness/cluster.ts";
import { get, put } from "./harness/kv.ts";

const SNAPSHOT_ENTRIES = 200;
const TRAILING_ENTRIES = 20;
const PUTS = 800;
const KEYS = 200;
/** Several chunks of a snapshot's transfer. */
const VALUE_BYTES = 8_000;

const flags = [
  ...["--snapshot-entries", String(SNAPSHOT_ENTRIES)],
  ...["--trailing-entries", String(TRAILING_ENTRIES)],
  // History makes snapshots larger, and the larger they are the more log they wait for.
  ...["--history-bytes", "0"],
];

const value = (round: number, n: number): Uint8Array =>
  new TextEncoder().encode(`${round}-${n} `.padEnd(VALUE_BYTES, "0123456789"));

for (const { name, runtimes } of setups) {
  describe(`a node that was away (${name})`, () => {
    it("catches up by snapshot, whether it was killed or stopped, and can be relied on", async (t) => {
      await using cluster = await Cluster.start(runtimes, flags);
      const { http } = cluster;
      for (const [round, signal] of (["SIGKILL", "SIGTERM"] as const).entries()) {
        const leader = await cluster.leader();
        const away = cluster.others(leader.id)[round] ?? cluster.others(leader.id)[0];
        assert.ok(away);
        const before = await cluster.status(away);
        await away.end(signal);

        const result = await runLoad({
          urls: [leader.url],
          connections: 16,
          requestsMax: PUTS,
          request: (n) => {
            const path = `/v1/kv/key-${n % KEYS}`;
            return requestBytes("PUT", leader.url, path, value(round, n));
          },
        });
        assert.equal(result.succeeded, PUTS, JSON.stringify(result.statuses));
        const { revision, snapshot } = await cluster.status(leader);
        assert.ok(snapshot - TRAILING_ENTRIES > before.lastLog, "the log no longer reaches back");

        await away.start();
        const after = await eventually(`${away.id} has it all`, async () => {
          const status = await cluster.status(away);
          return status.revision === revision ? status : undefined;
        });
        assert.ok(after.snapshot > before.lastLog, `it holds a snapshot at ${after.snapshot}`);
        t.diagnostic(`${name}: ${away.id} went from ${before.lastLog} to ${after.snapshot}`);
        for (let n = 0; n < KEYS; n += 7) {
          const key = `key-${n}`;
          const stale = await get({ http, url: away.url, key }, "?consistency=stale");
          const sure = await get({ http, url: leader.url, key });
          assert.deepEqual(stale, sure);
        }

        // A majority that needs it: it has the log behind the snapshot too, and may lead.
        const third = cluster.others(leader.id).find(({ id }) => id !== away.id);
        assert.ok(third);
        await third.end("SIGKILL");
        assert.equal((await put({ http, url: away.url, key: "relied-on" }, "yes")).type, "done");
        await leader.end("SIGKILL");
        await third.start();
        await eventually("the two that are left serve", async () => {
          const read = await get({ http, url: third.url, key: "relied-on" });
          return read.type === "done" && read.value === "yes" ? true : undefined;
        });
        await leader.start();
        await cluster.ready();
      }
    });
  });
}
