/** What the transport over `fetch` adds to the conformance suite: hostile peers, broken connections, lanes. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import {
  createFetchTransport,
  defaultLanes,
  type FetchTransportLimits,
  type PeerFetch,
} from "../../src/adapters/fetch-transport.ts";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import {
  encodeReply,
  type PeerAuthenticator,
  type PeerExchange,
} from "../../src/adapters/peer-wire.ts";
import { createSystemClock } from "../../src/adapters/system-clock.ts";
import { createUndiciFetch } from "../../src/adapters/undici-fetch.ts";
import type { Transport } from "../../src/ports.ts";
import { wireLimits } from "./peer-arbitraries.ts";
import { bodyOf, serve } from "./peer-server.ts";
import { failure, heartbeat, replyTo } from "./transport-conformance.ts";

const clock = createSystemClock();
const SECRET = "a secret of at least thirty-two characters";
const LONG_MS = 20_000;
const isBun = "bun" in process.versions;
const isDeno = "deno" in process.versions;
const limits: FetchTransportLimits = {
  wire: wireLimits,
  replyBytesMax: 10_000,
  lanes: defaultLanes,
};

function node(self: string, secrets: readonly string[] = []): PeerAuthenticator {
  return createPeerAuthenticator({
    self,
    clusterId: "c1",
    secrets,
    wallNow: () => clock.wallNow(),
  });
}

/** The one that each runtime is to be given. Bun's would decompress a body that nobody has asked for. */
const peerFetch: PeerFetch = isBun
  ? (url, init) => fetch(url, { ...init, decompress: false })
  : createUndiciFetch().fetch;

function transportTo(
  urls: Readonly<Record<string, string>>,
  more: { secrets?: string[]; limits?: Partial<FetchTransportLimits>; fetch?: PeerFetch } = {},
): Transport {
  return createFetchTransport({
    authenticator: node("a", more.secrets),
    clock,
    fetch: more.fetch ?? peerFetch,
    urls,
    limits: { ...limits, ...more.limits },
  });
}

/** A `fetch` that answers by `respond`, and what it was asked. */
function scripted(respond: (url: string, signal: AbortSignal) => Promise<Response>) {
  const asked: string[] = [];
  const peerFetch: PeerFetch = (url, { signal }) => {
    asked.push(url);
    return respond(url, signal);
  };
  return { asked, fetch: peerFetch };
}

const reply = encodeReply(replyTo(heartbeat()));
const lengthOf = (bytes: Uint8Array) => ({ "content-length": String(bytes.length) });

describe("the transport over fetch distrusts an answer", () => {
  async function answered(
    status: number,
    headers: Record<string, string>,
    body: Uint8Array | string,
    secrets: string[] = [],
  ): Promise<boolean> {
    const server = await serve(async (incoming, outgoing) => {
      await bodyOf(incoming);
      outgoing.writeHead(status, headers);
      outgoing.end(body);
    });
    const transport = transportTo({ b: server.url }, { secrets });
    try {
      return await failure(transport.request(heartbeat(), LONG_MS));
    } finally {
      transport.close();
      await server.stop();
    }
  }

  it("that is no reply, or another request's", async () => {
    const garbage = Uint8Array.from([0x9b, 255, 255]);
    assert.equal(await answered(200, lengthOf(garbage), garbage), true);
    assert.equal(await answered(200, { "content-length": "0" }, ""), true);
    for (
      const other of [heartbeat(2), { ...heartbeat(), from: "c" }, { ...heartbeat(), to: "c" }]
    ) {
      const bytes = encodeReply(replyTo(other));
      assert.equal(await answered(200, lengthOf(bytes), bytes), true);
    }
    const html = "<html>".repeat(10);
    assert.equal(
      await answered(200, { "content-length": "60", "content-type": "text/html" }, html),
      true,
    );
  });

  it("of a size that is not announced, over the limit, or compressed", async () => {
    assert.equal(await answered(200, {}, reply), true);
    assert.equal(await answered(200, { "content-length": "10001" }, "x".repeat(10_001)), true);
    const encoded = { ...lengthOf(reply), "content-encoding": "br" };
    assert.equal(await answered(200, encoded, reply), true);
  });

  it("that redirects: it is not followed", async () => {
    const second = await serve((_, outgoing) => void outgoing.end());
    const location = `${second.url}/raft/v1/heartbeat`;
    for (const status of [301, 302, 307, 308]) {
      assert.equal(await answered(status, { location, "content-length": "0" }, ""), true);
    }
    assert.equal(second.count(), 0);
    await second.stop();
  });

  it("that breaks off", async () => {
    const server = await serve((incoming, outgoing) => {
      outgoing.writeHead(200, { "content-length": "5000" });
      outgoing.write(reply, () => incoming.socket.destroy());
    });
    const transport = transportTo({ b: server.url });
    assert.equal(await failure(transport.request(heartbeat(), LONG_MS)), true);
    transport.close();
    await server.stop();
  });

  it("that is unsigned, where there is a secret: also a refusal", async () => {
    assert.equal(await answered(200, lengthOf(reply), reply, [SECRET]), true);
    for (const status of [400, 404, 413, 421, 429]) {
      assert.equal(await answered(status, { "content-length": "0" }, "", [SECRET]), true);
      assert.equal(await answered(status, { "content-length": "0" }, ""), false);
    }
  });

  it("of 401, 5xx and all else: the request may have been received", async () => {
    for (const status of [204, 401, 403, 408, 500, 502, 503, 504]) {
      assert.equal(
        await answered(status, status === 204 ? {} : { "content-length": "0" }, ""),
        true,
      );
    }
  });
});

