/**
 * A leader that the system suspends past an election knows nothing of its successor when it goes on. It must not
 * answer from what it knew, neither what waited in its sockets meanwhile nor what comes at the moment it wakes.
 *
 * What waits is taken in the order in which sockets became readable, and the successor's messages wait too. So that
 * reads come before them, their first bytes are sent right after the suspension, and the rest, without which nobody
 * can tell what is asked, once the successor has acknowledged a write.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { Cluster, eventually, setups } from "./harness/cluster.ts";
import { get, type KvOutcome, put } from "./harness/kv.ts";
import { SplitRequest } from "./harness/split-request.ts";

const levels = ["linearizable", "lease"] as const;
const CONNECTIONS = 16;
const AFTERWARDS = 200;
const ROUNDS = 2;

const leases = [["without leases", []], ["with --lease-reads", ["--lease-reads"]]] as const;
const key = "register";

const query = (n: number): string => `?consistency=${levels[n % levels.length]}`;

for (const { name, runtimes } of setups) {
  for (const [how, flags] of leases) {
    describe(`a suspended leader (${name}, ${how})`, () => {
      it("never serves what its successor has replaced", async (t) => {
        await using cluster = await Cluster.start(runtimes, flags);
        let pending = 0;
        let afterwards = 0;
        for (let round = 1; round <= ROUNDS; round++) {
          const old = await cluster.leader();
          const toOld = { http: cluster.http, url: old.url, key };
          await eventually("the first value is written", async () => {
            const written = await put(toOld, `old ${round}`);
            return written.type === "done" ? true : undefined;
          });
          // Connections in use, and a lease fresh behind them.
          const waiting = await Promise.all(
            Array.from(
              { length: CONNECTIONS },
              (_, n) => SplitRequest.open(old.url, `/v1/kv/${key}${query(n)}`),
            ),
          );

          old.signal("SIGSTOP");
          for (const request of waiting) request.begin();
          const leader = await cluster.leader(cluster.others(old.id));
          await eventually("the successor takes a write", async () => {
            const toNew = { http: cluster.http, url: leader.url, key };
            return (await put(toNew, `new ${round}`)).type === "done" ? true : undefined;
          });
          const answers = waiting.map((request) => request.end());
          old.signal("SIGCONT");
          const later: Promise<KvOutcome>[] = [];
          for (let n = 0; n < AFTERWARDS; n++) later.push(get(toOld, query(n)));

          for (const answer of await Promise.all(answers)) {
            if (answer.status !== 200) continue;
            assert.equal(answer.body, `new ${round}`, `a read that waited\n${cluster.stderr()}`);
            pending++;
          }
          for (const request of waiting) request[Symbol.dispose]();
          for (const answer of await Promise.all(later)) {
            if (answer.type !== "done") continue;
            assert.equal(answer.value, `new ${round}`, cluster.stderr());
            afterwards++;
          }
          await eventually("the old leader serves the new value", async () => {
            const answer = await get(toOld);
            return answer.type === "done" && answer.value === `new ${round}` ? true : undefined;
          });
        }
        t.diagnostic(
          `${pending} of ${ROUNDS * CONNECTIONS} reads that waited and ${afterwards} of ` +
            `${ROUNDS * AFTERWARDS} later ones answered, all of them new`,
        );
      });
    });
  }
}
