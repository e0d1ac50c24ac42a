/**
 * A leader that the system suspends past an election knows nothing of its successor when it goes on. It must not
 * answer from what it knew, neither what waited in its sockets meanwhile nor what comes at the moment it wakes.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { Cluster, eventually, setups } from "./harness/cluster.ts";
import { get, type KvOutcome, put } from "./harness/kv.ts";

const levels = ["linearizable", "lease"] as const;
const PENDING = 16;
const AFTERWARDS = 200;

const leases = [["without leases", []], ["with --lease-reads", ["--lease-reads"]]] as const;

for (const { name, runtimes } of setups) {
  for (const [how, flags] of leases) {
    describe(`a suspended leader (${name}, ${how})`, () => {
      it("never serves what its successor has replaced", async (t) => {
        await using cluster = await Cluster.start(runtimes, flags);
        const key = "register";
        let served = 0;
        for (let round = 1; round <= 2; round++) {
          const old = await cluster.leader();
          const others = cluster.others(old.id);
          const before = { http: cluster.http, url: old.url, key };
          assert.equal((await put(before, `old ${round}`)).type, "done");
          // Kept-alive connections with a lease fresh behind them.
          await Promise.all(Array.from({ length: PENDING }, () => get(before)));

          old.signal("SIGSTOP");
          const leader = await cluster.leader(others);
          await eventually("the successor takes a write", async () => {
            const written = await put({ http: cluster.http, url: leader.url, key }, `new ${round}`);
            return written.type === "done" ? true : undefined;
          });
          const read = (n: number): Promise<KvOutcome> =>
            get(before, `?consistency=${levels[n % levels.length]}`);
          const pending = Array.from({ length: PENDING }, (_, n) => read(n));
          old.signal("SIGCONT");
          const answers = await Promise.all([
            ...pending,
            ...Array.from({ length: AFTERWARDS }, (_, n) => read(n)),
          ]);
          for (const answer of answers) {
            if (answer.type !== "done") continue;
            assert.equal(answer.value, `new ${round}`, cluster.stderr());
            served++;
          }
          // It serves again, by itself.
          await eventually("the old leader serves the new value", async () => {
            const answer = await get(before);
            return answer.type === "done" && answer.value === `new ${round}` ? true : undefined;
          });
        }
        t.diagnostic(`${served} of ${2 * (PENDING + AFTERWARDS)} reads answered, all of them new`);
      });
    });
  }
}
