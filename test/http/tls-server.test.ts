/** What each runtime does with certificates, through its own server and its own way to peers. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectPlainly, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import { tlsFetch } from "../../runtimes/client-fetch.ts";
import type { TlsServer } from "../../runtimes/runtime.ts";
import { thisRuntime } from "../../src/cli/node.ts";
import { serverLimits } from "../../src/config.ts";
import type { ServerCredentials } from "../../src/adapters/tls-files.ts";
import { Authority, type Certificate } from "../adapters/certificates.ts";
import { freePort } from "../cli/processes.ts";

const { runtime } = await importRuntime();

function importRuntime() {
  switch (thisRuntime) {
    case "bun":
      return import("../../runtimes/bun.ts");
    case "deno":
      return import("../../runtimes/deno.ts");
    case "node":
      return import("../../runtimes/node.ts");
  }
}

const authority = new Authority("ours");
const stranger = new Authority("a stranger's");
const [first, second] = [authority.issue("first"), authority.issue("second")];

const shown = (of: Certificate, clientCa: string | null = null): ServerCredentials => ({
  ...of,
  clientCa,
});

/** Resolves when a connection has ended, in order or not. */
function endOf(socket: Socket): Promise<true> {
  return new Promise((resolve) => {
    socket.on("error", () => {}).resume().once("close", () => resolve(true));
  });
}

/** A connection, and answers that it gets one after the other. */
class Caller {
  readonly socket: TLSSocket;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
  }

  static async connect(port: number, own: Partial<Certificate> = {}): Promise<Caller> {
    const socket = connect({ host: "127.0.0.1", port, ca: authority.ca, ...own });
    await once(socket, "secureConnect");
    return new Caller(socket);
  }

  get shownTo(): unknown {
    return this.socket.getPeerCertificate().subject["CN"];
  }

  /** Resolves with the answer's body; rejects where the connection ends before it. */
  async ask(path: string): Promise<string> {
    const { socket } = this;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    let text = "";
    return await new Promise((resolve, reject) => {
      const settle = (): void => {
        socket.off("data", onData).off("close", onClose).off("error", onClose);
      };
      const onData = (piece: Uint8Array): void => {
        text += new TextDecoder().decode(piece);
        const [head = "", body] = text.split("\r\n\r\n");
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? NaN);
        if (body?.length !== length) return;
        settle();
        resolve(body);
      };
      const onClose = (): void => {
        settle();
        reject(new Error(`closed after ${JSON.stringify(text)}`));
      };
      socket.on("data", onData).on("close", onClose).on("error", onClose);
    });
  }
}