describe("the transport over fetch takes a signed refusal's word", () => {
  it("when it answers this request with this status", async () => {
    const b = node("b", [SECRET]);
    let sealedStatus = 429;
    const server = await serve(async (incoming, outgoing) => {
      const path = incoming.url ?? "";
      const headers = new Headers(incoming.headers as Record<string, string>);
      const exchange = b.openRequest(headers, path, await bodyOf(incoming));
      const signature = b.sealReply(exchange as PeerExchange, sealedStatus, new Uint8Array(0));
      outgoing.writeHead(429, { ...signature, "content-length": "0" });
      outgoing.end();
    });
    const transport = transportTo({ b: server.url }, { secrets: [SECRET] });
    assert.equal(await failure(transport.request(heartbeat(), LONG_MS)), false);
    sealedStatus = 200;
    assert.equal(await failure(transport.request(heartbeat(), LONG_MS)), true);
    transport.close();
    await server.stop();
  });
});

describe("the transport over fetch, when a kept-alive connection breaks under a request", () => {
  /** Answers the first request of each connection, and destroys it when the second has arrived whole. */
  async function fragile(endPort: () => boolean) {
    let requests = 0;
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => {});
      let text = "";
      let onThis = 0;
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        const head = text.indexOf("\r\n\r\n");
        const length = /content-length: (\d+)/i.exec(text)?.[1];
        if (head === -1 || length === undefined || text.length < head + 4 + Number(length)) return;
        text = "";
        requests++;
        if (++onThis === 1) {
          const answer = Buffer.from(encodeReply(replyTo(heartbeat(requests))));
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\n\r\n`);
          socket.write(answer);
          return;
        }
        if (endPort()) server.close();
        for (const each of sockets) each.destroy();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    return {
      url: `http://127.0.0.1:${address.port}`,
      requests: () => requests,
      stop: () => {
        server.close();
        for (const each of sockets) each.destroy();
      },
    };
  }

  /** Sends until a connection was used again, and so broke. Returns how many requests it took. */
  async function untilBroken(transport: Transport): Promise<number> {
    for (let id = 1; id < 100; id++) {
      const request = transport.request(heartbeat(id), LONG_MS);
      const [outcome] = await Promise.allSettled([request]);
      if (outcome.status === "fulfilled") continue;
      assert.equal(await failure(request), true);
      return id;
    }
    return assert.fail("no connection was used again");
  }

  it("sends the request once, and says maybe received", async () => {
    for (const ends of [false, true]) {
      const peer = await fragile(() => ends);
      const transport = transportTo({ b: peer.url });
      const sent = await untilBroken(transport);
      assert.equal(peer.requests(), sent);
      transport.close();
      peer.stop();
    }
  });

  // Deno's own fetch sends the request again: then a refused connection proves nothing.
  it("says maybe received with the runtime's own fetch, also where the port is gone", async () => {
    const peer = await fragile(() => true);
    const transport = transportTo({ b: peer.url }, { fetch: (url, init) => fetch(url, init) });
    const sent = await untilBroken(transport);
    assert.ok(isDeno || peer.requests() === sent);
    transport.close();
    peer.stop();
  });
});

