/** What every transport must do. Run over each of them by `transport.test.ts`. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PeerUnreachable } from "../../src/errors.ts";
import type { ForwardReply, PeerHandler, SnapshotChunk, Transport } from "../../src/ports.ts";
import type { Heartbeat, ReplyMessage, RequestMessage } from "../../src/raft/message.ts";
import { sealedEntries } from "./peer-arbitraries.ts";

/** Node `a`'s transport, and node `b` at its other end. */
export interface Connection {
  readonly transport: Transport;
  /** Ends `b`, as a process ends. */
  readonly stopPeer: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface TransportUnderTest {
  readonly name: string;
  connect(handler: PeerHandler): Promise<Connection>;
  /** Whether it knows that a refused connection sent nothing. */
  readonly knowsRefusal: boolean;
}

const LONG_MS = 20_000;
const SHORT_MS = 50;

/** A handler that answers nothing it was not told to. */
export function handlerWith(parts: Partial<PeerHandler>): PeerHandler {
  const unexpected = () => Promise.reject(new Error("unexpected"));
  return {
    receive: unexpected,
    forwarded: unexpected,
    managed: unexpected,
    receiveChunk: unexpected,
    ...parts,
  };
}

export function heartbeat(id = 1): Heartbeat {
  const ends = { from: "a", to: "b", term: 3, id };
  const freshness = { acknowledged: 1, leaderCommit: 6, ageMs: 12.5 };
  return { type: "heartbeat", ...ends, commit: 5, round: id, ...freshness };
}

/** Answers heartbeats with their own round. */
export const echo: PeerHandler = handlerWith({
  receive: (message) => Promise.resolve(replyTo(message)),
});

export function replyTo(message: RequestMessage): ReplyMessage {
  const ends = { from: message.to, to: message.from, term: message.term, id: message.id };
  switch (message.type) {
    case "preVote":
      return { type: "preVoteReply", ...ends, granted: true };
    case "vote":
      return { type: "voteReply", ...ends, granted: false };
    case "append": {
      const match = message.previousIndex + message.entries.length;
      const conflict = { rejectedIndex: 0, conflictTerm: 0, conflictIndex: 0 };
      return { type: "appendReply", ...ends, success: true, match, ...conflict };
    }
    case "heartbeat":
      return { type: "heartbeatReply", ...ends, round: message.round };
    case "installSnapshot":
      return { type: "installSnapshotReply", ...ends, success: true, match: message.meta.index };
    case "timeoutNow":
      return { type: "timeoutNowReply", ...ends };
    case "readIndex":
      return { type: "readIndexReply", ...ends, index: null, indexTerm: 0 };
  }
}

function messages(): RequestMessage[] {
  const ends = { from: "a", to: "b", term: 3 };
  const last = { lastIndex: 9, lastTerm: 2 };
  const payloads = Array.from({ length: 40 }, (_, i) => new Uint8Array(i * 100).fill(i));
  const entries = sealedEntries(payloads, { index: 6, term: 3, crc: 77 });
  const previous = { previousIndex: 6, previousTerm: 2, previousCrc: 77 };
  const configuration = {
    voters: ["a", "b"],
    outgoing: [],
    learners: ["c"],
    urls: { a: "http://127.0.0.1:1", b: "http://127.0.0.1:2" },
  };
  return [
    { type: "preVote", ...ends, id: 1, ...last },
    { type: "vote", ...ends, id: 2, ...last, transfer: true },
    { type: "append", ...ends, id: 3, ...previous, commit: 5, entries },
    { type: "append", ...ends, id: 4, ...previous, commit: 5, entries: [] },
    heartbeat(5),
    { type: "installSnapshot", ...ends, id: 6, meta: { index: 5, term: 2, crc: 1, configuration } },
    { type: "timeoutNow", ...ends, id: 7 },
    { type: "readIndex", ...ends, id: 8, level: "lease" },
  ];
}

function chunk(bytes: Uint8Array, offset = 0): SnapshotChunk {
  const identity = { from: "a", to: "b", term: 3, index: 5, snapshotTerm: 2, size: 1000 };
  return { ...identity, offset, bytes };
}

/** Awaits a failure and returns its `maybeReceived`. */
export async function failure(promise: Promise<unknown>): Promise<boolean> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof PeerUnreachable, String(error));
    return error.maybeReceived;
  }
  return assert.fail("it succeeded");
}

