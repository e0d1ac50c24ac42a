import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Call, Deadlines, Lane } from "../../src/adapters/peer-calls.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { NotApplied, OutcomeUnknown, PeerUnreachable } from "../../src/errors.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { Transport } from "../../src/ports.ts";
import { forwardCommand } from "../../src/replica/forward.ts";

const clock = createSystemClock();
const machine = new KvMachine();
const command = new Uint8Array([1]);

/** What a follower makes of what came of its question to the leader. */
function forwarding(forward: Transport["forward"]): Promise<unknown> {
  const unused = (): never => {
    throw new Error("not asked for");
  };
  const transport: Transport = {
    forward,
    request: unused,
    manage: unused,
    sendChunk: unused,
    setUrls: unused,
    close: unused,
  };
  return forwardCommand({ transport, clock, machine }, "n1", command, {
    deadline: clock.now() + 1000,
    span: null,
  });
}

describe("a write that is handed on to the leader", () => {
  it("is refused as overloaded where the leader refuses it so", async () => {
    const reply = { type: "notApplied", reason: "overloaded" } as const;
    const refused = { name: "NotApplied", reason: "overloaded" };
    await assert.rejects(forwarding(() => Promise.resolve(reply)), refused);
  });

  it("is refused as overloaded where too many are on their way, and was not sent", async () => {
    const lane = new Lane({ inflightMax: 1, waitingMax: 1 });
    const deadlines = new Deadlines(clock);
    const calls: Call[] = [];
    const send = async (): Promise<never> => {
      const call = deadlines.start(calls.length === 1 ? 20 : 10_000);
      calls.push(call);
      await lane.wait(call.controller.signal);
      throw new Error("there was a place");
    };
    assert.equal(lane.enter(), true);
    const late = forwarding(send);
    const atOnce = forwarding(send);
    await assert.rejects(
      atOnce,
      (error) => error instanceof NotApplied && error.reason === "overloaded",
    );
    calls[0]?.controller.abort();
    await assert.rejects(
      late,
      (error) => error instanceof NotApplied && error.reason === "overloaded",
    );
    deadlines.close();
  });

  it("may be asked again where nothing was sent, and is unknown where it may have come", async () => {
    const unreachable = (maybe: boolean) => () =>
      Promise.reject(new PeerUnreachable("it broke", maybe));
    assert.equal(await forwarding(unreachable(false)), null);
    await assert.rejects(forwarding(unreachable(true)), OutcomeUnknown);
  });
});
