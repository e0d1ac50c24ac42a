/** Connections with plain requests: what is silent, held back, ended, reset, closed, and not read. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { until } from "../replica/cluster.ts";
import { get, isNode, patient, put, TestServer } from "./plain-fixture.ts";

/** More than the socket buffers of both sides. */
const large = "x".repeat(32 * 1024 * 1024);

function describeConnections(): void {
  it("is ended where it is silent before its first request, but not while that is answered", async () => {
    await using server = new TestServer({ ...patient, headersTimeoutMs: 20 });
    const busy = (await server.client()).listen();
    busy.socket.write(get("/a"));
    await server.request(0);
    const silent = (await server.client()).listen();
    await silent.close();
    assert.equal(silent.said, "");
    await server.answer(0, "a");
    assert.deepEqual(await busy.bodies(1), ["a"]);
  });

  it("is ended where it is silent after an answer, as long as that says", async () => {
    await using server = new TestServer({ headersTimeoutMs: 20, idleTimeoutMs: 200 });
    const busy = (await server.client()).listen();
    busy.socket.write(get("/busy"));
    await server.request(0);
    const silent = (await server.client()).listen();
    silent.socket.write(get("/silent"));
    await server.answer(1, "a");
    await silent.close();
    assert.deepEqual(await silent.bodies(1), ["a"]);
    await server.answer(0, "b");
    // Busy for longer than it may be silent, and then silent for longer than before a first request.
    await (await server.client()).listen().close();
    busy.socket.write(get("/busy"));
    await server.answer(2, "c");
    assert.deepEqual(await busy.bodies(2), ["b", "c"]);
  });

  it("has what came before an answer answered after it, in order", async () => {
    await using server = new TestServer(patient);
    const client = (await server.client()).listen();
    client.socket.write(get("/1"));
    await server.request(0);
    await server.hold(client, put("/2", "two"), get("/3"));
    for (const nth of [0, 1, 2]) {
      assert.equal(server.taken.length, nth + 1);
      await server.answer(nth, String(nth));
      await until("the next is taken", () => server.taken.length === Math.min(nth + 2, 3));
    }
    assert.deepEqual(await client.bodies(3), ["0", "1", "2"]);
    assert.deepEqual(server.urls(), ["/1", "/2", "/3"]);
    assert.equal(server.taken[1]?.incoming.rawBody.toString(), "two");
    assert.equal(server.handedOver, 0);
  });

  it("is node:http's, with what was held back, where that is a part of a request", async () => {
    await using server = new TestServer(patient);
    const client = (await server.client()).listen();
    client.socket.write(get("/1"));
    await server.request(0);
    await server.hold(client, get("/2").slice(0, 9), get("/2").slice(9));
    assert.equal(server.handedOver, 0);
    await server.answer(0, "plain");
    assert.deepEqual(await client.bodies(2), ["plain", "node:http"]);
    client.socket.write(get("/3"));
    assert.deepEqual(await client.bodies(3), ["plain", "node:http", "node:http"]);
    assert.equal(server.handedOver, 1);
    assert.equal(server.taken.length, 1);
  });

  it("is closed behind the whole answer where the client has sent its last", async () => {
    await using server = new TestServer(patient);
    const client = await server.client();
    client.socket.end(get("/1"));
    const { socket } = (await server.request(0)).incoming;
    await until("the end is read", () => socket.readableEnded);
    await server.answer(0, large);
    client.listen();
    await client.close();
    assert.match(client.said, /\r\nConnection: close\r\n/);
    assert.deepEqual(await client.bodies(1), [large]);
  });

  it("is closed behind what of the answer the kernel had no room for", async () => {
    await using server = new TestServer(patient);
    const client = await server.client();
    client.socket.end(get("/1"));
    const { incoming, outgoing } = await server.request(0);
    await until("the end is read", () => incoming.socket.readableEnded);
    outgoing.writeHead(200);
    while (incoming.socket.writableLength === 0) outgoing.write(Buffer.alloc(4096, "x"));
    assert.equal(incoming.socket.writableNeedDrain, false);
    outgoing.end();
    client.listen();
    await client.close();
    assert.match(client.said.slice(-20), /x\r\n0\r\n\r\n$/);
  });

  for (
    const [what, held] of [["a part of a request", "GET /2 H"], ["a request", get("/2")]] as const
  ) {
    it(`is left at the answer where it was reset with ${what} held back`, async () => {
      await using server = new TestServer(patient);
      const client = await server.client();
      client.socket.write(get("/1"));
      const { incoming, outgoing } = await server.request(0);
      let closes = 0;
      const count = (): void => void closes++;
      outgoing.on("close", count).once("close", () => count()).off("close", count);
      await server.hold(client, held);
      client.socket.resetAndDestroy();
      await until("it is closed", () => incoming.socket.closed);
      assert.equal(closes, 1);
      await server.answer(0, "late");
      assert.deepEqual(server.urls(), ["/1"]);
      assert.equal(server.handedOver, 0);
    });
  }

  it("tells an answer of no break after its end, read or not", async () => {
    await using server = new TestServer(patient);
    const client = await server.client();
    client.socket.write(get("/1"));
    const { incoming, outgoing } = await server.request(0);
    let closes = 0;
    outgoing.on("close", () => closes++);
    await server.answer(0, large);
    client.socket.resetAndDestroy();
    await until("it is closed", () => incoming.socket.closed);
    assert.equal(closes, 0);
  });

  it("is closed with the door: at once where idle, else behind its answer", async () => {
    await using server = new TestServer(patient);
    const [silent, idle, busy] = [
      await server.client(),
      await server.client(),
      await server.client(),
    ];
    for (const client of [silent, idle, busy]) client.listen();
    idle.socket.write(get("/idle"));
    await server.answer(0, "idle");
    await idle.bodies(1);
    busy.socket.write(get("/busy"));
    await server.request(1);
    server.door.close();
    await silent.close();
    await idle.close();
    assert.equal(busy.closed, false);
    await server.answer(1, large);
    await busy.close();
    assert.deepEqual(await busy.bodies(1), [large]);
    assert.match(busy.said, /\r\nConnection: close\r\n/);
  });

  it("is destroyed with the door, while it waits for an answer too", async () => {
    await using server = new TestServer(patient);
    const client = (await server.client()).listen();
    client.socket.write(get("/1"));
    await server.request(0);
    server.door.destroy();
    await client.close();
    assert.equal(client.said, "");
  });

  it("has its next request taken once the answer before is read", async () => {
    await using server = new TestServer(patient);
    const client = await server.client();
    client.socket.write(get("/1"));
    await server.answer(0, large);
    await server.hold(client, get("/2"));
    assert.deepEqual(server.urls(), ["/1"]);
    client.listen();
    await server.answer(1, "b");
    assert.deepEqual(await client.bodies(2), [large, "b"]);
  });
}

if (isNode) describe("a connection with plain requests", describeConnections);
