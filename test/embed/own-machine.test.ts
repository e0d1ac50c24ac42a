import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type EmbeddedReplica, NotApplied, OutcomeUnknown } from "../../src/mod.ts";
import {
  type Bank,
  type BankCommand,
  type BankResult,
  encode,
  openBank,
} from "../examples/bank.ts";
import { temporaryDirectory } from "../matrix/harness/node-process.ts";
import { ids, Trio } from "./trio.ts";

type BankReplica = EmbeddedReplica<BankResult, Bank>;

async function order(bank: BankReplica, command: BankCommand): Promise<BankResult> {
  return (await bank.propose(encode(command))).result;
}

describe("a replica of a state machine of one's own", () => {
  it("answers what the machine makes of commands, on any replica, and reads what was acknowledged", async () => {
    await using trio = await Trio.start({
      base: "/bank",
      open: openBank,
      options: () => ({ storage: "memory" }),
    });
    await Promise.all(trio.programs.map(({ replica }) => replica.ready));
    for (const [at, { replica }] of trio.programs.entries()) {
      const balance = 10 * (at + 1);
      assert.deepEqual(await order(replica, { type: "deposit", to: "a", amount: 10 }), {
        ok: true,
        balance,
      });
      for (const other of trio.programs) {
        assert.equal((await other.replica.read()).balance("a"), balance);
      }
    }
    const { replica, url } = trio.at("n2");
    const overdraft = { type: "transfer", from: "a", to: "b", amount: 31 } as const;
    assert.deepEqual(await order(replica, overdraft), { ok: false, why: "not enough" });
    const { result } = await replica.propose(new Uint8Array([1, 2, 3]));
    assert.deepEqual(result, { ok: false, why: "malformed" });
    assert.equal((await replica.read()).total, 30);
    // Its cluster is managed as any other; of keys there is nothing.
    const members = await (await fetch(`${url}/v1/members`)).json();
    assert.equal(members.members.length, 3);
    const put = await fetch(`${url}/v1/kv/a`, { method: "PUT", body: "1" });
    assert.deepEqual([put.status, (await put.json()).code], [404, "no_such_route"]);
  });

  it("loses nothing and doubles nothing when its leader is lost, restarts, and is sent snapshots", async () => {
    using temporary = temporaryDirectory();
    await using trio = await Trio.start({
      base: "/bank",
      open: openBank,
      options: (id) => ({
        data: join(temporary.path, id),
        snapshotEntries: 20,
        snapshotBytes: "1KiB",
        trailingEntries: 0,
      }),
    });
    await Promise.all(trio.programs.map(({ replica }) => replica.ready));
    await order(trio.at("n1").replica, { type: "deposit", to: "a", amount: 1000 });
    let moved = 0;
    let unknown = 0;
    const move = async (via: BankReplica): Promise<void> => {
      try {
        const result = await order(via, { type: "transfer", from: "a", to: "b", amount: 1 });
        assert.equal(result.ok, true);
        moved++;
      } catch (error) {
        if (error instanceof OutcomeUnknown) unknown++;
        else if (!(error instanceof NotApplied)) throw error;
      }
    };
    for (let round = 0; round < 2; round++) {
      const leader = trio.at("n1").replica.leader ?? "n1";
      const survivors = ids.filter((id) => id !== leader).map((id) => trio.at(id).replica);
      const load = survivors.map(async (bank) => {
        for (let count = 0; count < 30; count++) await move(bank);
      });
      await move(trio.at(leader).replica);
      await trio.at(leader).kill();
      await Promise.all(load);
      const back = await trio.start(leader);
      await back.replica.ready;
      const banks = await Promise.all(trio.programs.map(({ replica }) => replica.read()));
      for (const bank of banks) {
        assert.equal(bank.total, 1000);
        const gone = 1000 - bank.balance("a");
        assert.equal(bank.balance("b"), gone);
        assert.ok(gone >= moved && gone <= moved + unknown, `${moved} + ${unknown}, not ${gone}`);
      }
    }
    assert.ok(moved > 30);
  });
});
