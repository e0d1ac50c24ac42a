import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  decodeChunk,
  decodeChunkReply,
  decodeForward,
  decodeForwardReply,
  decodeManage,
  decodeManageReply,
  decodeReply,
  decodeRequest,
  encodeChunk,
  encodeChunkReply,
  encodeForward,
  encodeForwardReply,
  encodeManage,
  encodeManageReply,
  encodeReply,
  encodeRequest,
  peerPaths,
  type RequestType,
} from "../../src/adapters/peer-wire.ts";
import { encodeCbor } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";
import type { Append } from "../../src/raft/message.ts";
import {
  chunkReplies,
  chunks,
  commands,
  forwardReplies,
  manageCalls,
  manageReplies,
  replies,
  requests,
  sealedEntries,
  wireLimits,
} from "./peer-arbitraries.ts";

const text = new TextEncoder();

function append(payloads: readonly string[], more: Partial<Append> = {}): Append {
  const after = { index: 6, term: 3, crc: 77 };
  const entries = sealedEntries(payloads.map((payload) => text.encode(payload)), after);
  return {
    type: "append",
    from: "n1",
    to: "n2",
    term: 3,
    id: 9,
    previousIndex: 6,
    previousTerm: 2,
    previousCrc: 77,
    commit: 5,
    entries,
    ...more,
  };
}

function refused(type: RequestType, body: object, message: RegExp): void {
  const bytes = body instanceof Uint8Array ? body : encodeCbor(body);
  assert.throws(() => decodeRequest(type, bytes, wireLimits), (error) => {
    assert.ok(error instanceof MalformedBytes, String(error));
    assert.match(error.message, message);
    return true;
  });
}

describe("peer messages", () => {
  it("come back as they were sent", () => {
    fc.assert(fc.property(requests, (message) => {
      assert.deepEqual(decodeRequest(message.type, encodeRequest(message), wireLimits), message);
    }));
    fc.assert(fc.property(replies, (reply) => {
      const type = reply.type.slice(0, -"Reply".length) as RequestType;
      assert.deepEqual(decodeReply(type, encodeReply(reply), wireLimits), reply);
    }));
    fc.assert(fc.property(commands, fc.nat(600_000), (command, timeoutMs) => {
      const request = { command, timeoutMs };
      assert.deepEqual(decodeForward(encodeForward(request), wireLimits), request);
    }));
    fc.assert(fc.property(forwardReplies, (reply) => {
      assert.deepEqual(decodeForwardReply(encodeForwardReply(reply), wireLimits), reply);
    }));
    fc.assert(fc.property(manageCalls, (call) => {
      assert.deepEqual(decodeManage(encodeManage(call), wireLimits), call);
    }));
    fc.assert(fc.property(manageReplies, (reply) => {
      assert.deepEqual(decodeManageReply(encodeManageReply(reply), wireLimits), reply);
    }));
    fc.assert(fc.property(chunks, (chunk) => {
      assert.deepEqual(decodeChunk(encodeChunk(chunk), wireLimits), chunk);
    }));
    fc.assert(fc.property(chunkReplies, (reply) => {
      assert.deepEqual(decodeChunkReply(encodeChunkReply(reply), wireLimits), reply);
    }));
  });

  it("of a refusal that is too long leave off its end", () => {
    const reply = { type: "refused", code: "bad_request", detail: "x".repeat(5000) } as const;
    const decoded = decodeManageReply(encodeManageReply(reply), wireLimits);
    assert.deepEqual(decoded, { ...reply, detail: "x".repeat(2048) });
  });

  it("have the same bytes on every runtime", () => {
    const heartbeat = {
      type: "heartbeat" as const,
      from: "n1",
      to: "n2",
      term: 3,
      id: 2 ** 33,
      commit: 5,
      round: 6,
      acknowledged: 5,
      leaderCommit: 7,
      ageMs: 50.5,
    };
    const hex = Buffer.from(encodeRequest(heartbeat)).toString("hex");
    assert.equal(
      hex,
      "aa64747970656968656172746265617464" +
        "66726f6d626e3162746f626e32647465726d03626964fb420000000000000066636f6d6d69740565726f756e6406" +
        "6c61636b6e6f776c6564676564056c6c6561646572436f6d6d697407656167654d73fb4049400000000000",
    );
  });

  it("carry an append's records untouched, as views into the one body", () => {
    const message = append(["a", "bb", ""]);
    const body = encodeRequest(message);
    const decoded = decodeRequest("append", body, wireLimits) as Append;
    for (const [i, entry] of decoded.entries.entries()) {
      assert.deepEqual(entry.record, message.entries[i]?.record);
      assert.equal(entry.record.buffer, body.buffer);
      assert.equal(entry.payload.buffer, body.buffer);
    }
    const records = Buffer.concat(message.entries.map((entry) => entry.record));
    assert.deepEqual(Buffer.from(body.subarray(body.length - records.length)), records);
  });

  it("have a path each, in kebab case", () => {
    const paths = Object.values(peerPaths);
    assert.equal(new Set(paths).size, paths.length);
    for (const path of paths) assert.match(path, /^\/raft\/v1\/[a-z]+(-[a-z]+)*$/);
  });
});