export function describeTransport(subject: TransportUnderTest): void {
  async function connected(
    handler: PeerHandler,
    test: (connection: Connection) => Promise<void>,
  ): Promise<void> {
    const connection = await subject.connect(handler);
    try {
      await test(connection);
    } finally {
      await connection.stop();
    }
  }

  describe(`${subject.name}: a transport`, () => {
    it("brings each request to the peer and its reply back", async () => {
      const received: RequestMessage[] = [];
      const handler = handlerWith({
        receive: (message) => {
          received.push(message);
          return Promise.resolve(replyTo(message));
        },
      });
      await connected(handler, async ({ transport }) => {
        for (const message of messages()) {
          const reply = await transport.request(message, LONG_MS);
          assert.deepEqual(reply, replyTo(message));
          assert.deepEqual(received.at(-1), message);
        }
      });
    });

    it("hands requests for other members on, and brings the answer back", async () => {
      const request = { type: "add", id: "n4", url: "http://n4", voter: true } as const;
      const urls = { n1: "http://n1" };
      const configuration = { voters: ["n1"], outgoing: [], learners: [], urls, removed: ["n0"] };
      const view = { type: "members", configuration, changing: true } as const;
      const asked: unknown[] = [];
      const handler = handlerWith({
        managed: (given, timeoutMs) => {
          assert.ok(timeoutMs > 0 && timeoutMs <= LONG_MS);
          asked.push(given);
          return Promise.resolve(view);
        },
      });
      await connected(handler, async ({ transport }) => {
        assert.deepEqual(await transport.manage("b", request, LONG_MS), view);
      });
      assert.deepEqual(asked, [request]);
    });

    it("forwards commands, and tells the three fates apart", async () => {
      const fates: ForwardReply[] = [
        { type: "applied", index: 7, term: 3, result: new Uint8Array([1, 2, 3]) },
        { type: "notApplied", reason: "overloaded" },
        { type: "unknown" },
      ];
      const commands: Uint8Array[] = [];
      const handler = handlerWith({
        forwarded: (command, timeoutMs) => {
          assert.ok(timeoutMs > 0 && timeoutMs <= LONG_MS);
          commands.push(command);
          const fate = fates[command[0] ?? 0];
          return fate === undefined
            ? Promise.reject(new Error("no such fate"))
            : Promise.resolve(fate);
        },
      });
      await connected(handler, async ({ transport }) => {
        for (const [i, fate] of fates.entries()) {
          const command = new Uint8Array(1000).fill(i);
          assert.deepEqual(await transport.forward("b", command, LONG_MS), fate);
          assert.deepEqual(commands.at(-1), command);
        }
      });
    });

    it("carries pieces of a snapshot, also empty ones", async () => {
      const pieces: SnapshotChunk[] = [];
      const handler = handlerWith({
        receiveChunk: (piece) => {
          pieces.push(piece);
          const offset = piece.offset + piece.bytes.length;
          return Promise.resolve({ offset, refused: piece.bytes.length === 0 });
        },
      });
      await connected(handler, async ({ transport }) => {
        const full = chunk(new Uint8Array(400).fill(7), 600);
        assert.deepEqual(await transport.sendChunk(full, LONG_MS), {
          offset: 1000,
          refused: false,
        });
        const empty = chunk(new Uint8Array(0));
        assert.deepEqual(await transport.sendChunk(empty, LONG_MS), { offset: 0, refused: true });
        assert.deepEqual(pieces, [full, empty]);
      });
    });

    it("brings each of many concurrent requests its own reply", async () => {
      const waiting: (() => void)[] = [];
      const handler = handlerWith({
        receive: async (message) => {
          // Answered in reverse, once eight are there.
          await new Promise<void>((resolve) => {
            waiting.push(resolve);
            if (waiting.length === 8) { for (const go of waiting.splice(0).reverse()) go(); }
          });
          return replyTo(message);
        },
      });
      await connected(handler, async ({ transport }) => {
        const ids = Array.from({ length: 32 }, (_, i) => i + 1);
        const replies = await Promise.all(
          ids.map((id) => transport.request(heartbeat(id), LONG_MS)),
        );
        assert.deepEqual(replies.map((reply) => reply.id), ids);
      });
    });

    it("says maybe received where no answer comes in time", async () => {
      const handler = handlerWith({ receive: () => new Promise(() => {}) });
      await connected(handler, async ({ transport }) => {
        assert.equal(await failure(transport.request(heartbeat(), SHORT_MS)), true);
      });
    });

    it("says maybe received where the peer failed at it", async () => {
      await connected(handlerWith({}), async ({ transport }) => {
        assert.equal(await failure(transport.request(heartbeat(), LONG_MS)), true);
        assert.equal(await failure(transport.forward("b", new Uint8Array(1), LONG_MS)), true);
        assert.equal(await failure(transport.sendChunk(chunk(new Uint8Array(1)), LONG_MS)), true);
      });
    });

    it("says not received where the peer refused to take it", async () => {
      const refuse = () => Promise.reject(new PeerUnreachable("too many", false));
      await connected(handlerWith({ receive: refuse }), async ({ transport }) => {
        assert.equal(await failure(transport.request(heartbeat(), LONG_MS)), false);
      });
    });

    it("says not received where no process listens", async () => {
      await connected(echo, async ({ transport, stopPeer }) => {
        await transport.request(heartbeat(1), LONG_MS);
        await stopPeer();
        // Connections of the ended process may still be noticed as broken, one by one.
        let received = await failure(transport.request(heartbeat(2), LONG_MS));
        for (let id = 3; received && id < 10; id++) {
          received = await failure(transport.request(heartbeat(id), LONG_MS));
        }
        assert.equal(received, !subject.knowsRefusal);
      });
    });

    it("says not received where it has no way to the peer", async () => {
      await connected(echo, async ({ transport }) => {
        const message = { ...heartbeat(), to: "nobody" };
        assert.equal(await failure(transport.request(message, LONG_MS)), false);
      });
    });

    it("ends what is on its way when it closes, and sends nothing after that", async () => {
      let arrived = () => {};
      const arrival = new Promise<void>((resolve) => arrived = resolve);
      const handler = handlerWith({
        receive: () => {
          arrived();
          return new Promise(() => {});
        },
      });
      await connected(handler, async ({ transport }) => {
        const open = failure(transport.request(heartbeat(), LONG_MS));
        await arrival;
        transport.close();
        assert.equal(await open, true);
        assert.equal(await failure(transport.request(heartbeat(2), LONG_MS)), false);
      });
    });
  });
}
