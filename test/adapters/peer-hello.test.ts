import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Hono } from "hono";
import { encodeCbor } from "../../src/cbor.ts";
import {
  createHelloSender,
  createWhoAsker,
  decodeHello,
  decodeHelloReply,
  decodeIntroduction,
  encodeHello,
  encodeHelloReply,
  encodeIntroduction,
  type Hello,
  HELLO_BYTES_MAX,
  HELLO_CLUSTER,
  HELLO_PATH,
  type HelloReply,
  WHO_CLUSTER,
  WHO_PATH,
  WHOEVER,
} from "../../src/adapters/peer-hello.ts";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import type { PeerAuthenticator } from "../../src/adapters/peer-wire.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { MalformedBytes, PeerUnreachable } from "../../src/errors.ts";
import { helloRoute, type HelloRouteOptions } from "../../src/http/hello-route.ts";
import { cborLike, decodes } from "./byte-arbitraries.ts";

const secret = "0123456789abcdef0123456789abcdef";
const hello: Hello = { from: "n1", to: "n2", incarnation: "one", peers: "n1=http://a,n2=http://b" };
const exchange = { from: "n1", to: "n2", path: HELLO_PATH, nonce: "n" };
const birth = {
  voters: ["n1", "n2"],
  outgoing: [],
  learners: [],
  urls: Object.fromEntries([["n1", "http://a"], ["n2", "http://b"]]),
  incarnations: { n1: "one", n2: "two" },
};
const replies: readonly HelloReply[] = [
  { state: "forming", incarnation: "two", peers: "n1=http://a,n2=http://b" },
  { state: "waiting" },
  {
    state: "member",
    clusterId: "c1",
    birth,
    configuration: { ...birth, removed: ["n3"] },
    leader: "n1",
  },
  { state: "member", clusterId: "c1", birth, configuration: birth, leader: null },
];

const introduction = { id: "n2", url: "http://b", incarnation: "two", isMember: true };

function whoAuthenticator(self: string, secrets: readonly string[] = [secret]): PeerAuthenticator {
  const wallNow = () => 1_800_000_000_000;
  return createPeerAuthenticator({ self, clusterId: WHO_CLUSTER, secrets, wallNow });
}

function authenticator(self: string, secrets: readonly string[] = [secret]): PeerAuthenticator {
  const wallNow = () => 1_800_000_000_000;
  return createPeerAuthenticator({ self, clusterId: HELLO_CLUSTER, secrets, wallNow });
}

describe("a hello's bytes", () => {
  it("read back as what they were", () => {
    for (const peers of [hello.peers, null]) {
      assert.deepEqual(decodeHello(encodeHello({ ...hello, peers }), exchange), {
        ...hello,
        peers,
      });
    }
    for (const reply of replies) assert.deepEqual(decodeHelloReply(encodeHelloReply(reply)), reply);
  });

  it("are refused where anything is missing, too much, too long or of another kind", () => {
    const wrong: readonly object[] = [
      { ...hello, from: "n 1" },
      { ...hello, incarnation: "" },
      { ...hello, incarnation: "x".repeat(65) },
      { ...hello, peers: "" },
      { ...hello, peers: "x".repeat(20_001) },
      { ...hello, peers: 7 },
      { ...hello, more: true },
      { from: "n1", to: "n2", peers: null },
      { ...hello, from: "n3" },
      { ...hello, to: "n1" },
      [hello],
    ];
    for (const one of wrong) {
      assert.throws(
        () => decodeHello(encodeCbor(one), exchange),
        MalformedBytes,
        JSON.stringify(one),
      );
    }
    const text = new TextEncoder();
    const wrongReplies: readonly object[] = [
      { state: "leader" },
      { state: "waiting", incarnation: "two" },
      { state: "forming", incarnation: "two" },
      { state: "member", clusterId: "c1", birth, configuration: birth, leader: null },
      {
        state: "member",
        clusterId: "c1",
        birth: text.encode("{}"),
        configuration: text.encode("{}"),
        leader: null,
      },
    ];
    for (const one of wrongReplies) {
      assert.throws(() => decodeHelloReply(encodeCbor(one)), MalformedBytes, JSON.stringify(one));
    }
    assert.throws(() => decodeHelloReply(new Uint8Array(HELLO_BYTES_MAX + 1)), MalformedBytes);
  });

  it("throw nothing but a typed error, whatever they are", () => {
    const tried = (bytes: Uint8Array): void => {
      decodes(bytes, decodeHelloReply);
      decodes(bytes, decodeIntroduction);
      decodes(bytes, (body) => decodeHello(body, exchange));
    };
    fc.assert(fc.property(cborLike, tried), { numRuns: 500 });
    for (
      const whole of [
        encodeHello(hello),
        encodeIntroduction(introduction),
        ...replies.map(encodeHelloReply),
      ]
    ) {
      for (let bit = 0; bit < 8 * whole.length; bit++) {
        const flipped = whole.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        tried(flipped);
      }
      for (let length = 0; length < whole.length; length++) tried(whole.slice(0, length));
    }
  });
});

/** Below the path of another app. */
function mounted(app: Hono): Hono {
  return new Hono().route("/kv", app);
}

