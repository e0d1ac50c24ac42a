import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { bulkRequests, documentOf, requestsIn } from "../../bench/bulk.ts";
import { sectionOf } from "../../bench/rows/bulk.ts";
import { Watchers } from "../../bench/watchers.ts";
import type { Measured } from "../../bench/workload.ts";
import { serve } from "../adapters/peer-server.ts";

const work = { keys: 250, valueBytes: 16, stamp: "w1", outstanding: 1, seconds: 1 } as const;

describe("requests of many puts", () => {
  it("put each key once, and no other", () => {
    for (const method of ["batch", "transaction"] as const) {
      const requests = requestsIn({ ...work, method });
      const texts = Array.from(
        { length: requests },
        (_, n) => JSON.stringify(documentOf({ ...work, method }, n)),
      );
      const keys = texts.flatMap((text) => text.match(/"put":\{"key":"key-\d+"/g) ?? []);
      assert.equal(keys.length, method === "batch" ? 200 : 250);
      assert.equal(new Set(keys).size, keys.length);
    }
  });

  it("go out whole, with the length of what follows their head", () => {
    const [bytes] = bulkRequests({ ...work, method: "batch" }, "http://127.0.0.1:4001");
    const text = Buffer.from(bytes ?? []).toString("latin1");
    assert.match(text, /^POST \/v1\/batch HTTP\/1\.1\r\nhost: 127\.0\.0\.1:4001\r\n/);
    const body = text.length - text.indexOf("\r\n\r\n") - 4;
    assert.match(text, new RegExp(`\r\ncontent-length: ${body}\r\n\r\n`));
  });

  it("count by what is in them, against single puts", () => {
    const at = (perSecond: number): Measured[] => [
      { perSecond, mean: 1, p50: 1, p99: 2, succeeded: perSecond, failed: 0 },
    ];
    const measured = { runtime: "node", holdfast: at(500), etcd: at(10_000) } as const;
    const { rows, verdicts } = sectionOf([
      { ...measured, method: "batch", outstanding: 32 },
      { ...measured, method: "transaction", outstanding: 256 },
    ]);
    assert.deepEqual(rows.map((row) => [row[5], row.at(-1)]), [
      ["50,000", "5.00 (≥ 6, not met)"],
      ["1,000", "0.10"],
    ]);
    assert.deepEqual(verdicts.map(({ met }) => met), [false]);
  });
});

describe("watchers", () => {
  it("count what they are told, however it is cut, and leave when they are told to", async () => {
    const stream = "id: 1\nevent: put\ndata: {}\n\nid: 2\nevent: put\ndata: {}\n\n" +
      "id: 2\nevent: progress\ndata: {}\n\nid: 3\nevent: delete\ndata: {}\n\n" +
      "id: 3\nevent: put\ndata: {}\n\nid: 3\nevent: overflow\ndata: {}\n\n";
    const server = createServer((socket) => {
      socket.once("data", () => {
        void (async () => {
          const pieces = ["HTTP/1.1 200 OK\r\n\r\n", ...stream.split("")];
          for (const piece of pieces) await new Promise((done) => socket.write(piece, done));
        })();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const watchers = await Watchers.open(`http://127.0.0.1:${port}`, 3);
    while (watchers.told().cut < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(watchers.told().events, [3, 3, 3]);
    watchers.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it("say what an answer was that lets nobody watch", async () => {
    const server = await serve((_, outgoing) => void outgoing.writeHead(503).end("no"));
    await assert.rejects(Watchers.open(server.url, 1), /answered HTTP\/1.1 503/);
    await server.stop();
  });
});
