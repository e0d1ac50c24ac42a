/** Bytes from outside, made to hurt: whatever they are, the answer is a typed refusal or a checked message. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
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
  type PeerRequestType,
  type RequestType,
} from "../../src/adapters/peer-wire.ts";
import { type CborLimits, decodeCbor, encodeCbor, wellFormed } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";
import { defaultInflightMax, raftRoutes } from "../../src/http/raft-routes.ts";
import { cborLike, decodes, spoiled } from "./byte-arbitraries.ts";
import {
  appends,
  chunkReplies,
  chunks,
  commands,
  forwardReplies,
  manageCalls,
  manageReplies,
  replies,
  requests,
  wireLimits,
} from "./peer-arbitraries.ts";
import { handlerWith } from "./transport-conformance.ts";

const cborLimits: CborLimits = {
  totalBytesMax: 1 << 20,
  depthMax: 16,
  itemsMax: 10_000,
  textBytesMax: 1000,
  byteStringBytesMax: 1 << 20,
};

/** Where the well-formed item at the beginning of `bytes` ends, or 0 where there is none. */
function itemEnd(bytes: Uint8Array): number {
  try {
    wellFormed(bytes, cborLimits);
    return bytes.length;
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    return error.message.startsWith("bytes after the end") ? error.offset : 0;
  }
}

const requestTypes = Object.keys(peerPaths).filter((type): type is RequestType =>
  type !== "forward" && type !== "manage" && type !== "snapshotChunk"
);

function decodeAsEverything(bytes: Uint8Array): void {
  for (const type of requestTypes) {
    decodes(bytes, (body) => decodeRequest(type, body, wireLimits));
    decodes(bytes, (body) => decodeReply(type, body, wireLimits));
  }
  decodes(bytes, (body) => decodeForward(body, wireLimits));
  decodes(bytes, (body) => decodeForwardReply(body, wireLimits));
  decodes(bytes, (body) => decodeManage(body, wireLimits));
  decodes(bytes, (body) => decodeManageReply(body, wireLimits));
  decodes(bytes, (body) => decodeChunk(body, wireLimits));
  decodes(bytes, (body) => decodeChunkReply(body, wireLimits));
}

const everyBody: fc.Arbitrary<Uint8Array> = fc.oneof(
  requests.map(encodeRequest),
  replies.map(encodeReply),
  commands.map((command) => encodeForward({ command, timeoutMs: 5 })),
  forwardReplies.map(encodeForwardReply),
  manageCalls.map(encodeManage),
  manageReplies.map(encodeManageReply),
  chunks.map(encodeChunk),
  chunkReplies.map(encodeChunkReply),
);

describe("the CBOR guard", () => {
  it("lets through only what cbor-x then decodes, and what encodes and decodes to the same", () => {
    let passed = 0;
    const judge = (bytes: Uint8Array) => {
      const item = bytes.subarray(0, itemEnd(bytes));
      if (item.length === 0) return;
      passed++;
      const encoded = encodeCbor(decodeCbor(item, cborLimits));
      assert.deepEqual(encodeCbor(decodeCbor(encoded, cborLimits)), encoded);
    };
    fc.assert(fc.property(cborLike, judge), { numRuns: 5000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), judge), { numRuns: 2000 });
    fc.assert(fc.property(spoiled(everyBody), judge), { numRuns: 2000 });
    assert.ok(passed > 2000, `only ${passed} passed`);
  });

  it("ends with bombs of every kind of header, however deep or wide they say they are", () => {
    const size = 1 << 18;
    const loose = { ...cborLimits, depthMax: 1 << 20, itemsMax: 1 << 24 };
    const units = [
      [0x81],
      [0x82],
      [0xa1],
      [0xa1, 0x61, 0x61],
      [0x98, 0xff],
      [0x99, 0xff, 0xff],
      [0x9a, 0, 4, 0, 0],
      [0xba, 0, 2, 0, 0],
      [0x5a, 0, 4, 0, 0],
      [0x9f],
      [0xbf],
      [0xd8, 0x1c],
      [0xc6],
      [0xff],
    ];
    for (const unit of units) {
      const bomb = Uint8Array.from({ length: size }, (_, i) => unit[i % unit.length] ?? 0);
      for (const limits of [cborLimits, loose]) {
        assert.equal(decodes(bomb, (bytes) => decodeCbor(bytes, limits)), null);
      }
    }
  });
});