describe(`a server over TLS (${runtime.name})`, { timeout: 60_000 }, () => {
  const servers: TlsServer[] = [];
  const left = Promise.withResolvers<void>();
  let server: TlsServer;
  let port = 0;

  async function serve(credentials: ServerCredentials, limits = serverLimits): Promise<number> {
    const at = await freePort();
    server = await runtime.serveTls({ host: "127.0.0.1", port: at }, answer, limits, credentials);
    servers.push(server);
    return at;
  }

  async function answer(request: Request, bindings?: object): Promise<Response> {
    const { pathname, protocol } = new URL(request.url);
    if (pathname === "/echo") return new Response(await request.arrayBuffer());
    if (pathname !== "/stream") return new Response(`${protocol} ${JSON.stringify(bindings)}`);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
      cancel: () => left.resolve(),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  before(async () => {
    port = await serve(shown(first));
  });
  after(() => Promise.all(servers.map((each) => each.close(0))));

  it("hands requests on with their targets as they came", async () => {
    const caller = await Caller.connect(port);
    const said = await caller.ask("/v1/kv/a/../%2e?x");
    assert.equal(said, 'https: {"incoming":{"url":"/v1/kv/a/../%2e?x"}}');
    caller.socket.destroy();
  });

  it("takes and gives large bodies, streams, and learns that a client left", async () => {
    const fetch = tlsFetch({ ca: authority.ca });
    const body = new Uint8Array(3_000_000).map((_, at) => at);
    const echo = await fetch(`https://localhost:${port}/echo`, { method: "PUT", body });
    assert.deepEqual(new Uint8Array(await echo.arrayBuffer()), body);
    const stop = new AbortController();
    const { signal } = stop;
    const stream = await fetch(`https://127.0.0.1:${port}/stream`, { signal });
    const reader = stream.body?.getReader();
    assert.equal(new TextDecoder().decode((await reader?.read())?.value), "data: 1\n\n");
    stop.abort();
    await left.promise;
  });

  it("shows a new certificate to new connections, and goes on with the others", async () => {
    const before = await Caller.connect(port);
    assert.equal(before.shownTo, "first");
    await before.ask("/a");
    server.replace(shown(second));
    const next = await Caller.connect(port);
    assert.equal(next.shownTo, "second");
    assert.match(await next.ask("/b"), /\/b/);
    assert.match(await before.ask("/c"), /\/c/, "the old connection is still served");
    before.socket.destroy();
  });

  it("turns away who presents no certificate, or a stranger's, also after a change of roots", async () => {
    const strict = await serve(shown(first, authority.ca));
    const tries = async (): Promise<string> => {
      const said = [{}, authority.issue("us"), stranger.issue("them")].map(async (own) => {
        try {
          const caller = await Caller.connect(strict, own);
          return await caller.ask("/").then(() => "in");
        } catch {
          return "out";
        }
      });
      return (await Promise.all(said)).join();
    };
    assert.equal(await tries(), "out,in,out");
    server.replace(shown(second, stranger.ca));
    assert.equal(await tries(), "out,out,in");
  });

  it("does not leave plain HTTP, or silence, hanging", async () => {
    const quick = await serve(shown(first), { ...serverLimits, headersTimeoutMs: 200 });
    const plain = connectPlainly(quick, "127.0.0.1");
    plain.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    await endOf(plain);
    await endOf(connectPlainly(quick, "127.0.0.1"));
  });

  it("survives connections that break off, at whichever moment", async () => {
    const ends = Array.from({ length: 12 }, async (_, at) => {
      const socket = connectPlainly(port, "127.0.0.1");
      await once(socket, "connect");
      if (at % 3 === 0) {
        socket.resetAndDestroy();
        return;
      }
      const over = connect({ socket, ca: authority.ca, host: "127.0.0.1" });
      const ended = endOf(over);
      if (at % 3 === 2) {
        await once(over, "secureConnect");
        over.write("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
      }
      socket.resetAndDestroy();
      await ended;
    });
    await Promise.all(ends);
    const caller = await Caller.connect(port);
    await caller.ask("/");
    caller.socket.destroy();
  });

  it("gives the head of a request its time, and no more", async () => {
    const quick = await serve(shown(first), { ...serverLimits, headersTimeoutMs: 500 });
    const { socket } = await Caller.connect(quick);
    const closed = endOf(socket);
    socket.write("GET / HTTP/1.1\r\n");
    for (let isClosed = false; !isClosed;) {
      isClosed = await Promise.race([closed, pause(100).then(() => false)]);
      if (!isClosed) socket.write("x: y\r\n");
    }
  });

  it("ends a connection that is silent after an answer, and none that is not", async () => {
    const brief = await serve(shown(first), { ...serverLimits, idleTimeoutMs: 1000 });
    const busy = await Caller.connect(brief);
    const silent = await Caller.connect(brief);
    await silent.ask("/");
    const gone = endOf(silent.socket);
    for (let isGone = false; !isGone;) {
      await busy.ask("/");
      isGone = await Promise.race([gone, pause(100).then(() => false)]);
    }
    for (let n = 0; n < 10; n++) {
      await pause(100);
      await busy.ask("/");
    }
    busy.socket.destroy();
  });

  it("is trusted by peers only where its certificate leads to their roots", async () => {
    const post = async (ca: string | null): Promise<number> => {
      const { fetch, retire } = runtime.peerFetchWith({ ca, cert: null, key: null });
      try {
        const { status } = await fetch(`https://127.0.0.1:${port}/`, {
          method: "POST",
          headers: {},
          body: new Uint8Array([1]),
          signal: new AbortController().signal,
          redirect: "manual",
        });
        return status;
      } finally {
        retire();
      }
    };
    assert.equal(await post(authority.ca), 200);
    await assert.rejects(post(stranger.ca));
    await assert.rejects(post(null));
    await assert.rejects(tlsFetch({ ca: stranger.ca })(`https://127.0.0.1:${port}/`, {}));
  });
});
