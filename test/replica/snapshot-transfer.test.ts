import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PeerUnreachable } from "../../src/errors.ts";
import type { Clock, SnapshotFile, SnapshotStore, Transport } from "../../src/ports.ts";
import type { InstallSnapshot, ReplyMessage } from "../../src/raft/message.ts";
import { sendSnapshot } from "../../src/replica/snapshot-transfer.ts";

const meta = {
  index: 7,
  term: 2,
  crc: 1,
  configuration: { voters: ["n1", "n2"], outgoing: [], learners: [], urls: {} },
};
const header = { from: "n1", to: "n2", term: 2, id: 5 };
const message: InstallSnapshot = { type: "installSnapshot", ...header, meta };
const reply: ReplyMessage = {
  type: "installSnapshotReply",
  ...header,
  from: "n2",
  to: "n1",
  success: true,
  match: 7,
};
const timeouts = { chunkMs: 100, againMs: 100, installMs: 1000 };

/** Sends over a transport whose `answer` decides about each message, given its number and how to let time pass. */
async function send(
  answer: (attempt: number, pass: (ms: number) => void) => ReplyMessage,
  wanted: (attempts: number) => boolean = () => true,
): Promise<{ readonly attempts: number; readonly reply: ReplyMessage | Error }> {
  let now = 0;
  let attempts = 0;
  const clock: Clock = {
    now: () => now,
    wallNow: () => now,
    timer: () => () => {},
    yield: () => Promise.resolve(),
  };
  const file: SnapshotFile = {
    meta,
    size: 0,
    read: () => Promise.resolve(new Uint8Array(0)),
    close: () => Promise.resolve(),
  };
  const store: Pick<SnapshotStore, "openFile"> = { openFile: () => Promise.resolve(file) };
  const transport: Pick<Transport, "request" | "sendChunk"> = {
    sendChunk: () => Promise.resolve({ offset: 0, refused: false }),
    request: async () => answer(++attempts, (ms) => now += ms),
  };
  const parts = { store, transport, clock };
  try {
    const given = await sendSnapshot(parts, message, () => wanted(attempts), timeouts);
    return { attempts, reply: given };
  } catch (error) {
    assert.ok(error instanceof PeerUnreachable, String(error));
    return { attempts, reply: error };
  }
}

describe("a snapshot's transfer", () => {
  const lost = (pass: (ms: number) => void): never => {
    pass(timeouts.againMs);
    throw new PeerUnreachable("no answer in time", true);
  };

  it("offers the snapshot again where the offer or its answer was lost", async () => {
    const sent = await send((attempt, pass) => attempt < 3 ? lost(pass) : reply);
    assert.deepEqual(sent, { attempts: 3, reply });
  });

  it("gives up when the time for putting it in place is over", async () => {
    const { attempts, reply: given } = await send((_attempt, pass) => lost(pass));
    assert.ok(given instanceof PeerUnreachable);
    assert.equal(attempts, timeouts.installMs / timeouts.againMs);
  });

  it("gives up at once where the peer is gone, or the snapshot is not wanted any more", async () => {
    const refused = await send(() => {
      throw new PeerUnreachable("the connection was refused", false);
    });
    assert.equal(refused.attempts, 1);
    const unwanted = await send((_attempt, pass) => lost(pass), (attempts) => attempts < 2);
    assert.equal(unwanted.attempts, 2);
  });
});
