import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Refusal } from "../../src/http/problem.ts";
import { requireVersion } from "../../src/http/version-gate.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { FakeReplica } from "./fixture.ts";

const configuration = {
  voters: ["n1", "n2"],
  outgoing: ["n2"],
  learners: ["n3", "n4"],
  urls: {},
};

describe("what version 1 doesn't know", () => {
  it("is refused until the cluster's version is 2, naming who keeps it from that", () => {
    const machine = new KvMachine();
    const spoken: Record<string, number | null> = { n2: 1, n3: 2, n4: 1 };
    const host = {
      machine,
      replica: Object.assign(new FakeReplica(), {
        members: () => ({ configuration, changing: false }),
      }),
      speaks: (id: string) => spoken[id] ?? null,
    };
    assert.throws(() => requireVersion(host, "access control"), (error) => {
      assert.ok(error instanceof Refusal);
      assert.equal(error.code, "not_ready");
      assert.equal(
        error.message,
        "access control waits until every member runs 0.2.0: n2 runs 0.1.0, n4 runs 0.1.0",
      );
      return true;
    });
    spoken["n2"] = null;
    spoken["n4"] = null;
    assert.throws(() => requireVersion(host, "it"), { message: /every member runs 0\.2\.0$/ });
    machine.apply({ payload: encodeCommand({ type: "upgrade", version: 2 }) });
    requireVersion(host, "access control");
  });
});