describe("saying hello", () => {
  const clock = createSystemClock();
  const to = { id: "n2", url: "http://127.0.0.1:1" };

  function route(options: Partial<HelloRouteOptions> = {}) {
    const heard: Hello[] = [];
    const app = helloRoute({
      authenticator: authenticator("n2"),
      answer: (one) => {
        heard.push(one);
        return replies[0] ?? { state: "waiting" };
      },
      limits: { inflightMax: 4, bodyTimeoutMs: 10_000 },
      marks: () => ({ "holdfast-node": "n2" }),
      who: { authenticator: whoAuthenticator(WHOEVER), introduction: () => introduction },
      raft: null,
      ...options,
    });
    return { app, heard };
  }

  function sender(app: ReturnType<typeof route>["app"], self: PeerAuthenticator) {
    const sayHello = createHelloSender({
      authenticator: self,
      clock,
      fetch: async (url, { method, headers, body, signal }) =>
        await app.request(url, { method, headers, body, signal }),
    });
    return (one: Hello = hello) => sayHello(to, one, 5000);
  }

  it("brings the answer of whom it was said to", async () => {
    for (const reply of replies) {
      const { app } = route({ answer: () => reply });
      assert.deepEqual(await sender(app, authenticator("n1"))(), reply);
    }
    const { app, heard } = route();
    await sender(app, authenticator("n1"))();
    assert.deepEqual(heard, [hello]);
  });

  it("is refused without the secret, to another node, or for a cluster", async () => {
    const { app, heard } = route();
    const strangers = [
      authenticator("n1", []),
      authenticator("n1", ["another secret, and a long enough one"]),
      createPeerAuthenticator({
        self: "n1",
        clusterId: "c1",
        secrets: [secret],
        wallNow: () => 1_800_000_000_000,
      }),
    ];
    for (const stranger of strangers) {
      await assert.rejects(sender(app, stranger)(), (error) => {
        return error instanceof PeerUnreachable && /401/.test(error.message);
      });
    }
    const { app: other } = route({ authenticator: authenticator("n3") });
    await assert.rejects(sender(other, authenticator("n1"))(), /401/);
    assert.deepEqual(heard, []);
  });

  it("is taken once", async () => {
    const { app, heard } = route();
    const body = encodeHello(hello);
    const { headers } = authenticator("n1").sealRequest("n2", HELLO_PATH, body);
    const post = async () => await app.request(HELLO_PATH, { method: "POST", headers, body });
    assert.equal((await post()).status, 200);
    const again = await post();
    assert.equal(again.status, 401);
    assert.equal(again.headers.get("holdfast-node"), "n2");
    assert.equal(heard.length, 1);
  });

  it("believes no answer that isn't signed", async () => {
    const { app } = route({ authenticator: authenticator("n2", []) });
    const self = authenticator("n1");
    await assert.rejects(sender(app, self)(), /signature/);
  });

  it("is refused with what is wrong where its body is too large, or not one", async () => {
    const { app } = route();
    const post = async (body: Uint8Array<ArrayBuffer>) => {
      const { headers } = authenticator("n1").sealRequest("n2", HELLO_PATH, body);
      return await app.request(HELLO_PATH, { method: "POST", headers, body });
    };
    assert.equal((await post(new Uint8Array(HELLO_BYTES_MAX + 1))).status, 413);
    assert.equal((await post(encodeCbor({ ...hello, from: "n3" }))).status, 400);
    assert.equal((await post(new Uint8Array())).status, 400);
  });

  it("is all that a node in no cluster takes from peers", async () => {
    const { app } = route();
    for (const path of ["/raft/v1/append", "/raft/v1/vote", "/raft/v1/nothing"]) {
      assert.equal((await app.request(path, { method: "POST" })).status, 401);
    }
  });

  it("asks whoever listens who it is, and takes a signed answer only", async () => {
    const asked: string[] = [];
    const ask = (app: ReturnType<typeof route>["app"], self: PeerAuthenticator) =>
      createWhoAsker({
        authenticator: self,
        clock,
        fetch: async (url, { method, headers, body, signal }) => {
          asked.push(url);
          return await app.request(url, { method, headers, body, signal });
        },
      })("http://127.0.0.5:4001/kv", 5000);
    const { app } = route();
    assert.deepEqual(await ask(mounted(app), whoAuthenticator("n1")), introduction);
    assert.deepEqual(asked, [`http://127.0.0.5:4001/kv${WHO_PATH}`]);
    for (
      const stranger of [
        whoAuthenticator("n1", []),
        whoAuthenticator("n1", ["another secret, and a long enough one"]),
        authenticator("n1"),
      ]
    ) {
      await assert.rejects(ask(mounted(app), stranger), { reason: "refused" });
    }
    const other = route({
      who: { authenticator: whoAuthenticator(WHOEVER, []), introduction: () => introduction },
    });
    await assert.rejects(ask(mounted(other.app), whoAuthenticator("n1")), { reason: "refused" });
    const hostile = { ...introduction, url: "http://169.254.169.254" };
    assert.throws(() => decodeIntroduction(encodeIntroduction(hostile)), MalformedBytes);
  });
});
