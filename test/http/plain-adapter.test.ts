/** The listener of `@hono/node-server` on plain requests: that it asks no more of them than `runtimes/node.ts` says. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { getRequestListener } from "@hono/node-server";
import type { PlainListener } from "../../runtimes/plain-requests.ts";
import { until } from "../replica/cluster.ts";
import { get, isNode, patient, put, TestServer } from "./plain-fixture.ts";

function describeAdapter(): void {
  const serve = (handler: (request: Request) => Response | Promise<Response>): TestServer =>
    new TestServer(patient, getRequestListener(handler) as unknown as PlainListener);

  /** The last answer on a connection to a server with that handler. */
  async function answerTo(
    handler: (request: Request) => Response | Promise<Response>,
    sent: string,
  ): Promise<{ status: number; head: string; body: string }> {
    await using server = serve(handler);
    const client = (await server.client()).listen();
    // The second shows that the first was ended.
    client.socket.write(sent);
    await client.bodies(1);
    client.socket.write(get("/"));
    await server.request(1);
    await client.bodies(2);
    assert.equal(server.handedOver, 0);
    const [head = ""] = client.said.split("\r\n\r\n", 1);
    const [next = ""] = client.said.slice(head.length + 4).split("HTTP/1.1 ", 1);
    return { status: Number(head.slice(9, 12)), head, body: next };
  }

  const echo = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const body = request.method === "GET" ? "" : await request.text();
    const headers = { "x-url": request.url, "x-host": request.headers.get("host") ?? "" };
    return new Response(`${request.method} ${pathname} ${body}`, { status: 203, headers });
  };

  it("answers GET and PUT", async () => {
    const { status, head, body } = await answerTo(echo, get("/a%20b"));
    assert.equal(status, 203);
    assert.match(head, /\r\nx-host: h\r\n/);
    assert.match(head, /\r\nx-url: http:\/\/h\/a%20b\r\n/);
    assert.equal(body, "GET /a%20b ");
    assert.equal((await answerTo(echo, put("/a", "value"))).body, "PUT /a value");
  });

  it("gives a body as bytes and as a stream", async () => {
    const bytes = async (request: Request): Promise<Response> => {
      if (request.method === "GET") return new Response(null);
      return new Response(new Uint8Array(await request.arrayBuffer()));
    };
    assert.equal((await answerTo(bytes, put("/", "\0\x7f"))).body, "\0\x7f");
    const stream = async ({ body }: Request): Promise<Response> =>
      new Response(await new Response(body).text());
    assert.equal((await answerTo(stream, put("/", "value"))).body, "value");
  });

  it("takes an answer without a body, in bytes, and in pieces", async () => {
    const none = (): Response => new Response(null, { status: 204 });
    assert.equal((await answerTo(none, put("/", "v"))).status, 204);
    const pieces = (): Response => {
      let nth = 0;
      return new Response(
        new ReadableStream<Uint8Array>({
          async pull(controller) {
            await new Promise((resolve) => setImmediate(resolve));
            if (nth === 3) return controller.close();
            controller.enqueue(new Uint8Array(100_000).fill(0x30 + nth++));
          },
        }),
      );
    };
    const { head, body } = await answerTo(pieces, get("/"));
    assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/);
    assert.equal(
      body,
      ["0", "1", "2"].map((of) => `186a0\r\n${of.repeat(100_000)}\r\n`).join("") + "0\r\n\r\n",
    );
  });

  it("refuses a host that is none, and tells of a handler that throws", async () => {
    const badHost = get("/").replace("Host: h", "Host: a/b");
    assert.equal((await answerTo(echo, badHost)).status, 400);
    const throws = (): Response => {
      throw new Error("on purpose");
    };
    assert.equal((await answerTo(throws, get("/"))).status, 500);
    assert.equal((await answerTo(() => Promise.reject(new Error("so")), get("/"))).status, 500);
  });

  it("aborts a request whose client has gone, and cancels its answer", async () => {
    let aborted = false;
    let canceled = false;
    await using server = serve((request) => {
      request.signal.addEventListener("abort", () => aborted = true);
      return Promise.resolve(
        new Response(
          new ReadableStream<Uint8Array>({
            cancel: () => void (canceled = true),
          }),
        ),
      );
    });
    const client = (await server.client()).listen();
    client.socket.write(get("/"));
    await until("the answer has begun", () => client.said.includes("\r\n\r\n"));
    client.socket.resetAndDestroy();
    await until("both are told", () => aborted && canceled);
  });
}

if (isNode) describe("the adapter's listener", describeAdapter);
