import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import {
  decodeForwardReply,
  decodeReply,
  encodeChunk,
  encodeForward,
  encodeRequest,
  type PeerAuthenticator,
  peerPaths,
} from "../../src/adapters/peer-wire.ts";
import { MalformedBytes, PeerUnreachable } from "../../src/errors.ts";
import {
  defaultInflightMax,
  raftRoutes,
  type RaftRoutesLimits,
} from "../../src/http/raft-routes.ts";
import type { PeerHandler } from "../../src/ports.ts";
import { sealedEntries, wireLimits } from "../adapters/peer-arbitraries.ts";
import { echo, handlerWith, heartbeat, replyTo } from "../adapters/transport-conformance.ts";

const SECRET = "a secret of at least thirty-two characters";
const limits: RaftRoutesLimits = {
  wire: wireLimits,
  inflightMax: defaultInflightMax,
  bodyTimeoutMs: 10_000,
};

function node(self: string, secrets: readonly string[] = [], clusterId = "c1"): PeerAuthenticator {
  return createPeerAuthenticator({ self, clusterId, secrets, wallNow: () => 1_700_000_000_000 });
}

interface Posted {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Node b's routes, and a way to post to them. */
function routes(handler: PeerHandler, secrets: readonly string[] = [], more: object = {}) {
  const authenticator = node("b", secrets);
  const app = raftRoutes({ handler, authenticator, limits: { ...limits, ...more } });
  return async (path: string, { body, headers }: Posted): Promise<Response> =>
    await app.request(path, { method: "POST", headers, body });
}

/** A heartbeat from node a, sealed. */
function sealed(sender: PeerAuthenticator = node("a")): Posted {
  const body = encodeRequest(heartbeat());
  return { body, headers: sender.sealRequest("b", peerPaths.heartbeat, body).headers };
}

async function refused(response: Response, status: number, code: string): Promise<string> {
  const body = await response.json() as Record<string, unknown>;
  assert.equal(response.status, status, JSON.stringify(body));
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.equal(body["code"], code);
  assert.equal(body["status"], status);
  assert.equal(typeof body["title"], "string");
  return String(body["detail"]);
}

/** Fails the test when a message gets through. */
const unreached = handlerWith({ receive: () => assert.fail("the message was handled") });

describe("the peer routes", () => {
  it("answer a message with its reply, as CBOR", async () => {
    const response = await routes(echo)(peerPaths.heartbeat, sealed());
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/cbor");
    const bytes = new Uint8Array(await response.arrayBuffer());
    assert.equal(response.headers.get("content-length"), String(bytes.length));
    assert.deepEqual(decodeReply("heartbeat", bytes, wireLimits), replyTo(heartbeat()));
  });

  it("mark what they refuse as every answer of a node is marked", async () => {
    const marks = () => ({ "holdfast-node": "b", "holdfast-revision": "12", "holdfast-term": "3" });
    const app = raftRoutes({ handler: unreached, authenticator: node("b"), limits, marks });
    const wrong = sealed(node("a", [], "another cluster"));
    const other = { body: new Uint8Array([0xff]), headers: wrong.headers };
    for (
      const [path, posted] of [[peerPaths.heartbeat, wrong], ["/raft/v1/none", other]] as const
    ) {
      const response = await app.request(path, { method: "POST", ...posted });
      await refused(response, 401, "unauthenticated");
      for (const [name, value] of Object.entries(marks())) {
        assert.equal(response.headers.get(name), value, `${path}: ${name}`);
      }
    }
  });

  it("hand forwarded commands and pieces of snapshots to the replica", async () => {
    const seen: unknown[] = [];
    const post = routes(handlerWith({
      forwarded: (command, timeoutMs) => {
        seen.push([command, timeoutMs]);
        return Promise.resolve({ type: "notApplied", reason: "no_leader" });
      },
      receiveChunk: (chunk) => {
        seen.push(chunk);
        return Promise.resolve({ offset: 2, refused: false });
      },
    }));
    const a = node("a");
    const forward = encodeForward({ command: new Uint8Array([9]), timeoutMs: 1500 });
    const first = await post(peerPaths.forward, {
      body: forward,
      headers: a.sealRequest("b", peerPaths.forward, forward).headers,
    });
    const reply = decodeForwardReply(new Uint8Array(await first.arrayBuffer()), wireLimits);
    assert.deepEqual(reply, { type: "notApplied", reason: "no_leader" });
    const ends = { from: "a", to: "b", term: 3 };
    const chunk = {
      ...ends,
      index: 5,
      snapshotTerm: 2,
      size: 9,
      offset: 0,
      bytes: new Uint8Array(2),
    };
    const body = encodeChunk(chunk);
    const second = await post(peerPaths.snapshotChunk, {
      body,
      headers: a.sealRequest("b", peerPaths.snapshotChunk, body).headers,
    });
    assert.equal(second.status, 200);
    assert.deepEqual(seen, [[new Uint8Array([9]), 1500], chunk]);
  });

  it("sign their answers where there is a secret", async () => {
    const a = node("a", [SECRET]);
    const body = encodeRequest(heartbeat());
    const { headers, exchange } = a.sealRequest("b", peerPaths.heartbeat, body);
    const response = await routes(echo, [SECRET])(peerPaths.heartbeat, { body, headers });
    const bytes = new Uint8Array(await response.arrayBuffer());
    assert.equal(a.isReplyAuthentic(exchange, 200, response.headers, bytes), true);
  });

  it("sign refusals of authentic messages only", async () => {
    const a = node("a", [SECRET]);
    const post = routes(unreached, [SECRET]);
    const body = new Uint8Array([0xff]);
    const { headers, exchange } = a.sealRequest("b", peerPaths.heartbeat, body);
    const malformed = await post(peerPaths.heartbeat, { body, headers });
    await refused(malformed, 400, "bad_request");
    assert.equal(a.isReplyAuthentic(exchange, 400, malformed.headers, new Uint8Array(0)), true);
    const replayed = await post(peerPaths.heartbeat, { body, headers });
    await refused(replayed, 401, "unauthenticated");
    assert.equal(replayed.headers.get("holdfast-signature"), null);
  });
});

describe("the peer routes refuse with 401", () => {
  const post = routes(unreached, [SECRET]);
  const a = node("a", [SECRET]);

  it("a message without headers, unsigned, or signed with another secret", async () => {
    const { body } = sealed();
    for (const path of Object.values(peerPaths)) {
      await refused(await post(path, { body, headers: {} }), 401, "unauthenticated");
    }
    await refused(await post(peerPaths.heartbeat, sealed(node("a"))), 401, "unauthenticated");
    const stranger = node("a", ["another secret of thirty-two characters"]);
    await refused(await post(peerPaths.heartbeat, sealed(stranger)), 401, "unauthenticated");
  });

  it("a message of another cluster or for another node, with and without a secret", async () => {
    for (const secrets of [[], [SECRET]]) {
      const post = routes(unreached, secrets);
      const other = sealed(node("a", secrets, "c2"));
      assert.match(
        await refused(await post(peerPaths.heartbeat, other), 401, "unauthenticated"),
        /Cluster/,
      );
      const body = encodeRequest(heartbeat());
      const { headers } = node("a", secrets).sealRequest("c", peerPaths.heartbeat, body);
      const response = await post(peerPaths.heartbeat, { body, headers });
      assert.match(await refused(response, 401, "unauthenticated"), /To/);
      const { "holdfast-cluster": _, ...rest } = sealed(node("a", secrets)).headers;
      const without = await post(peerPaths.heartbeat, { body, headers: rest });
      assert.match(await refused(without, 401, "unauthenticated"), /Cluster/);
    }
  });

  it("a message that was taken before", async () => {
    for (const secrets of [[], [SECRET]]) {
      const post = routes(echo, secrets);
      const message = sealed(node("a", secrets));
      assert.equal((await post(peerPaths.heartbeat, message)).status, 200);
      await refused(await post(peerPaths.heartbeat, message), 401, "unauthenticated");
    }
  });

  it("a signed append of which any bit was flipped", async () => {
    const ends = { from: "a", to: "b", term: 3, id: 1, commit: 0 };
    const previous = { previousIndex: 6, previousTerm: 2, previousCrc: 77 };
    const entries = sealedEntries([new Uint8Array(8)], { index: 6, term: 3, crc: 77 });
    const body = encodeRequest({ type: "append", ...ends, ...previous, entries });
    const { headers } = a.sealRequest("b", peerPaths.append, body);
    for (let bit = 0; bit < body.length * 8; bit++) {
      const flipped = Uint8Array.from(body);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const response = await post(peerPaths.append, { body: flipped, headers });
      await refused(response, 401, "unauthenticated");
    }
    const untouched = routes(echo, [SECRET]);
    assert.equal((await untouched(peerPaths.append, { body, headers })).status, 200);
  });

  it("what is no peer message", async () => {
    const app = raftRoutes({ handler: unreached, authenticator: node("b"), limits });
    for (const path of ["/raft/v1/nonsense", "/raft/v1/", "/raft/v1/append/x"]) {
      await refused(await app.request(path, { method: "POST" }), 401, "unauthenticated");
    }
    await refused(await app.request(peerPaths.append), 401, "unauthenticated");
  });
});

describe("the peer routes refuse", () => {
  const bytes = (...values: number[]) => Uint8Array.from(values);
  const seal = (body: Uint8Array<ArrayBuffer>, path: string): Posted => ({
    body,
    headers: node("a").sealRequest("b", path, body).headers,
  });

  it("a malformed body with 400, saying what is wrong and where", async () => {
    const post = routes(unreached);
    const path = peerPaths.heartbeat;
    const details: [Uint8Array<ArrayBuffer>, RegExp][] = [
      [bytes(), /too soon \(at byte 0\)/],
      [bytes(0xa1, 0x61, 0x61, 0xc0, 0x00), /tag \(at byte 3\)/],
      [bytes(0x9b, 255, 255, 255, 255, 255, 255, 255, 255), /more items/],
      [encodeRequest({ ...heartbeat(), term: -1 }), /term/],
      [encodeRequest({ ...heartbeat(), from: "c" }), /from: not the node/],
      [encodeRequest({ ...heartbeat(), to: "c" }), /to: not the node/],
      [encodeRequest({ type: "timeoutNow", from: "a", to: "b", term: 3, id: 1 }), /type/],
    ];
    for (const [body, message] of details) {
      const detail = await refused(await post(path, seal(body, path)), 400, "bad_request");
      assert.match(detail, message);
    }
  });

  it("a body over the limit with 413, announced or not, and without reading all of it", async () => {
    const more = { wire: { ...wireLimits, bodyBytesMax: 1000 } };
    const post = routes(unreached, [], more);
    const big = new Uint8Array(1001);
    const headers = { "content-length": "1001" };
    await refused(await post(peerPaths.append, { body: big, headers }), 413, "too_large");
    await refused(await post(peerPaths.append, { body: big, headers: {} }), 413, "too_large");
    const lies = { "content-length": "10" };
    await refused(await post(peerPaths.append, { body: big, headers: lies }), 413, "too_large");
    const nonsense = { "content-length": "x" };
    await refused(await post(peerPaths.append, { body: big, headers: nonsense }), 413, "too_large");

    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(100));
      },
    });
    const app = raftRoutes({
      handler: unreached,
      authenticator: node("b"),
      limits: { ...limits, ...more },
    });
    const init = { method: "POST", body: endless, duplex: "half" };
    await refused(await app.request(peerPaths.append, init), 413, "too_large");
    assert.ok(pulled < 20, `${pulled} chunks were read`);
  });

  it("a body that never arrives with 408, and one that breaks off with 400", async () => {
    const app = raftRoutes({
      handler: unreached,
      authenticator: node("b"),
      limits: { ...limits, bodyTimeoutMs: 20 },
    });
    const silent = { method: "POST", body: new ReadableStream(), duplex: "half" };
    await refused(await app.request(peerPaths.append, silent), 408, "request_timeout");
    const broken = new ReadableStream({ pull: () => Promise.reject(new Error("reset")) });
    const init = { method: "POST", body: broken, duplex: "half" };
    await refused(await app.request(peerPaths.append, init), 400, "bad_request");
  });

  it("what the replica refuses with 429, and with 503 when it has stopped", async () => {
    const failures: [Error, number, string][] = [
      [new PeerUnreachable("too many", false), 429, "overloaded"],
      [new PeerUnreachable("stopping", true), 503, "not_ready"],
      [new Error("a defect, with its secrets"), 503, "not_ready"],
      [new MalformedBytes("in a stored file", 7), 503, "not_ready"],
    ];
    for (const [failure, status, code] of failures) {
      const post = routes(handlerWith({ receive: () => Promise.reject(failure) }));
      const detail = await refused(await post(peerPaths.heartbeat, sealed()), status, code);
      assert.ok(!detail.includes("secrets"));
    }
  });

  it("more requests at a time than their lane has places, and other lanes go on", async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => go = resolve);
    const inflightMax = { ...defaultInflightMax, control: 2 };
    const handler = handlerWith({
      receive: async (message) => {
        await gate;
        return replyTo(message);
      },
      forwarded: () => Promise.resolve({ type: "unknown" }),
    });
    const post = routes(handler, [], { inflightMax });
    const a = node("a");
    const open = [post(peerPaths.heartbeat, sealed(a)), post(peerPaths.heartbeat, sealed(a))];
    await refused(await post(peerPaths.heartbeat, sealed(a)), 503, "not_ready");
    const forward = encodeForward({ command: new Uint8Array(1), timeoutMs: 1 });
    const { headers } = a.sealRequest("b", peerPaths.forward, forward);
    assert.equal((await post(peerPaths.forward, { body: forward, headers })).status, 200);
    go();
    for (const response of await Promise.all(open)) assert.equal(response.status, 200);
    assert.equal((await post(peerPaths.heartbeat, sealed(a))).status, 200);
  });
});