describe("peer messages from outside", () => {
  it("are refused with a typed error or decoded, whatever was done to them", () => {
    fc.assert(fc.property(spoiled(everyBody), decodeAsEverything), { numRuns: 1500 });
    fc.assert(fc.property(cborLike, decodeAsEverything), { numRuns: 500 });
  });

  it("are refused when cut at any byte", () => {
    fc.assert(
      fc.property(requests, (message) => {
        const body = encodeRequest(message);
        for (let length = 0; length < body.length; length++) {
          const cut = body.subarray(0, length);
          assert.equal(decodes(cut, (b) => decodeRequest(message.type, b, wireLimits)), null);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("never bring other entries than were sealed, whichever bit of an append flips", () => {
    fc.assert(
      fc.property(appends.filter((message) => message.entries.length > 0), (message) => {
        const body = encodeRequest(message);
        const records = message.entries.map((entry) => Array.from(entry.record));
        for (let bit = 0; bit < body.length * 8; bit++) {
          const flipped = Uint8Array.from(body);
          flipped[bit >> 3]! ^= 1 << (bit & 7);
          const decoded = decodes(flipped, (b) => decodeRequest("append", b, wireLimits));
          if (decoded === null) continue;
          assert.ok(decoded.type === "append");
          assert.deepEqual(decoded.entries.map((entry) => Array.from(entry.record)), records);
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe("peer headers from outside", () => {
  const names = ["cluster", "from", "to", "nonce", "time", "signature"];
  const value = fc.oneof(
    fc.string({ maxLength: 100 }),
    fc.stringMatching(/^[A-Za-z0-9_.-]{0,80}$/),
    fc.constantFrom("c1", "a", "b", "1700000000000", "1e3", "-1", "0", "x".repeat(10_000)),
  );
  const anyHeaders = fc.dictionary(fc.constantFrom(...names), value).map((fields) =>
    new Map(Object.entries(fields).map(([name, text]) => [`holdfast-${name}`, text]))
  );
  const open = (secrets: string[]) =>
    createPeerAuthenticator({
      self: "b",
      clusterId: "c1",
      secrets,
      wallNow: () => 1_700_000_000_000,
    });

  it("open nothing without the secret, and never throw", () => {
    const authenticator = open(["a secret of at least thirty-two characters"]);
    fc.assert(fc.property(anyHeaders, fc.uint8Array(), (headers, body) => {
      const reader = { get: (name: string) => headers.get(name) ?? null };
      assert.ok("refused" in authenticator.openRequest(reader, peerPaths.append, body));
      const exchange = { from: "b", to: "a", path: peerPaths.append, nonce: "n" };
      assert.equal(authenticator.isReplyAuthentic(exchange, 200, reader, body), false);
    }));
  });

  it("are answered with a refusal by the routes, whatever body comes with them", async () => {
    const path = fc.constantFrom(...Object.keys(peerPaths) as PeerRequestType[]);
    for (const secrets of [[], ["a secret of at least thirty-two characters"]]) {
      const sender = createPeerAuthenticator({
        self: "a",
        clusterId: "c1",
        secrets,
        wallNow: () => 1_700_000_000_000,
      });
      const app = raftRoutes({
        handler: handlerWith({}),
        authenticator: open(secrets),
        limits: { wire: wireLimits, inflightMax: defaultInflightMax, bodyTimeoutMs: 10_000 },
      });
      const bodies = fc.oneof(spoiled(everyBody), cborLike, fc.uint8Array());
      const judge = async (type: PeerRequestType, bytes: Uint8Array, genuine: boolean) => {
        const body = Uint8Array.from(bytes);
        const sealed = sender.sealRequest("b", peerPaths[type], body).headers;
        const headers = genuine ? sealed : { ...sealed, "holdfast-cluster": "c2" };
        const response = await app.request(peerPaths[type], { method: "POST", headers, body });
        // A body may still be a message after all; then the handler, which fails at all of them, makes it 503.
        assert.ok([400, 401, 503].includes(response.status), String(response.status));
        if (!genuine) assert.equal(response.status, 401);
      };
      await fc.assert(fc.asyncProperty(path, bodies, fc.boolean(), judge), { numRuns: 500 });
    }
  });
});