describe("a peer message is refused", () => {
  const heartbeat = {
    type: "heartbeat",
    from: "n1",
    to: "n2",
    term: 3,
    id: 1,
    commit: 5,
    round: 6,
    acknowledged: 5,
    leaderCommit: 7,
    ageMs: 50.5,
  };

  it("when it is of another type than its path", () => {
    refused("preVote", heartbeat, /type: /);
    refused("heartbeat", { ...heartbeat, type: "heartbeatReply" }, /type: /);
  });

  it("when a field is missing, unknown, or of another kind", () => {
    const { round: _, ...rest } = heartbeat;
    refused("heartbeat", rest, /round/);
    refused("heartbeat", { ...heartbeat, extra: 1 }, /extra/);
    for (const term of [-1, 0.5, 2 ** 53, "3", null, [3], true]) {
      refused("heartbeat", { ...heartbeat, term }, /term: /);
    }
    refused("heartbeat", [heartbeat], /type: /);
  });

  it("when an id is not one", () => {
    for (const from of ["", "a".repeat(65), "a/b", "a b", "a\n", "é", 1]) {
      refused("heartbeat", { ...heartbeat, from }, /from: /);
    }
  });

  it("when its records do not chain on from previousCrc", () => {
    refused("append", encodeRequest(append(["a"], { previousCrc: 78 })), /checksum/);
    refused("append", encodeRequest(append(["a"], { previousIndex: 7 })), /follows/);
    const [first, second, third] = append(["a", "b", "c"]).entries;
    assert.ok(first && second && third);
    refused("append", encodeRequest(append([], { entries: [first, third] })), /checksum/);
    refused("append", encodeRequest(append([], { entries: [second] })), /checksum/);
  });

  it("when it says what no replica would say", () => {
    refused("append", encodeRequest(append(["a"], { term: 2 })), /later term/);
    refused("append", encodeRequest(append([], { previousIndex: 0 })), /before the log/);
    refused("append", encodeRequest(append([], { previousTerm: 4 })), /later term/);
    const ballot = { from: "n1", to: "n2", term: 3, id: 1, lastIndex: 5, lastTerm: 3 };
    refused("preVote", { type: "preVote", ...ballot }, /lastTerm/);
    refused("vote", { type: "vote", ...ballot, transfer: false }, /lastTerm/);
    const chunk = { from: "n1", to: "n2", term: 3, index: 1, snapshotTerm: 1, size: 2, offset: 1 };
    assert.throws(
      () => decodeChunk(encodeChunk({ ...chunk, bytes: new Uint8Array(2) }), wireLimits),
      MalformedBytes,
    );
  });

  it("when a configuration counts a member twice or has no voters", () => {
    const meta = (voters: string[]) => ({
      index: 5,
      term: 2,
      crc: 1,
      configuration: new TextEncoder().encode(
        JSON.stringify({ learners: [], outgoing: [], urls: {}, voters }),
      ),
    });
    const install = { type: "installSnapshot", from: "n1", to: "n2", term: 3, id: 1 };
    refused("installSnapshot", { ...install, meta: meta(["n1", "n1"]) }, /different ids/);
    refused("installSnapshot", { ...install, meta: meta([]) }, /voters/);
    refused("installSnapshot", { ...install, meta: { ...meta(["n1"]), term: 4 } }, /later term/);
  });

  it("when it is larger than the limits", () => {
    const small = { ...wireLimits, bodyBytesMax: 100 };
    const body = encodeRequest(append(["a".repeat(100)]));
    assert.throws(() => decodeRequest("append", body, small), /limit is 100/);
    const records = { payloadBytesMax: 99, entriesMax: 10 };
    assert.throws(() => decodeRequest("append", body, { ...wireLimits, records }), /limit/);
    const many = encodeRequest(append(["a", "b", "c"]));
    const few = { payloadBytesMax: 99, entriesMax: 2 };
    assert.throws(() => decodeRequest("append", many, { ...wireLimits, records: few }), /than 2/);
  });
});