describe("the transport over fetch knows that nothing was sent", () => {
  async function toUrl(url: string): Promise<boolean> {
    const transport = transportTo({ b: url });
    try {
      return await failure(transport.request(heartbeat(), LONG_MS));
    } finally {
      transport.close();
    }
  }

  it("when the port is closed, by address or by name", async () => {
    const server = await serve(() => {});
    await server.stop();
    assert.equal(await toUrl(server.url), false);
    assert.equal(await toUrl(server.url.replace("127.0.0.1", "localhost")), false);
  });

  it("when the name is unknown, or the URL is none to speak HTTP with", async () => {
    assert.equal(await toUrl("http://no-such-host.invalid:80"), false);
    for (
      const url of ["", "n2:4001", "ftp://127.0.0.1", "file:///etc/passwd", "http://a:b@127.0.0.1"]
    ) {
      assert.equal(await toUrl(url), false);
    }
  });
});

describe("the lanes of the transport over fetch", () => {
  const never = scripted((_, signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  );
  const lanes = {
    ...defaultLanes,
    append: { inflightMax: 2, waitingMax: 0 },
    forward: { inflightMax: 1, waitingMax: 2 },
  };
  const append = {
    ...heartbeat(),
    type: "append" as const,
    previousIndex: 0,
    previousTerm: 0,
    previousCrc: 0,
    entries: [],
  };
  const command = new Uint8Array(1);
  const urls = { b: "http://b", c: "http://c" };

  it("refuse what is over a bound at once, each by itself and for each peer", async () => {
    const transport = transportTo(urls, { fetch: never.fetch, limits: { lanes } });
    const open = [1, 2].map(() => failure(transport.request(append, LONG_MS)));
    assert.equal(await failure(transport.request(append, LONG_MS)), false);
    open.push(failure(transport.request({ ...append, to: "c" }, LONG_MS)));
    open.push(failure(transport.request(heartbeat(), LONG_MS)));
    assert.deepEqual(never.asked.splice(0), [
      "http://b/raft/v1/append",
      "http://b/raft/v1/append",
      "http://c/raft/v1/append",
      "http://b/raft/v1/heartbeat",
    ]);
    transport.close();
    assert.deepEqual(await Promise.all(open), [true, true, true, true]);
  });

  it("let forwarded commands wait for a place, a bounded number, not beyond their time", async () => {
    const transport = transportTo(urls, { fetch: never.fetch, limits: { lanes } });
    const first = failure(transport.forward("b", command, 40));
    const second = failure(transport.forward("b", command, LONG_MS));
    const third = failure(transport.forward("b", command, 20));
    assert.equal(await failure(transport.forward("b", command, LONG_MS)), false);
    assert.equal(never.asked.length, 1);
    assert.equal(await third, false); // It never had its turn.
    assert.equal(await first, true);
    assert.equal(never.asked.splice(0).length, 2); // The second took the first one's place.
    transport.close();
    assert.equal(await second, true);
  });

  it("keep changes of membership, which may last, out of the way of votes", async () => {
    const transport = transportTo(urls, { fetch: never.fetch, limits: { lanes: defaultLanes } });
    const request = { type: "remove", id: "n9" } as const;
    const open = Array.from(
      { length: 100 },
      () => failure(transport.manage("b", request, LONG_MS)),
    );
    never.asked.splice(0);
    open.push(failure(transport.request(heartbeat(), LONG_MS)));
    assert.deepEqual(never.asked.splice(0), ["http://b/raft/v1/heartbeat"]);
    transport.close();
    await Promise.all(open);
  });

  it("give places back, also after failures", async () => {
    const failing = scripted(() => Promise.reject(new Error("broken")));
    const transport = transportTo(urls, { fetch: failing.fetch, limits: { lanes } });
    for (let i = 0; i < 10; i++) {
      assert.equal(await failure(transport.request(append, LONG_MS)), true);
      assert.equal(await failure(transport.forward("b", command, LONG_MS)), true);
    }
    assert.equal(failing.asked.length, 20);
    transport.close();
  });
});

describe("the URLs of the transport over fetch", () => {
  it("can change, and may have a path", async () => {
    const failing = scripted(() => Promise.reject(new Error("broken")));
    const transport = transportTo({ b: "http://one/" }, { fetch: failing.fetch });
    await failure(transport.request(heartbeat(), LONG_MS));
    transport.setUrls({ b: "https://two:4002/x/" });
    await failure(transport.request(heartbeat(), LONG_MS));
    transport.setUrls({});
    assert.equal(await failure(transport.request(heartbeat(), LONG_MS)), false);
    assert.deepEqual(failing.asked, [
      "http://one/raft/v1/heartbeat",
      "https://two:4002/x/raft/v1/heartbeat",
    ]);
    transport.close();
  });
});
