/** Answers on plain connections that last as long as their client listens. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { until } from "../replica/cluster.ts";
import { get, isNode, patient, TestServer } from "./plain-fixture.ts";

const endless = { "content-type": "text/event-stream" };

function describeStreams(): void {
  it("is given up when its client has sent its last", async () => {
    await using server = new TestServer(patient);
    const client = (await server.client()).listen();
    client.socket.write(get("/1"));
    const { outgoing } = await server.request(0);
    let closes = 0;
    outgoing.on("close", () => closes++);
    outgoing.writeHead(200, endless);
    outgoing.flushHeaders();
    await until("the answer has begun", () => client.said.endsWith("\r\n\r\n"));
    client.socket.end();
    await until("the answer is told", () => closes === 1);
    assert.equal(outgoing.destroyed, true);
  });

  it("does not begin where its client has sent its last before", async () => {
    await using server = new TestServer(patient);
    const client = (await server.client()).listen();
    client.socket.end(get("/1"));
    const { incoming, outgoing } = await server.request(0);
    await until("the end is read", () => incoming.socket.readableEnded);
    outgoing.writeHead(200, endless);
    outgoing.flushHeaders();
    await client.close();
    assert.equal(client.said, "");
  });

  it("leaves its connection to the next request when it has an end after all", async () => {
    await using server = new TestServer(patient);
    const client = (await server.client()).listen();
    client.socket.write(get("/1"));
    const { outgoing } = await server.request(0);
    outgoing.writeHead(200, endless);
    outgoing.flushHeaders();
    outgoing.write(Buffer.from("data: 1\n\n"));
    outgoing.end();
    client.socket.write(get("/2"));
    await server.answer(1, "next");
    await client.bodies(2);
    client.socket.end();
    await client.close();
  });
}

if (isNode) describe("an endless answer", describeStreams);
